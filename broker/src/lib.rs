//! The shell around `chronik_core`: sockets, files, threads, gRPC, metrics, command line.
//!
//! ```text
//!  Kafka clients      peers, operator        disk
//!        |                  |                 |
//!      net               peer, admin       storage (two threads that sync)
//!        \________________  |  ______________/
//!                         \ | /
//!                         node: one task drains a batch of inputs, steps the core,
//!                               flushes once and carries the outputs out
//! ```
//!
//! One thread runs all sockets and the core. Nothing here decides anything about records, groups
//! or membership: that is the core's.

pub mod boot;
pub mod config;
pub mod descriptors;
pub mod run;
pub mod shutdown;

pub mod admin;
pub mod net;
pub mod node;
pub mod peer;
pub mod storage;

pub mod metrics;
pub mod metrics_http;
pub mod proto;
pub mod telemetry;

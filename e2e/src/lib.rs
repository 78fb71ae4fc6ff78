//! Whole clusters from outside: real processes, real clients, and a ledger of what was promised.
//!
//! ```text
//!   cluster   operator and brokers as processes of this machine, in a directory of their own
//!   workload  a producer and a consumer that run throughout, and write the history
//!   check     the history against the promises; tested first, on histories that break them
//!   raw       Kafka requests byte by byte, for what no client would send
//!   java      Apache Kafka's jars: clients, tools, and the brokers that the benchmark compares with
//!   bench     the measurements behind `make bench`
//!   kube      the same promises on a real Kubernetes, behind `make e2e`
//! ```
//!
//! Nothing here is linked into Chronik, and it knows Chronik only by its command lines and ports.

pub mod admin;
pub mod bench;
pub mod check;
pub mod cluster;
pub mod history;
pub mod java;
pub mod kube;
pub mod manifest;
pub mod pauses;
pub mod ports;
pub mod process;
pub mod raw;
pub mod small_disks;
pub mod wait;
pub mod workload;
pub mod workspace;

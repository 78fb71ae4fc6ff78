//! The broker without IO: inputs in, outputs out.
//!
//! ```text
//!   sockets, files, timers (chronik-broker)             seeded world (chronik-sim)
//!            |  Input                                           |  Input
//!            v                                                  v
//!   +------------------------------ Core::step ------------------------------+
//!   | wire      Kafka bytes <-> requests and responses, record batches       |
//!   | handlers  one Kafka API a file                                         |
//!   | meta      the cluster's own state machine, replicated as `__meta`      |
//!   | coordinator  consumer groups, replicated as `__consumer_offsets`       |
//!   | partition what a data partition means: offsets, producers              |
//!   | raft      many Raft groups on one node, the Ready loop, peers          |
//!   | log       write-ahead log, segments, recovery, on a `Disk`             |
//!   +-------------------------------------------------------------------------+
//!            |  Output                                          |  Output
//!            v                                                  v
//!   replies, frames to peers, syncs                     events in virtual time
//! ```
//!
//! Nothing here awaits, spawns, sleeps, opens a socket, reads a clock or draws randomness: time
//! and seed are arguments, files are reached through [`log::disk::Disk`].

pub mod admin;
pub mod codec;
pub mod coordinator;
pub mod core;
pub mod error;
mod handlers;
pub mod ids;
pub mod log;
pub mod meta;
pub mod mutant;
pub mod partition;
pub mod raft;
pub mod wire;

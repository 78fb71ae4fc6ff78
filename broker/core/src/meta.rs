//! The cluster's own state machine: what is replicated as `__meta` and what follows from it.
//!
//! ```text
//!   Command --encode--> entry of __meta --committed--> State::apply(index) --> Applied | Refusal
//!                                                          |
//!                    placement (pure plans) <---- State ---+---> configs (effective values)
//! ```
//!
//! Everything here is a function of the commands and their indexes. Who proposes them, and what a
//! broker does about a change of the image, is left to [`crate::core`].

pub mod applied;
mod apply;
pub mod askers;
pub mod brokers;
pub mod command;
mod conf_change;
pub mod configs;
mod fields;
pub mod names;
pub mod partitions;
pub mod placement;
mod snapshot;
pub mod state;
pub mod topics;

pub use applied::{Applied, Outcome, Refusal};
pub use askers::Proposal;
pub use brokers::{Broker, Listener};
pub use command::{Command, ConfReport, ConfigResource, GroupReport, Registration};
pub use configs::{ClusterConfig, TopicConfig};
pub use partitions::{Partition, Replica};
pub use state::State;
pub use topics::Topic;

#[cfg(test)]
mod tests;

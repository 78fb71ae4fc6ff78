//! What a node is started with, and the limits that it keeps. Who checks them is the shell.

use crate::ids::{BrokerId, Micros, Uuid};

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// This broker's id.
    pub broker: BrokerId,
    /// The id of its data directory.
    pub directory: Uuid,
    /// Where election timeouts and member ids are drawn from; from the OS, once.
    pub seed: u64,
    /// `host:port` that Kafka clients are told.
    pub kafka_address: String,
    /// `host:port` that peers and the operator are told.
    pub peer_address: String,
    /// The rack, for placement and for clients.
    pub rack: Option<String>,
    /// Brokers to ask for a cluster, by id and peer address.
    pub seeds: Vec<(BrokerId, String)>,
    /// The software's version.
    pub version: String,
    /// Limits.
    pub limits: Limits,
    /// Where raft's own words go.
    pub logger: slog::Logger,
}

/// Limits of one node. Each has its unit in its name.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The log's own.
    pub log: crate::log::Limits,
    /// A broker that was not heard of for this long is fenced: clients are not told of it.
    pub session_timeout: Micros,
    /// A metadata change that was not decided after this long is given up by its asker.
    pub proposal_timeout: Micros,
    /// Below this many free bytes the node takes no more records.
    pub free_bytes_min: u64,
    /// With more payload bytes than this waiting for their quorum, over all groups, the node takes no
    /// more records.
    pub uncommitted_bytes_max: usize,
    /// How often the leader looks for records that have outlived their retention.
    pub retention_check: Micros,
    /// How fast the segments are read to look for damage; 0 is never.
    pub scrub_bytes_per_second: u64,
    /// From the beginning of one look at all segments to that of the next, at least.
    pub scrub_interval: Micros,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            log: crate::log::Limits::default(),
            session_timeout: Micros::from_millis(6_000),
            proposal_timeout: Micros::from_millis(10_000),
            free_bytes_min: 256 << 20,
            uncommitted_bytes_max: 128 << 20,
            // Kafka's own default: who writes old timestamps expects to read them for a while.
            retention_check: Micros::from_millis(300_000),
            scrub_bytes_per_second: 4 << 20,
            scrub_interval: Micros::from_millis(24 * 3_600_000),
        }
    }
}

/// The base tick of all groups.
pub const TICK: Micros = Micros::from_millis(100);

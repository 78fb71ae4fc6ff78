//! What a broker is started with, checked. How it is typed is in [`args`], the checks in [`resolve`].

pub mod args;
pub mod resolve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chronik_core::ids::BrokerId;

use crate::net;
use crate::telemetry::LogFormat;

/// What a broker is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its id.
    pub broker: BrokerId,
    /// Where its data is.
    pub data_dir: PathBuf,
    /// Where Kafka clients are served.
    pub kafka: Endpoint,
    /// Where Kafka clients are served that are told what the operator says of brokers' addresses.
    pub kafka_external: Option<SocketAddr>,
    /// Where the certificate for Kafka clients is, if they are served within TLS.
    pub kafka_tls_dir: Option<PathBuf>,
    /// Where peers and the operator are served.
    pub peer: Endpoint,
    /// Where the certificate for peers and the operator is, if they are to ask each other for one.
    pub tls_dir: Option<PathBuf>,
    /// Where metrics and probes are served, if anywhere.
    pub http: Option<SocketAddr>,
    /// The rack.
    pub rack: Option<String>,
    /// Brokers to ask for a cluster.
    pub seeds: Vec<(BrokerId, String)>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Limits of the clients.
    pub clients: net::listener::Limits,
    /// Limits of the log.
    pub storage: StorageLimits,
}

/// A listener.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What to tell others; none: where it listens.
    pub advertised: Option<String>,
}

impl Endpoint {
    /// What to tell others of a listener that is bound to `bound`.
    #[must_use]
    pub fn advertised_or(&self, bound: SocketAddr) -> String {
        self.advertised.clone().unwrap_or_else(|| bound.to_string())
    }
}

/// Limits of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageLimits {
    /// A segment is full at this length.
    pub segment_bytes: u64,
    /// The length of one file of the write-ahead log.
    pub wal_file_bytes: u64,
    /// Recent records kept in memory, over all partitions.
    pub cache_bytes: u64,
    /// Below this much free space no records are taken.
    pub free_bytes_min: u64,
    /// How often retention is looked at.
    pub retention_check: Duration,
}

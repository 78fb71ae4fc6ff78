//! The command line, as typed. Every flag has an environment variable, for containers.

use std::path::PathBuf;

use crate::telemetry::LogFormat;

/// A Kafka-compatible broker whose every partition is a Raft group.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "chronik-broker", version)]
pub struct Args {
    /// This broker's id: unique in the cluster, stable over restarts.
    #[arg(long, env = "CHRONIK_BROKER_ID")]
    pub broker_id: u32,
    /// Directory for all data of this broker; made if it does not exist.
    #[arg(long, env = "CHRONIK_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Address to serve Kafka clients on.
    #[arg(long, env = "CHRONIK_KAFKA_LISTEN", default_value = "127.0.0.1:9092")]
    pub kafka_listen: String,
    /// HOST:PORT that Kafka clients are told [default: where it listens].
    #[arg(long, env = "CHRONIK_KAFKA_ADVERTISED")]
    pub kafka_advertised: Option<String>,
    /// Address to serve further Kafka clients on, those who cannot reach what --kafka-advertised says:
    /// they are told the addresses that the operator gives for them [default: not served].
    #[arg(long, env = "CHRONIK_KAFKA_EXTERNAL_LISTEN")]
    pub kafka_external_listen: Option<String>,
    /// Directory with tls.crt and tls.key: Kafka clients are then served within TLS only. Looked at
    /// again every few seconds [default: without TLS].
    #[arg(long, env = "CHRONIK_KAFKA_TLS_DIR")]
    pub kafka_tls_dir: Option<PathBuf>,
    /// Address to serve other brokers and the operator on.
    #[arg(long, env = "CHRONIK_PEER_LISTEN", default_value = "127.0.0.1:9192")]
    pub peer_listen: String,
    /// HOST:PORT that other brokers are told [default: where it listens].
    #[arg(long, env = "CHRONIK_PEER_ADVERTISED")]
    pub peer_advertised: Option<String>,
    /// Directory with tls.crt, tls.key and ca.crt: brokers and the operator then ask each other for
    /// certificates. Looked at again every few seconds [default: everybody is trusted].
    #[arg(long, env = "CHRONIK_TLS_DIR")]
    pub tls_dir: Option<PathBuf>,
    /// Address to serve /metrics, /healthz and /readyz on [default: not served].
    #[arg(long, env = "CHRONIK_HTTP_LISTEN")]
    pub http_listen: Option<String>,
    /// A broker to ask for a cluster, as ID=HOST:PORT of its peer address. Repeatable.
    #[arg(
        long = "seed-broker",
        value_name = "ID=HOST:PORT",
        env = "CHRONIK_SEED_BROKERS",
        value_delimiter = ','
    )]
    pub seed_brokers: Vec<String>,
    /// The rack (or zone) that this broker stands in.
    #[arg(long, env = "CHRONIK_RACK")]
    pub rack: Option<String>,
    /// How log lines look.
    #[arg(long, env = "CHRONIK_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Client connections at a time.
    #[arg(long, env = "CHRONIK_CONNECTIONS_MAX", default_value_t = 10_000)]
    pub connections_max: usize,
    /// A client connection without requests is closed after this long.
    #[arg(long, env = "CHRONIK_CONNECTIONS_MAX_IDLE_MS", default_value_t = 600_000)]
    pub connections_max_idle_ms: u64,
    /// Largest request of a client.
    #[arg(long, env = "CHRONIK_REQUEST_BYTES_MAX", default_value_t = 100 << 20)]
    pub request_bytes_max: usize,
    /// A segment is full at this length, or at its topic's `segment.bytes` if that is less.
    #[arg(long, env = "CHRONIK_SEGMENT_BYTES", default_value_t = 1 << 30)]
    pub segment_bytes: u64,
    /// Length of one file of the write-ahead log; a few are in use.
    #[arg(long, env = "CHRONIK_WAL_BYTES", default_value_t = 64 << 20)]
    pub wal_bytes: u64,
    /// Recent records kept in memory.
    #[arg(long, env = "CHRONIK_CACHE_BYTES", default_value_t = 32 << 20)]
    pub cache_bytes: u64,
    /// Below this much free disk space no records are taken.
    #[arg(long, env = "CHRONIK_FREE_BYTES_MIN", default_value_t = 256 << 20)]
    pub free_bytes_min: u64,
    /// How often records are looked at that have outlived their retention.
    #[arg(long, env = "CHRONIK_RETENTION_CHECK_MS", default_value_t = 300_000)]
    pub retention_check_ms: u64,
}

//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs Chronik clusters from `ChronikCluster` manifests.
#[derive(Debug, Parser)]
#[command(name = "chronik-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring a cluster to what the manifest says, and keep it there.
    Run {
        /// Where brokers run.
        #[arg(long, value_enum, default_value_t = PlatformName::Local)]
        platform: PlatformName,
        /// The manifest; on Kubernetes the API server has them.
        #[arg(required_if_eq("platform", "local"))]
        file: Option<PathBuf>,
        /// End as soon as the cluster is ready; its brokers go on.
        #[arg(long)]
        exit_when_ready: bool,
        /// Where brokers run and what they are.
        #[command(flatten)]
        local: LocalArgs,
        /// How the operator runs on Kubernetes.
        #[command(flatten)]
        kube: KubeArgs,
    },
    /// Print what would be done, and why, or why not. Changes nothing.
    Plan {
        /// The manifest.
        file: PathBuf,
        /// Where brokers run and what they are.
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Print a CRD as YAML.
    Crd {
        /// Of which kind.
        #[arg(value_enum, default_value_t = CrdName::Chronikclusters)]
        kind: CrdName,
    },
    /// Print the cluster's state as of the operator's last pass.
    Status {
        /// The manifest.
        file: PathBuf,
        /// Where brokers run and what they are.
        #[command(flatten)]
        local: LocalArgs,
    },
}

/// The kinds of objects that the operator reads.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum CrdName {
    /// `ChronikCluster`.
    Chronikclusters,
    /// `ChronikTopic`.
    Chroniktopics,
}

/// Where brokers run.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum PlatformName {
    /// As processes of this machine.
    Local,
    /// As pods of a Kubernetes cluster.
    Kube,
}

/// What the operator needs to know on Kubernetes.
#[derive(Debug, clap::Args)]
pub struct KubeArgs {
    /// The image of clusters whose manifest names none.
    #[arg(long, env = "CHRONIK_BROKER_IMAGE", default_value = concat!("localhost/chronik-broker:", env!("CARGO_PKG_VERSION")))]
    pub broker_image: String,
    /// What DNS names of services end with.
    #[arg(long, env = "CHRONIK_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Namespaces to look after [default: all].
    #[arg(long = "watch-namespace", env = "CHRONIK_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// The namespace of the operator itself.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub own_namespace: String,
    /// What tells this operator from another [default: its host name and process].
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Address to serve /metrics, /healthz and /readyz on [default: not served].
    #[arg(long = "http-listen", env = "CHRONIK_HTTP_LISTEN")]
    pub http: Option<std::net::SocketAddr>,
    /// How log lines look.
    #[arg(long, env = "CHRONIK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the local platform needs to know.
#[derive(Debug, clap::Args)]
pub struct LocalArgs {
    /// The directory that holds clusters' data.
    #[arg(long, env = "CHRONIK_STATE_DIR", default_value = ".chronik")]
    pub state_dir: PathBuf,
    /// The broker's program; the one beside this program if not given.
    #[arg(long, env = "CHRONIK_BROKER")]
    pub broker: Option<PathBuf>,
}

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
        /// The manifest.
        file: PathBuf,
        /// End as soon as the cluster is ready; its brokers go on.
        #[arg(long)]
        exit_when_ready: bool,
        /// Where brokers run and what they are.
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Print what would be done, and why, or why not. Changes nothing.
    Plan {
        /// The manifest.
        file: PathBuf,
        /// Where brokers run and what they are.
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Print the CRD as YAML.
    Crd,
    /// Print the cluster's state as of the operator's last pass.
    Status {
        /// The manifest.
        file: PathBuf,
        /// Where brokers run and what they are.
        #[command(flatten)]
        local: LocalArgs,
    },
}

/// Where brokers run.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum PlatformName {
    /// As processes of this machine.
    Local,
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

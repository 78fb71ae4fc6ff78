//! Entry point: parse, run, exit code.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use chronik_operator::api::{cluster, topic};
use chronik_operator::cli::{Cli, Command, CrdName, KubeArgs, LogFormat, PlatformName};
use chronik_operator::controller::{self, Options};
use chronik_operator::platform::kube::inputs::Settings;
use chronik_operator::{reconcile::describe, run};
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logs(&cli);
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "error: {}", describe(e.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// The terminal belongs to the table on one machine; on Kubernetes logs are all there is.
fn start_logs(cli: &Cli) {
    let kube = match &cli.command {
        Command::Run { platform: PlatformName::Kube, kube, .. } => Some(kube),
        Command::Run { .. }
        | Command::Plan { .. }
        | Command::Crd { .. }
        | Command::Status { .. } => None,
    };
    let default = if kube.is_some() { "info" } else { "off" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("CHRONIK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match kube.map(|kube| kube.log_format) {
        Some(LogFormat::Json) => logs.json().flatten_event(true).init(),
        Some(LogFormat::Text) | None => logs.init(),
    }
}

fn options(kube: KubeArgs) -> Options {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let alone = || format!("{host}-{}", std::process::id());
    Options {
        settings: Settings {
            broker_image: kube.broker_image,
            cluster_domain: kube.cluster_domain,
            namespace: kube.own_namespace.clone(),
        },
        namespaces: kube.watch_namespaces.into_iter().filter(|n| !n.is_empty()).collect(),
        own_namespace: kube.own_namespace,
        identity: kube.identity.unwrap_or_else(alone),
        http: kube.http,
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match cli.command {
        Command::Run { platform: PlatformName::Local, file, exit_when_ready, local, .. } => {
            let file = file.context("name the manifest")?;
            runtime.block_on(run::run(&file, &local, exit_when_ready))?;
        }
        Command::Run { platform: PlatformName::Kube, kube, .. } => {
            runtime.block_on(controller::run(options(kube), run::told_to_end()))?;
        }
        Command::Plan { file, local } => runtime.block_on(run::plan(&file, &local))?,
        Command::Status { file, local } => run::status(&file, &local)?,
        Command::Crd { kind } => {
            let yaml = match kind {
                CrdName::Chronikclusters => cluster::crd_yaml()?,
                CrdName::Chroniktopics => topic::crd_yaml()?,
            };
            std::io::stdout().write_all(yaml.as_bytes())?;
        }
    }
    Ok(())
}

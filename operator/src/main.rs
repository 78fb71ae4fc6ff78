//! Entry point: parse, run, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use chronik_operator::api::cluster::crd_yaml;
use chronik_operator::cli::{Cli, Command, PlatformName};
use chronik_operator::{reconcile::describe, run};
use clap::Parser as _;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CHRONIK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "error: {}", describe(e.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match cli.command {
        Command::Run { platform: PlatformName::Local, file, exit_when_ready, local } => {
            runtime.block_on(run::run(&file, &local, exit_when_ready))?;
        }
        Command::Plan { file, local } => runtime.block_on(run::plan(&file, &local))?,
        Command::Status { file, local } => run::status(&file, &local)?,
        Command::Crd => std::io::stdout().write_all(crd_yaml()?.as_bytes())?,
    }
    Ok(())
}

//! Entry point: arguments, logs, run, exit code.

use std::process::ExitCode;

use chronik_broker::config::{args::Args, resolve::resolve};
use chronik_broker::{boot, run, telemetry};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::start(args.log_format);
    let ran = match resolve(args) {
        Ok(config) => run::run(&config, boot::open),
        Err(error) => Err(error.into()),
    };
    ran.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::from(run::EXIT_FATAL)
    })
}

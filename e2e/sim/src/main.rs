//! `cargo sim`: runs seeds, replays one, and says what broke and how to see it again.

use std::process::ExitCode;
use std::time::Instant;

use chronik_sim::{Coverage, Options, Report, STEPS_MAX, World};
use clap::Parser;

/// Simulated clusters under a seeded hostile world.
#[derive(Debug, Parser)]
#[command(name = "chronik-sim")]
struct Arguments {
    /// Run this one seed and show its end.
    #[arg(long)]
    seed: Option<u64>,
    /// Run so many seeds, from `--from` on, after the kept ones.
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// The first fresh seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Stop after so many steps.
    #[arg(long, default_value_t = STEPS_MAX)]
    steps: u64,
    /// Print every event of the run as it happens.
    #[arg(long)]
    events: bool,
    /// Print what the brokers log.
    #[arg(long)]
    log: bool,
    /// Leave these kinds of faults out (kill, power-loss, blackout, pause, ...).
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.log {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().init();
    }
    // The core catches panics of one group; the report of the run says all that there is to say.
    std::panic::set_hook(Box::new(|_| {}));
    let mut seeds = match arguments.seed {
        Some(seed) => vec![seed],
        None => chronik_sim::kept_seeds(),
    };
    if arguments.seed.is_none() {
        seeds.extend(arguments.from..arguments.from + arguments.runs);
    }
    let began = Instant::now();
    let (mut coverage, mut simulated, mut failed) = (Coverage::default(), 0, Vec::new());
    for seed in &seeds {
        let mut options = Options::swarm(*seed);
        options
            .faults
            .retain(|(kind, _)| !arguments.without.iter().any(|name| name == kind.name()));
        let report = World::new(options, arguments.events).run(arguments.steps);
        coverage.merge(&report.coverage);
        simulated += report.simulated;
        if report.broken.is_some() {
            show(&report);
            failed.push(*seed);
        } else if arguments.seed.is_some() {
            print(&format!(
                "seed {seed}: whole after {} steps, trace {:016x}",
                report.steps, report.hash
            ));
        }
    }
    summary(seeds.len(), simulated, began.elapsed().as_secs_f64(), &coverage, &failed);
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(report: &Report) {
    for line in &report.last {
        print(line);
    }
    if let Some(broken) = &report.broken {
        print(&format!(
            "seed {} broke \"{}\" at step {}:",
            report.seed, broken.invariant, report.steps
        ));
        print(&format!("  {}", broken.what));
    }
    print(&format!("replay: cargo sim --seed {} --events --log", report.seed));
    print("");
}

fn summary(seeds: usize, simulated: u64, took: f64, coverage: &Coverage, failed: &[u64]) {
    let minutes = simulated as f64 / 60e6;
    print(&format!("{coverage}"));
    print(&format!(
        "{seeds} seeds, {minutes:.1} simulated minutes in {took:.1} s ({:.0} a minute), {} failed {failed:?}",
        minutes * 60.0 / took.max(0.001),
        failed.len()
    ));
}

#[allow(clippy::print_stdout, reason = "what this program is for")]
fn print(line: &str) {
    println!("{line}");
}

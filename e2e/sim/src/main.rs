//! `cargo sim`: runs seeds, replays one, and says what broke and how to see it again.

use std::process::{Command, ExitCode};
use std::time::Instant;

use chronik_sim::mutants::{self, Mistake};
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
    /// Put each mistake in that there is, and show which invariant notices it.
    #[arg(long)]
    mutants: bool,
    /// With --mutants: show also which invariants would notice it if the first one did not.
    #[arg(long)]
    deep: bool,
    /// Put this mistake in.
    #[arg(long)]
    mutant: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.log {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().init();
    }
    if (arguments.mutants || arguments.mutant.is_some()) && !mutants::COMPILED {
        return with_mutants();
    }
    // The core catches panics of one group; the report of the run says all that there is to say.
    std::panic::set_hook(Box::new(|_| {}));
    if arguments.mutants {
        return hunt(&arguments);
    }
    if let Some(name) = &arguments.mutant {
        let Some(mistake) = Mistake::named(name) else {
            print(&format!("there is no mistake {name}; --mutants shows all"));
            return ExitCode::FAILURE;
        };
        mistake.put_in();
    }
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

/// Mistakes are compiled in on demand only: runs this command again, with them.
fn with_mutants() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "-p", "chronik-sim", "--features", "mutants"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    match command.arg("--").args(std::env::args_os().skip(1)).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            print(&format!("cargo, which builds the mistakes in, did not start: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The table of mistakes. All must be caught, by seeds that end whole without them.
fn hunt(arguments: &Arguments) -> ExitCode {
    let wanted = |mistake: &Mistake| arguments.mutant.as_deref().is_none_or(|n| n == mistake.name);
    let mistakes: Vec<Mistake> = Mistake::all().into_iter().filter(wanted).collect();
    let began = Instant::now();
    print(&mutants::head());
    let (rows, unsound) =
        mutants::hunt(&mistakes, arguments.runs, arguments.deep, |row| print(&row.to_string()));
    let missed: Vec<&str> =
        rows.iter().filter(|row| row.caught.is_none()).map(|row| row.mistake.name).collect();
    let (caught, all) = (rows.len() - missed.len(), rows.len());
    print(&format!("{caught} of {all} mistakes caught in {:.1} s", began.elapsed().as_secs_f64()));
    for name in &missed {
        print(&format!("not caught: {name}"));
    }
    for seed in &unsound {
        print(&format!("seed {seed} breaks without any mistake: cargo sim --seed {seed}"));
    }
    let proven = missed.is_empty() && unsound.is_empty() && !rows.is_empty();
    if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

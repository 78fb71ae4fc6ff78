//! `cargo sim`: runs seeds, replays one, and says what broke and how to see it again.

mod commit;
mod points;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use chronik_sim::crash_points::SEED;
use chronik_sim::mutants::{self, Hunt, Mistake};
use chronik_sim::{Coverage, Options, Report, STEPS_MAX, World, runs, shrink};
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
    /// The first fresh seed; without it, each commit has its own.
    #[arg(long)]
    from: Option<u64>,
    /// Run so many seeds at a time; by default as many as there are cores.
    #[arg(long)]
    jobs: Option<usize>,
    /// Stop after so many steps.
    #[arg(long, default_value_t = STEPS_MAX)]
    steps: u64,
    /// Print every event of the run as it happens.
    #[arg(long)]
    events: bool,
    /// Print what the brokers log.
    #[arg(long)]
    log: bool,
    /// Leave these parts of a run out: faults (kill, power-loss, pause, ...), clients (members,
    /// consumers, ...), what goes wrong by itself (net-breaks, sync-stalls, ...).
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(Options::PARTS))]
    without: Vec<String>,
    /// Let things go wrong for so many seconds, whatever the seed says.
    #[arg(long)]
    hostile: Option<u64>,
    /// Show the first failure as it is, without making it smaller.
    #[arg(long)]
    no_shrink: bool,
    /// Put each mistake in that there is, and show which invariant notices it.
    #[arg(long)]
    mutants: bool,
    /// With --mutants: show also which invariants would notice it if the first one did not.
    #[arg(long)]
    deep: bool,
    /// With --mutants: write the seeds that caught them, three for each, to e2e/sim/mutants.txt, to be
    /// tried first.
    #[arg(long)]
    keep: bool,
    /// With --mutants: run all of the first --runs seeds with each mistake, and show how many notice it.
    #[arg(long, conflicts_with_all = ["keep", "deep"])]
    shares: bool,
    /// Put this mistake in.
    #[arg(long)]
    mutant: Option<String>,
    /// Let the operator die after each of its side effects in turn, in each life of a cluster.
    #[arg(long)]
    crash_points: bool,
    /// Let it die at this one: LIFE:EFFECT:MOMENT, as in 3-5:12:sent; or nowhere: LIFE.
    #[arg(long)]
    crash_point: Option<String>,
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
    let mistake = match arguments.mutant.as_deref().map(|name| (name, Mistake::named(name))) {
        Some((name, None)) => {
            print(&format!("there is no mistake {name}; --mutants shows all"));
            return ExitCode::FAILURE;
        }
        Some((_, known)) => known,
        None => None,
    };
    let seed = arguments.seed.unwrap_or(SEED);
    if arguments.crash_points {
        return points::all(arguments.jobs, seed, mistake);
    }
    if let Some(point) = &arguments.crash_point {
        return points::one(point, seed, arguments.events, mistake);
    }
    let seeds = match arguments.seed {
        Some(seed) => vec![seed],
        None => seeds(&arguments),
    };
    run_all(&arguments, &seeds, mistake)
}

/// The kept seeds and the fresh ones.
fn seeds(arguments: &Arguments) -> Vec<u64> {
    let from = arguments.from.unwrap_or_else(|| {
        let (from, of) = commit::first_seed();
        print(&format!("fresh seeds from {from} on, {of}"));
        from
    });
    let mut seeds = chronik_sim::kept_seeds();
    seeds.extend(from..from.saturating_add(arguments.runs));
    seeds
}

fn options(arguments: &Arguments, seed: u64) -> Options {
    let without: Vec<&str> = arguments.without.iter().map(String::as_str).collect();
    let options = Options::swarm(seed).without(&without);
    match arguments.hostile {
        Some(seconds) => options.hostile_for(seconds),
        None => options,
    }
}

fn run_all(arguments: &Arguments, seeds: &[u64], mistake: Option<Mistake>) -> ExitCode {
    let began = Instant::now();
    let (mut coverage, mut simulated, mut failed) = (Coverage::default(), 0, Vec::new());
    // What is printed as it happens makes sense one run at a time only.
    let jobs = if arguments.events || arguments.log { Some(1) } else { arguments.jobs };
    let run = |n: usize| {
        if let Some(mistake) = mistake {
            mistake.put_in();
        }
        World::new(options(arguments, seeds[n]), arguments.events).run(arguments.steps)
    };
    let mut smallest = None;
    runs::in_order(seeds.len(), jobs.unwrap_or_else(runs::jobs), run, |report| {
        coverage.merge(&report.coverage);
        simulated += report.simulated;
        if report.broken.is_some() {
            show(&report);
            failed.push(report.seed);
            smallest.get_or_insert(report);
        } else if arguments.seed.is_some() {
            let Report { seed, steps, hash, .. } = report;
            print(&format!("seed {seed}: whole after {steps} steps, trace {hash:016x}"));
        }
    });
    summary(seeds.len(), simulated, began.elapsed().as_secs_f64(), &coverage, &failed);
    if let Some(report) = smallest.filter(|_| !arguments.no_shrink) {
        if let Some(mistake) = mistake {
            mistake.put_in();
        }
        shrunk(arguments, report);
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Seeds that are kept for each mistake: a change of the code makes other runs of them, and rarely of all.
const KEPT_EACH: usize = 3;
/// How long a failure is made smaller.
const SHRINKS_FOR: Duration = Duration::from_secs(60);

/// The first failure again, with as little as it takes.
fn shrunk(arguments: &Arguments, report: Report) {
    let before = report.steps;
    let small = shrink::shrink(&options(arguments, report.seed), report, SHRINKS_FOR);
    print(&format!("\nThe first failure, made smaller in {} runs:", small.tried));
    for line in &small.report.last {
        print(line);
    }
    let (steps, given) = (small.report.steps, arguments.without.join(","));
    let given = if given.is_empty() { String::new() } else { format!(" --without {given}") };
    let mistake = arguments.mutant.as_ref().map(|name| format!(" --mutant {name}"));
    print(&format!("{steps} steps instead of {before}; replay:"));
    print(&format!("  {}{given}{} --events", small.replay(), mistake.unwrap_or_default()));
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
    if arguments.shares {
        mutants::shares(&mistakes, arguments.runs, |share| print(&share.to_string()));
        return ExitCode::SUCCESS;
    }
    print(&mutants::head());
    let catches = if arguments.keep { KEPT_EACH } else { 1 };
    let wanted = Hunt { fresh: arguments.runs, catches, deep: arguments.deep };
    let (rows, unsound) = mutants::hunt(&mistakes, wanted, |row| print(&row.to_string()));
    let missed: Vec<&str> =
        rows.iter().filter(|row| row.caught.is_empty()).map(|row| row.mistake.name).collect();
    let (caught, all) = (rows.len() - missed.len(), rows.len());
    print(&format!("{caught} of {all} mistakes caught in {:.1} s", began.elapsed().as_secs_f64()));
    if arguments.keep
        && let Err(error) = mutants::keep(&rows)
    {
        print(&format!("the seeds could not be kept: {error}"));
    }
    for name in &missed {
        print(&format!("not caught: {name}"));
    }
    for seed in &unsound {
        print(&format!("{seed} breaks without any mistake"));
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

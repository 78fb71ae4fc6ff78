//! `cargo sim --crash-points`: the operator dies after each of its side effects in turn.

use std::process::ExitCode;
use std::time::Instant;

use chronik_sim::crash_points::{LIVES, Life, Point, SEED, effects};
use chronik_sim::mutants::Mistake;
use chronik_sim::{Report, runs};

use crate::print;

/// All points of all lives; a table of them.
pub(crate) fn all(jobs: Option<usize>, seed: u64, mistake: Option<Mistake>) -> ExitCode {
    let began = Instant::now();
    let jobs = jobs.unwrap_or_else(runs::jobs);
    let mut failed = Vec::new();
    print(&format!(
        "{:<12} {:>12} {:>7} {:>7} {:>6}",
        "life", "side effects", "points", "failed", "s"
    ));
    let mut all = 0;
    for life in LIVES {
        let began = Instant::now();
        put_in(mistake);
        let whole = life.run(seed, false);
        let effects = effects(&whole);
        let points = match &whole.broken {
            // With a death it cannot be better.
            Some(_) => Vec::new(),
            None => life.points(effects),
        };
        let before = failed.len();
        if whole.broken.is_some() {
            show(&whole, life.name, mistake);
            failed.push(life.name.to_owned());
        }
        let run = |n: usize| {
            put_in(mistake);
            points[n].run(seed, false)
        };
        let mut next = points.iter();
        runs::in_order(points.len(), jobs, run, |report| {
            if let Some(point) = next.next()
                && report.broken.is_some()
            {
                // One of a life tells most; the others are replayed by their names.
                if failed.len() == before {
                    show(&report, &point.to_string(), mistake);
                }
                failed.push(point.to_string());
            }
        });
        all += points.len();
        let (count, bad) = (points.len(), failed.len() - before);
        let seconds = began.elapsed().as_secs_f64();
        print(&format!("{:<12} {effects:>12} {count:>7} {bad:>7} {seconds:>6.1}", life.name));
    }
    let seconds = began.elapsed().as_secs_f64();
    print(&format!("{all} crash points in {seconds:.1} s, {} failed {failed:?}", failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One point, or a life in which nobody dies.
pub(crate) fn one(text: &str, seed: u64, events: bool, mistake: Option<Mistake>) -> ExitCode {
    put_in(mistake);
    let report = match (Life::named(text), text.parse::<Point>()) {
        (Some(life), _) => life.run(seed, events),
        (None, Ok(point)) => point.run(seed, events),
        (None, Err(error)) => {
            print(&error);
            return ExitCode::FAILURE;
        }
    };
    if report.broken.is_some() {
        show(&report, text, mistake);
        return ExitCode::FAILURE;
    }
    let Report { steps, hash, simulated, .. } = report;
    let (effects, seconds) = (effects(&report), simulated as f64 / 1e6);
    print(&format!(
        "{text}: whole after {effects} side effects, {steps} steps and {seconds:.1} simulated s, trace {hash:016x}"
    ));
    ExitCode::SUCCESS
}

fn put_in(mistake: Option<Mistake>) {
    if let Some(mistake) = mistake {
        mistake.put_in();
    }
}

fn show(report: &Report, point: &str, mistake: Option<Mistake>) {
    for line in &report.last {
        print(line);
    }
    if let Some(broken) = &report.broken {
        print(&format!("{point} broke \"{}\" at step {}:", broken.invariant, report.steps));
        print(&format!("  {}", broken.what));
    }
    let mistake = mistake.map(|mistake| format!(" --mutant {}", mistake.name)).unwrap_or_default();
    let seed = match report.seed {
        SEED => String::new(),
        other => format!(" --seed {other}"),
    };
    print(&format!("replay: cargo sim --crash-point {point}{seed}{mistake} --events"));
    print("");
}

//! The seeds that failed once and some fresh ones end whole, go through all that matters, and come
//! to the same end when they are run again. `cargo sim` runs as many more as one likes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chronik_sim::{Coverage, Report};

/// Fresh seeds, from one on.
const FRESH: u64 = 48;
/// Seeds of these that are run twice.
const TWICE: usize = 4;

/// The runs of many seeds, on a few threads; each run is alone on its own.
fn runs(seeds: &[u64]) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let mut reports: Vec<(usize, Report)> = thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(seed) = seeds.get(n) else { return done };
                done.push((n, chronik_sim::run(*seed)));
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a run reports what broke"))
            .collect()
    });
    reports.sort_by_key(|(n, _)| *n);
    reports.into_iter().map(|(_, report)| report).collect()
}

#[test]
fn kept_and_fresh_seeds_end_whole_and_repeat() {
    let mut seeds = chronik_sim::kept_seeds();
    assert!(!seeds.is_empty());
    seeds.extend(1..=FRESH);
    let mut coverage = Coverage::default();
    let reports = runs(&seeds);
    for report in &reports {
        let Report { seed, broken, last, .. } = report;
        assert!(broken.is_none(), "cargo sim --seed {seed}: {broken:?}\n{}", last.join("\n"));
        coverage.merge(&report.coverage);
    }
    assert_eq!(coverage.missing(), Vec::<&str>::new(), "these runs prove too little:\n{coverage}");
    for (again, first) in runs(&seeds[..TWICE]).iter().zip(&reports) {
        let seed = first.seed;
        assert_eq!((again.hash, again.steps), (first.hash, first.steps), "seed {seed} differs");
        assert_eq!(again.coverage, first.coverage, "seed {seed} differs");
    }
}

#[test]
fn seeds_differ() {
    let reports = runs(&[1, 2]);
    assert_ne!(reports[0].hash, reports[1].hash);
}

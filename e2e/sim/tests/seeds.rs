//! The seeds that failed once and some fresh ones end whole, go through all that matters, and come
//! to the same end when they are run again. `cargo sim` runs as many more as one likes.

use chronik_sim::{Coverage, Report};

/// Fresh seeds, from one on.
const FRESH: u64 = 96;
/// Seeds of these that are run twice.
const TWICE: usize = 4;

fn runs(seeds: &[u64]) -> Vec<Report> {
    let mut reports = Vec::new();
    let run = |n: usize| chronik_sim::run(seeds[n]);
    chronik_sim::runs::in_order(seeds.len(), chronik_sim::runs::jobs(), run, |r| reports.push(r));
    reports
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

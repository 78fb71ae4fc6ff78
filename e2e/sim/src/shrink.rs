//! A failure made smaller: one part of the run after the other is left out, and stays out if the same
//! rule breaks without it. What is left is what it takes, near enough; it is a line to replay.
//!
//! Every part that is left out makes another run, so the rule may break elsewhere, or no more. Parts
//! are tried in turn until a whole turn has left nothing out, or the budget is spent.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::{Options, Report, World};

/// A smaller failure.
#[derive(Debug)]
pub struct Shrunk {
    /// The run that is left.
    pub report: Report,
    /// What it does without, as `--without` takes it.
    pub without: Vec<&'static str>,
    /// How long things go wrong in it, in seconds.
    pub hostile_s: u64,
    /// Runs that it took.
    pub tried: u32,
}

impl Shrunk {
    /// The line that runs it again.
    #[must_use]
    pub fn replay(&self) -> String {
        let mut line = format!("cargo sim --seed {}", self.report.seed);
        if !self.without.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(line, " --without {}", self.without.join(","));
        }
        let _ = write!(line, " --hostile {}", self.hostile_s);
        line
    }
}

const SECOND: u64 = 1_000_000;

/// Shrinks what broke in the run of `options`.
#[must_use]
pub fn shrink(options: &Options, report: Report, budget: Duration) -> Shrunk {
    let run = |options: &Options, steps_max| World::new(options.clone(), false).run(steps_max);
    shrink_with(run, options, report, budget)
}

fn shrink_with(
    run: impl Fn(&Options, u64) -> Report,
    options: &Options,
    report: Report,
    budget: Duration,
) -> Shrunk {
    let began = Instant::now();
    let mut best = Shrunk {
        report,
        without: Vec::new(),
        hostile_s: options.hostile_for.div_ceil(SECOND),
        tried: 0,
    };
    loop {
        let mut smaller = false;
        for part in Options::PARTS {
            if began.elapsed() >= budget {
                return best;
            }
            if !best.without.contains(part) && is_in(options, &best, part) {
                let without = [&best.without[..], &[*part]].concat();
                smaller |= best.take(&run, options, without, best.hostile_s);
            }
        }
        while best.hostile_s > 1 && began.elapsed() < budget {
            let without = best.without.clone();
            if !best.take(&run, options, without, best.hostile_s / 2) {
                break;
            }
            smaller = true;
        }
        if !smaller {
            return best;
        }
    }
}

/// Whether leaving this part out would change anything.
fn is_in(options: &Options, best: &Shrunk, part: &str) -> bool {
    let before = options.clone().without(&best.without);
    before != before.clone().without(&[part])
}

impl Shrunk {
    /// Takes the smaller run if the same rule breaks in it.
    fn take(
        &mut self,
        run: impl Fn(&Options, u64) -> Report,
        options: &Options,
        without: Vec<&'static str>,
        hostile_s: u64,
    ) -> bool {
        self.tried += 1;
        let smaller = options.clone().without(&without).hostile_for(hostile_s);
        // Twice as many steps are more than a smaller failure needs.
        let report = run(&smaller, self.report.steps.saturating_mul(2));
        let rule = |report: &Report| report.broken.as_ref().map(|broken| broken.invariant);
        if rule(&report).is_none() || rule(&report) != rule(&self.report) {
            return false;
        }
        (self.report, self.without, self.hostile_s) = (report, without, hostile_s);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Coverage, FaultKind, Violation};

    /// Breaks while there are kills and members of groups and things go wrong for three seconds.
    fn planted(options: &Options, _: u64) -> Report {
        let has_kills = options.faults.iter().any(|(kind, _)| *kind == FaultKind::Kill);
        let breaks = has_kills && options.workload.members > 0 && options.hostile_for >= 3 * SECOND;
        // Another rule breaks where nothing is paused: that is no smaller form of this failure.
        let paused = options.faults.iter().any(|(kind, _)| *kind == FaultKind::Pause);
        let invariant = if paused { "planted" } else { "another" };
        Report {
            seed: options.seed,
            steps: options.hostile_for / SECOND * 10 + options.faults.len() as u64,
            simulated: 0,
            hash: 0,
            coverage: Coverage::default(),
            broken: breaks.then(|| Violation { invariant, what: String::new() }),
            last: Vec::new(),
        }
    }

    #[test]
    fn what_is_left_is_what_it_takes() {
        let mut options = Options::swarm(7);
        options.faults = FaultKind::ALL.map(|kind| (kind, 1)).to_vec();
        options.hostile_for = 40 * SECOND;
        options.workload.members = 3;
        let report = planted(&options, 0);
        let small = shrink_with(planted, &options, report, Duration::from_secs(60));
        let left = options.clone().without(&small.without).hostile_for(small.hostile_s);
        let kinds: Vec<FaultKind> = left.faults.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [FaultKind::Kill, FaultKind::Pause]);
        assert_eq!((left.consumers, left.workload.members, left.operator_dies), (0, 3, 0));
        assert_eq!(small.hostile_s, 5);
        assert!(small.report.steps < 60, "{} steps", small.report.steps);
        assert_eq!(small.report.broken.as_ref().unwrap().invariant, "planted");
        let replay = small.replay();
        assert!(replay.starts_with("cargo sim --seed 7 --without blackout,"), "{replay}");
        assert!(replay.ends_with(" --hostile 5"), "{replay}");
    }

    #[test]
    fn without_time_it_stays_as_it_is() {
        let mut options = Options::swarm(7);
        options.faults = vec![(FaultKind::Kill, 1), (FaultKind::Pause, 1)];
        options.workload.members = 3;
        let report = planted(&options, 0);
        let small = shrink_with(planted, &options, report, Duration::ZERO);
        assert_eq!((small.tried, small.without.len()), (0, 0));
    }

    #[test]
    fn every_kind_of_fault_is_a_part() {
        let names = FaultKind::ALL.map(FaultKind::name);
        assert!(names.iter().all(|name| Options::PARTS.contains(name)));
        let bare = Options::swarm(7).without(Options::PARTS);
        assert_eq!((bare.faults.len(), bare.resizes.len(), bare.consumers), (0, 0, 0));
    }
}

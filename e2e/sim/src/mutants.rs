//! The simulator proves itself: each mistake that can be put into the core or the plan is put in,
//! and has to be noticed. Rows say which invariant did, and in which seed.
//!
//! The mistakes are compiled in with the feature `mutants`; [`COMPILED`] tells whether they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::crash_points::{LIVES, Life, NEVER, Point, SEED, effects};
use crate::{Options, STEPS_MAX, Violation, World, runs};

/// Seeds that caught a mistake once, tried before any other.
const KEPT: &str = include_str!("../mutants.txt");
/// Where they are kept, on the machine that this was built on.
const KEPT_AT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mutants.txt");

/// Whether mistakes are compiled in.
pub const COMPILED: bool = chronik_core::mutant::COMPILED;

/// A mistake in the broker, in the plan, or the same one in both.
#[derive(Debug, Clone, Copy)]
pub struct Mistake {
    /// Its name.
    pub name: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    core: Option<chronik_core::mutant::Mutant>,
    plan: Option<chronik_plan::mutant::Mutant>,
}

impl Mistake {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Mistake> {
        let core = chronik_core::mutant::Mutant::ALL.iter().map(|mutant| Mistake {
            name: mutant.name(),
            rule: mutant.rule(),
            core: Some(*mutant),
            plan: None,
        });
        let mut all: Vec<Mistake> = core.collect();
        for mutant in chronik_plan::mutant::Mutant::ALL {
            match all.iter_mut().find(|known| known.name == mutant.name()) {
                Some(known) => known.plan = Some(*mutant),
                None => all.push(Mistake {
                    name: mutant.name(),
                    rule: mutant.rule(),
                    core: None,
                    plan: Some(*mutant),
                }),
            }
        }
        all
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Mistake> {
        Mistake::all().into_iter().find(|mistake| mistake.name == name)
    }

    /// Puts it into all runs of this thread.
    pub fn put_in(self) {
        chronik_core::mutant::put_in(self.core);
        chronik_plan::mutant::put_in(self.plan);
    }

    /// What caught it before.
    fn kept(self) -> impl Iterator<Item = Run> {
        let lines = KEPT.lines().filter_map(|line| line.split('#').next()?.trim().split_once(' '));
        lines.filter(move |(name, _)| *name == self.name).filter_map(|(_, s)| Run::parse(s.trim()))
    }

    /// Runs seeds until so many have broken something, `fresh` new ones at most, and all crash points.
    /// If `deep`, looks what else would have noticed it.
    fn hunt(self, hunt: Hunt) -> Row {
        let began = Instant::now();
        let mut tried = BTreeSet::new();
        let mut caught = Vec::new();
        let seeds = crate::kept_seeds().into_iter().chain(1..=hunt.fresh).map(Run::Seed);
        // What only the plan does wrong shows when the operator dies between two orders, if at all.
        let early = points().take_while(|_| self.core.is_none());
        for run in self.kept().chain(early).chain(seeds).chain(points()) {
            if caught.len() >= hunt.catches {
                break;
            }
            if tried.insert(run.to_string())
                && let Some(violation) = self.broken_by(run)
            {
                caught.push((run, violation));
            }
        }
        let backstops = match caught.first() {
            Some((run, violation)) if hunt.deep => self.backstops(*run, violation.invariant),
            Some(_) | None => Vec::new(),
        };
        Row { mistake: self, caught, backstops, runs: tried.len(), took: began.elapsed() }
    }

    /// What it breaks in a run.
    fn broken_by(self, run: Run) -> Option<Violation> {
        self.put_in();
        let broken = run.broken(&[]);
        take_out();
        broken
    }

    /// Which of the first so many seeds notice it.
    fn share(self, seeds: u64) -> Share {
        let began = Instant::now();
        let mut share = Share { mistake: self, seeds, by: BTreeMap::new(), took: Duration::ZERO };
        for seed in 1..=seeds {
            if let Some(violation) = self.broken_by(Run::Seed(seed)) {
                *share.by.entry(violation.invariant).or_default() += 1;
            }
        }
        share.took = began.elapsed();
        share
    }

    /// Which other invariants notice it in this run, one after the other, when those before them are
    /// not looked at. The run ends whole, or does not end, once there is none left.
    fn backstops(self, run: Run, first: &'static str) -> Vec<&'static str> {
        let mut noticed = vec![first];
        self.put_in();
        // A run that does not become whole has nothing more to show.
        while noticed.last() != Some(&"liveness")
            && let Some(violation) = run.broken(&noticed)
        {
            if noticed.contains(&violation.invariant) {
                break;
            }
            noticed.push(violation.invariant);
        }
        take_out();
        noticed.split_off(1)
    }
}

fn take_out() {
    chronik_core::mutant::put_in(None);
    chronik_plan::mutant::put_in(None);
}

/// What can catch a mistake.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// The run of a seed.
    Seed(u64),
    /// The life of a cluster in which nobody dies.
    Life(&'static Life),
    /// One in which the operator dies.
    Point(Point),
}

/// All lives, each with all of its crash points. How many side effects a life has is counted only
/// once it is its turn: with the mistake in it, it is caught there, or it has as many.
fn points() -> impl Iterator<Item = Run> {
    LIVES.iter().flat_map(|life| {
        let points =
            std::iter::once_with(|| life.points(effects(&life.run(SEED, false)))).flatten();
        std::iter::once(Run::Life(life)).chain(points.map(Run::Point))
    })
}

impl Run {
    fn parse(text: &str) -> Option<Run> {
        let seed = text.parse().ok().map(Run::Seed);
        seed.or_else(|| text.parse().ok().map(Run::Point))
            .or_else(|| Life::named(text).map(Run::Life))
    }

    /// What breaks in it, with no look at some of the invariants.
    fn broken(self, without: &[&'static str]) -> Option<Violation> {
        let report = match self {
            Run::Seed(seed) => {
                World::new(Options::swarm(seed), false).without(without).run(STEPS_MAX)
            }
            Run::Life(life) => life.run_without(without, SEED, false),
            Run::Point(point) => point.run_without(without, SEED, false),
        };
        report.broken.filter(|violation| violation.invariant != NEVER)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Run::Seed(seed) => write!(f, "{seed}"),
            Run::Life(life) => f.write_str(life.name),
            Run::Point(point) => write!(f, "{point}"),
        }
    }
}

/// How mistakes are hunted.
#[derive(Debug, Clone, Copy)]
pub struct Hunt {
    /// Fresh seeds, after those that are kept.
    pub fresh: u64,
    /// Seeds that have to notice each mistake before the next one's turn.
    pub catches: usize,
    /// Whether to look what else would have noticed it.
    pub deep: bool,
}

/// How many of the first seeds notice a mistake.
#[derive(Debug)]
pub struct Share {
    /// The mistake.
    pub mistake: Mistake,
    /// How many seeds were run with it.
    pub seeds: u64,
    /// How many of these broke what.
    pub by: BTreeMap<&'static str, u64>,
    /// How long that took.
    pub took: Duration,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, all, seconds) = (self.mistake.name, self.seeds, self.took.as_secs_f64());
        let count: u64 = self.by.values().sum();
        let percent = count as f64 * 100.0 / all.max(1) as f64;
        write!(f, "{name:<29} {count:>5} of {all} {percent:>5.1} % {seconds:>6.1} s ")?;
        self.by.iter().try_for_each(|(by, times)| write!(f, " {by}: {times};"))
    }
}

/// What became of one mistake.
#[derive(Debug)]
pub struct Row {
    /// The mistake.
    pub mistake: Mistake,
    /// What caught it, and how; the first is shown.
    pub caught: Vec<(Run, Violation)>,
    /// What else would have noticed it there.
    pub backstops: Vec<&'static str>,
    /// How many runs it took.
    pub runs: usize,
    /// How long that took.
    pub took: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (by, run) = match self.caught.first() {
            Some((run, violation)) => (violation.invariant, run.to_string()),
            None => ("NOT CAUGHT", "-".to_owned()),
        };
        let seconds = self.took.as_secs_f64();
        let (name, runs) = (self.mistake.name, self.runs);
        write!(f, "{name:<29} {by:<45} {run:>17} {runs:>5} {seconds:>6.1}")?;
        if !self.backstops.is_empty() {
            write!(f, "  then {}", self.backstops.join("; "))?;
        }
        Ok(())
    }
}

/// Writes the seeds that caught the mistakes of `rows` to where the next build finds them; mistakes
/// that are not in `rows`, or were not caught, keep theirs.
pub fn keep(rows: &[Row]) -> std::io::Result<()> {
    let head = KEPT.lines().take_while(|line| line.starts_with('#'));
    let mut lines: Vec<String> = head.map(str::to_owned).collect();
    for mistake in Mistake::all() {
        let row = rows.iter().find(|row| row.mistake.name == mistake.name);
        let caught =
            row.map_or_else(Vec::new, |row| row.caught.iter().map(|(run, _)| *run).collect());
        let kept = if caught.is_empty() { mistake.kept().collect() } else { caught };
        lines.extend(kept.iter().map(|run| format!("{} {run}", mistake.name)));
    }
    std::fs::write(KEPT_AT, lines.join("\n") + "\n")
}

/// How many of the first seeds notice each of `mistakes`, each shown when it is known.
pub fn shares(mistakes: &[Mistake], seeds: u64, show: impl Fn(&Share) + Sync) {
    each(mistakes, |mistake| show(&mistake.share(seeds)));
}

/// Does something about each mistake, on as many threads as there are cores.
fn each<T: Send>(mistakes: &[Mistake], work: impl Fn(Mistake) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let Some(mistake) = mistakes.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(work(*mistake));
        }
        done
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..runs::jobs()).map(|_| scope.spawn(take)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

/// The head of the table.
#[must_use]
pub fn head() -> String {
    format!("{:<29} {:<45} {:>17} {:>5} {:>6}", "mistake", "caught by", "seed", "runs", "s")
}

/// Hunts all of `mistakes`, on as many threads as there are cores, and shows each row when it is
/// there. What catches a mistake has to end whole without it, or it proves nothing: those that
/// do not come second.
pub fn hunt(
    mistakes: &[Mistake],
    hunt: Hunt,
    show: impl Fn(&Row) + Sync,
) -> (Vec<Row>, Vec<String>) {
    let sound: Mutex<BTreeMap<String, bool>> = Mutex::default();
    let rows = each(mistakes, |mistake| {
        let row = mistake.hunt(hunt);
        for (run, _) in &row.caught {
            let name = run.to_string();
            let known = sound.lock().is_ok_and(|sound| sound.contains_key(&name));
            if !known {
                let whole = run.broken(&[]).is_none();
                let _ = sound.lock().map(|mut sound| sound.insert(name, whole));
            }
        }
        show(&row);
        row
    });
    let sound = sound.into_inner().unwrap_or_default();
    (rows, sound.into_iter().filter(|(_, whole)| !whole).map(|(run, _)| run).collect())
}

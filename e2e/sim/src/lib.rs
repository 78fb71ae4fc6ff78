//! Whole clusters of real cores and the real plan in one thread, under a seeded hostile world.
//!
//! ```text
//!   options (drawn from the seed) --> World: one queue of events, one virtual clock
//!                                       |
//!         clients   operator   faults   net   nodes (Core + MemDisk)
//!                                       |
//!                     invariants after every round, liveness at the end
//! ```
//!
//! `docs/simulation.md` says what is simulated, what is not, and how to add to it.

mod client;
mod coverage;
pub mod crash_points;
mod equality;
mod event;
mod faults;
mod invariants;
mod liveness;
pub mod mutants;
mod net;
mod node;
mod operator;
mod options;
mod prng;
pub mod runs;
pub mod shrink;
mod trace;
mod workload;
mod world;

pub use coverage::Coverage;
pub use invariants::Violation;
pub use options::{FaultKind, Options};
pub use workload::Workload;
pub use world::{Report, World};

/// Seeds that failed once; they are run for ever.
const KEPT: &str = include_str!("../seeds.txt");

/// More steps than any run needs: a run that does not end is broken too.
pub const STEPS_MAX: u64 = 5_000_000;

/// The run of one seed.
#[must_use]
pub fn run(seed: u64) -> Report {
    World::new(Options::swarm(seed), false).run(STEPS_MAX)
}

/// Seeds that failed once.
#[must_use]
pub fn kept_seeds() -> Vec<u64> {
    let lines = KEPT.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    lines.filter_map(|line| line.parse().ok()).collect()
}

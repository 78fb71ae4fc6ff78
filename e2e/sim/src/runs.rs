//! Many runs, on as many threads as one likes. Each run is alone on its own, and they are told of in
//! the order in which they were asked for, so that what is printed does not depend on chance.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::Report;

/// The threads that this machine has to offer.
#[must_use]
pub fn jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does `run` for all numbers below `count`, `jobs` of them at a time; `tell` hears of each in turn.
pub fn in_order(
    count: usize,
    jobs: usize,
    run: impl Fn(usize) -> Report + Sync,
    mut tell: impl FnMut(Report),
) {
    let next = AtomicUsize::new(0);
    let (done, reports) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (next, run, done) = (&next, &run, done.clone());
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    // Whoever listens is gone only when all of this is over.
                    if n >= count || done.send((n, run(n))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (n, report) in reports {
            early.insert(n, report);
            while let Some(report) = early.remove(&due) {
                tell(report);
                due += 1;
            }
        }
    });
}

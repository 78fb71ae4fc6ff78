//! For crash tests: `CHRONIK_EXIT_AFTER=<n>` ends the operator after its n-th side effect as if it
//! had been killed, so that every point between two of them can be tried in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts side effects, and ends the process at the one that was asked for.
#[derive(Debug, Clone, Default)]
pub struct SideEffects {
    left: Option<Arc<AtomicU64>>,
}

impl SideEffects {
    /// As the environment says; without it, nothing is counted.
    #[must_use]
    pub fn from_environment() -> SideEffects {
        let after = std::env::var("CHRONIK_EXIT_AFTER").ok().and_then(|n| n.parse().ok());
        SideEffects { left: after.filter(|n| *n > 0).map(|n: u64| Arc::new(AtomicU64::new(n))) }
    }

    /// One was made. Nothing is cleaned up before the end: brokers stay.
    pub fn count(&self) {
        let Some(left) = &self.left else { return };
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::exit(137);
        }
    }
}

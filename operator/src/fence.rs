//! Until when this operator leads, as it may know it: measured from before the last renewal of its
//! lease began, and shorter than the lease. Checked before everything that changes something.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Whether changes are still this operator's to make.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Fence {
    /// This operator leads until then.
    pub fn extend(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// It leads no more.
    pub fn close(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it leads now.
    #[must_use]
    pub fn holds(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_holds_only_while_it_is_extended() {
        let fence = Fence::default();
        let seen_by_others = fence.clone();
        assert!(!seen_by_others.holds());
        fence.extend(Instant::now() + Duration::from_secs(3600));
        assert!(seen_by_others.holds());
        fence.extend(Instant::now());
        assert!(!seen_by_others.holds(), "the time is over");
        fence.extend(Instant::now() + Duration::from_secs(3600));
        fence.close();
        assert!(!seen_by_others.holds());
    }
}

//! Pure: whether a cluster that has something to do gets anywhere. What it does may take as long as it
//! takes; it has come to a stop when nothing that can be seen of it has changed for a while.

use std::time::{Duration, Instant};

use crate::api::status::ClusterStatus;

/// A cluster that stands still for this long needs somebody.
pub const AFTER: Duration = Duration::from_secs(300);

/// What was last seen of one cluster, and since when it has been so. A new operator begins anew.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Option<(Sighting, Instant)>,
}

/// What changes whenever there is progress.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sighting {
    operation: Option<String>,
    waiting: Vec<String>,
    brokers: Vec<(u32, String, String, u32, String)>,
    copied: u64,
}

impl Watch {
    /// Looks at a pass: `busy` says that something is left to do, `copied` how far replicas that are
    /// being filled have come. True if nothing has happened for [`AFTER`].
    pub fn is_stalled(
        &mut self,
        status: &ClusterStatus,
        busy: bool,
        copied: u64,
        now: Instant,
    ) -> bool {
        if !busy {
            self.seen = None;
            return false;
        }
        let brokers = status.brokers.iter();
        let brokers = brokers
            .map(|b| (b.id, b.state.clone(), b.role.clone(), b.groups, b.directory.clone()))
            .collect();
        let (operation, waiting) = (status.operation.clone(), status.waiting.clone());
        let sighting = Sighting { operation, waiting, brokers, copied };
        match &self.seen {
            Some((before, since)) if *before == sighting => now.duration_since(*since) >= AFTER,
            _ => {
                self.seen = Some((sighting, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_for(what: &str) -> ClusterStatus {
        ClusterStatus { waiting: vec![what.into()], ..ClusterStatus::default() }
    }

    #[test]
    fn it_is_stalled_when_nothing_happens_for_five_minutes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        let one = waits_for("broker 4 to answer");
        assert!(!watch.is_stalled(&one, true, 0, at(0)));
        assert!(!watch.is_stalled(&one, true, 0, at(299)));
        assert!(watch.is_stalled(&one, true, 0, at(300)));
        // A replica that fills slowly is progress; so is another thing to wait for.
        assert!(!watch.is_stalled(&one, true, 1, at(301)));
        assert!(!watch.is_stalled(&waits_for("something else"), true, 1, at(601)));
        assert!(watch.is_stalled(&waits_for("something else"), true, 1, at(901)));
        assert!(!watch.is_stalled(&one, false, 1, at(902)), "nothing is left to do");
        assert!(!watch.is_stalled(&one, true, 1, at(1500)), "it has only begun");
    }
}

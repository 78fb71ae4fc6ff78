//! How long a producer went without an acknowledgement: from the cluster as a whole, and from the
//! partition that was worst off, which the whole hides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The longest times without an acknowledgement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pause {
    /// From any partition.
    pub whole: Duration,
    /// From one of them.
    pub partition: Duration,
}

impl Pause {
    fn max(self, other: Pause) -> Pause {
        Pause { whole: self.whole.max(other.whole), partition: self.partition.max(other.partition) }
    }
}

/// Written down as acknowledgements come.
#[derive(Debug, Default)]
pub struct Pauses {
    last: Option<Instant>,
    partitions: BTreeMap<i32, Instant>,
    longest: Pause,
    recent: Pause,
}

impl Pauses {
    /// An acknowledgement of this partition came.
    pub fn acked(&mut self, partition: i32, now: Instant) {
        let whole = self.last.replace(now);
        let own = self.partitions.insert(partition, now);
        let since = |last: Option<Instant>| last.map_or(Duration::ZERO, |last| now - last);
        let pause = Pause { whole: since(whole), partition: since(own) };
        self.recent = self.recent.max(pause);
        self.longest = self.longest.max(pause);
    }

    /// The longest since this was last asked, with those that have not ended.
    pub fn take(&mut self, now: Instant) -> Pause {
        let since = |last: &Instant| now - *last;
        let open = Pause {
            whole: self.last.as_ref().map(since).unwrap_or_default(),
            partition: self.partitions.values().map(since).max().unwrap_or_default(),
        };
        self.longest = self.longest.max(open);
        self.last = self.last.map(|_| now);
        self.partitions.values_mut().for_each(|last| *last = now);
        std::mem::take(&mut self.recent).max(open)
    }

    /// The longest of all.
    #[must_use]
    pub fn longest(&self) -> Pause {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_waits_is_seen_though_others_go_on() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let pause = |whole, partition| Pause {
            whole: Duration::from_secs(whole),
            partition: Duration::from_secs(partition),
        };
        let mut pauses = Pauses::default();
        pauses.acked(0, at(0));
        for second in 0..9 {
            pauses.acked(1, at(second));
        }
        assert_eq!(pauses.take(at(10)), pause(2, 10), "those that have not ended count");
        pauses.acked(0, at(11));
        assert_eq!(pauses.take(at(12)), pause(1, 2));
        assert_eq!(pauses.longest(), pause(2, 10));
    }
}

//! Those who wait for a partition to start later: DeleteRecords, up to a time of its own.

use std::collections::BTreeMap;

use super::Core;
use crate::error::KafkaError;
use crate::ids::{Index, Micros, PartitionId, Term};
use crate::log::disk::Disk;
use crate::raft::group::Proposed;
use crate::raft::ready::Committed;

/// Called when a new log start is decided, or when that took too long.
pub(crate) type Then<D> = Box<dyn FnOnce(&mut Core<D>, Result<(), KafkaError>)>;

/// The entry that somebody waits for, and their number.
type Key = (PartitionId, Index, u64);

/// Those who wait, by the entry that they wait for.
pub(super) struct LogStarts<D: Disk> {
    waiting: BTreeMap<Key, Waiter<D>>,
    next: u64,
}

struct Waiter<D: Disk> {
    term: Term,
    deadline: Micros,
    then: Then<D>,
}

impl<D: Disk> Default for LogStarts<D> {
    fn default() -> LogStarts<D> {
        LogStarts { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<D: Disk> Core<D> {
    pub(crate) fn await_log_start(
        &mut self,
        id: PartitionId,
        at: Proposed,
        deadline: Micros,
        then: Then<D>,
    ) {
        self.log_starts.next += 1;
        let key = (id, at.index, self.log_starts.next);
        self.log_starts.waiting.insert(key, Waiter { term: at.term, deadline, then });
    }

    pub(super) fn decide_log_starts(&mut self, id: PartitionId, entry: &Committed) {
        for waiter in self.take_log_starts(id, entry.index) {
            let decided = waiter.term == entry.term;
            let result = if decided { Ok(()) } else { Err(KafkaError::NotLeaderOrFollower) };
            (waiter.then)(self, result);
        }
    }

    pub(super) fn fail_log_starts(&mut self, id: PartitionId) {
        for waiter in self.take_log_starts(id, Index::MAX) {
            (waiter.then)(self, Err(KafkaError::NotLeaderOrFollower));
        }
    }

    /// Gives up those whose time is over. What they wait for may still happen.
    pub(super) fn tick_log_starts(&mut self) {
        let now = self.now.mono;
        let waiting = self.log_starts.waiting.iter();
        let late = waiting.filter(|(_, waiter)| waiter.deadline <= now).map(|(key, _)| *key);
        for waiter in self.remove_log_starts(late.collect()) {
            (waiter.then)(self, Err(KafkaError::RequestTimedOut));
        }
    }

    fn take_log_starts(&mut self, id: PartitionId, upto: Index) -> Vec<Waiter<D>> {
        if self.log_starts.waiting.is_empty() {
            return Vec::new();
        }
        let range = (id, 0, 0)..=(id, upto, u64::MAX);
        let due = self.log_starts.waiting.range(range).map(|(key, _)| *key).collect();
        self.remove_log_starts(due)
    }

    fn remove_log_starts(&mut self, keys: Vec<Key>) -> Vec<Waiter<D>> {
        keys.into_iter().filter_map(|key| self.log_starts.waiting.remove(&key)).collect()
    }
}

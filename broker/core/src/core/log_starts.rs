//! Those who wait for a partition to start later: DeleteRecords.

use std::collections::BTreeMap;

use super::Core;
use crate::error::KafkaError;
use crate::ids::{Index, PartitionId, Term};
use crate::log::disk::Disk;
use crate::raft::group::Proposed;
use crate::raft::ready::Committed;

/// Called when a new log start is decided.
pub(crate) type Then<D> = Box<dyn FnOnce(&mut Core<D>, Result<(), KafkaError>)>;

/// Those who wait, by the entry that they wait for.
pub(super) struct LogStarts<D: Disk>(BTreeMap<(PartitionId, Index, u64), (Term, Then<D>)>, u64);

impl<D: Disk> Default for LogStarts<D> {
    fn default() -> LogStarts<D> {
        LogStarts(BTreeMap::new(), 0)
    }
}

impl<D: Disk> Core<D> {
    pub(crate) fn await_log_start(&mut self, id: PartitionId, at: Proposed, then: Then<D>) {
        self.log_starts.1 += 1;
        let number = self.log_starts.1;
        self.log_starts.0.insert((id, at.index, number), (at.term, then));
    }

    pub(super) fn decide_log_starts(&mut self, id: PartitionId, entry: &Committed) {
        for (term, then) in self.take_log_starts(id, entry.index) {
            let decided = term == entry.term;
            then(self, if decided { Ok(()) } else { Err(KafkaError::NotLeaderOrFollower) });
        }
    }

    pub(super) fn fail_log_starts(&mut self, id: PartitionId) {
        for (_, then) in self.take_log_starts(id, Index::MAX) {
            then(self, Err(KafkaError::NotLeaderOrFollower));
        }
    }

    fn take_log_starts(&mut self, id: PartitionId, upto: Index) -> Vec<(Term, Then<D>)> {
        if self.log_starts.0.is_empty() {
            return Vec::new();
        }
        let range = (id, 0, 0)..=(id, upto, u64::MAX);
        let due: Vec<_> = self.log_starts.0.range(range).map(|(key, _)| *key).collect();
        due.into_iter().filter_map(|key| self.log_starts.0.remove(&key)).collect()
    }
}

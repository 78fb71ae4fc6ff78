//! A group's log as raft sees it. Raft panics on most errors of a storage, so one that happens is
//! kept as the group's fault, and raft is told that there is nothing right now.

use raft::eraftpb::{Entry as RaftEntry, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::GroupLog;
use crate::log::disk::Disk;
use crate::log::image::Image;
use crate::mutant::{self, Mutant};

impl<D: Disk> Storage for GroupLog<D> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard.clone(), self.conf.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<RaftEntry>> {
        if low < self.first() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        assert!(high <= self.last() + 1, "entries of {} up to {high} do not exist", self.id);
        // Campaigning and applying must see all entries; only replication may be cut short.
        let budget = if context.can_async() { self.payload_budget } else { u64::MAX };
        let max_size = max_size.into().unwrap_or(u64::MAX);
        let (mut size, mut payload) = (0u64, 0u64);
        let mut entries = Vec::new();
        let mut cold = Vec::new().into_iter();
        for index in low..high {
            let found = match self.raft_entry(index, high, &mut cold) {
                Ok(found) => found,
                Err(error) => {
                    self.fault.replace(Some(error));
                    break;
                }
            };
            let (entry, len) = found;
            size += entry.data.len() as u64 + 24;
            payload += len;
            if !entries.is_empty() && (size > max_size || payload > budget) {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index + 1 < self.first() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if index > self.last() {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        Ok(self.terms.term(index))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// The log as of its first segment, with the members as they are now.
    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let unavailable = raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable);
        let Some(first) = self.segments.first() else { return Err(unavailable) };
        let index = first.base_index - 1;
        if index == 0 || index < request_index {
            return Err(unavailable);
        }
        let state = match first.state(&self.place()) {
            Ok(state) => state,
            Err(error) => {
                self.fault.replace(Some(error));
                return Err(unavailable);
            }
        };
        let mut image = Image {
            index,
            term: self.terms.term(index),
            start: self.start.max(first.base_offset),
            next: first.base_offset,
            conf: self.conf.clone(),
            conf_index: self.conf_index,
            state,
        };
        if mutant::is(Mutant::SnapshotForgetsConfIndex) {
            image.conf_index = index;
        }
        if mutant::is(Mutant::SnapshotForgetsLearners) {
            image.conf.learners.clear();
        }
        Ok(image.to_raft())
    }
}

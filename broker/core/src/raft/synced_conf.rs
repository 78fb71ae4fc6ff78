//! The membership that others may be told of: the last one whose commit is synced here.
//!
//! Whoever hears of a removal destroys the removed replica. A leader that had told of it, and then
//! lost the commit with its power, would go by the membership before, and could need the vote of the
//! one that is gone. The group itself goes by the newest membership, synced or not.

use std::collections::VecDeque;

use raft::eraftpb::ConfState;

use super::group::Group;
use crate::ids::Index;
use crate::log::disk::Disk;

/// A membership, the index that made it, and those after it that are not synced yet.
#[derive(Debug)]
pub(super) struct SyncedConf {
    conf: ConfState,
    index: Index,
    /// With the round of the node whose sync covers it, oldest first.
    unsynced: VecDeque<(u64, ConfState, Index)>,
}

impl SyncedConf {
    pub(super) fn new(conf: ConfState, index: Index) -> SyncedConf {
        SyncedConf { conf, index, unsynced: VecDeque::new() }
    }

    /// The log has this membership since `round`.
    pub(super) fn note(&mut self, round: u64, conf: &ConfState, index: Index) {
        let known = self.unsynced.back().map_or(self.index, |(_, _, index)| *index);
        if known != index {
            self.unsynced.push_back((round, conf.clone(), index));
        }
    }

    /// Everything up to the sync of `round` is on disk.
    pub(super) fn persisted(&mut self, round: u64) {
        while self.unsynced.front().is_some_and(|(at, ..)| *at <= round) {
            if let Some((_, conf, index)) = self.unsynced.pop_front() {
                (self.conf, self.index) = (conf, index);
            }
        }
    }

    /// Whether one waits for its sync.
    pub(super) fn awaits_sync(&self) -> bool {
        !self.unsynced.is_empty()
    }
}

impl<D: Disk> Group<D> {
    /// The members that others may be told of, and the index of the change that made them.
    pub fn synced_conf(&self) -> (&ConfState, Index) {
        (&self.synced_conf.conf, self.synced_conf.index)
    }
}

//! The state of a replica in a few numbers, for whoever compares the replicas of a group: the
//! simulator. Computed when it is asked for, so a broker that nobody asks pays nothing.
//!
//! In it is what replicas must have in common at equal applied index: entries with their payloads,
//! where the log starts and ends, the members, and what the entries made (`__meta`'s image,
//! idempotent producers, consumer groups with their offsets). Not in it is what each replica has
//! for itself: term, vote and role (they are of elections, not of entries), where its segments
//! begin and what is cached (when it flushed), what only a leader has (batches in flight, sessions
//! of members, waiters), and the order in which raft keeps the members.

use std::hash::{DefaultHasher, Hash, Hasher};

use raft::eraftpb::ConfState;

use super::{Core, Machine};
use crate::ids::{Index, Offset, PartitionId};
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::log::entry::{Body, Entry};
use crate::log::group_log::GroupLog;

/// The state of a replica as of its last applied entry. Hashes of one build are comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHash {
    /// The last entry that took effect.
    pub applied: Index,
    /// The first offset that can be read; none where the state replaces the entries that made it,
    /// and each replica drops them when its own segments allow.
    pub log_start: Option<Offset>,
    /// The offset after the last record.
    pub log_end: Offset,
    /// The entries, from the one that was asked for to the last applied one.
    pub log: u64,
    /// The members, and the entry that made them.
    pub members: u64,
    /// What the entries made.
    pub machine: u64,
}

impl<D: Disk> Core<D> {
    /// The state of a replica with its entries from `from` on, which its log must have; none if this
    /// node holds no such replica, an error if an entry cannot be read.
    pub fn state_hash(&self, id: PartitionId, from: Index) -> Option<Result<StateHash, LogError>> {
        let replica = self.replicas.get(&id)?;
        let (applied, machine) = self.machine_hash(id)?;
        let log = replica.group.log();
        let (conf, conf_index) = log.conf();
        let keeps_records = matches!(replica.machine, Machine::Records(_));
        Some(entries_hash(log, from, applied).map(|entries| StateHash {
            applied,
            log_start: keeps_records.then(|| log.log_start()),
            log_end: log.log_end(),
            log: entries,
            members: members_hash(conf, conf_index),
            machine,
        }))
    }

    /// The last entry that took effect at a replica, and what all of them made; none if this node
    /// holds no such replica.
    pub fn machine_hash(&self, id: PartitionId) -> Option<(Index, u64)> {
        let replica = self.replicas.get(&id)?;
        let state = match &replica.machine {
            Machine::Meta => self.meta.encode(),
            Machine::Groups(coordinator) => coordinator.encode(),
            Machine::Records(partition) => partition.producers.encode(),
        };
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        Some((replica.group.applied(), hasher.finish()))
    }
}

fn entries_hash<D: Disk>(log: &GroupLog<D>, from: Index, applied: Index) -> Result<u64, LogError> {
    let mut hasher = DefaultHasher::new();
    for index in from..=applied {
        let Entry { index, term, body } = log.entry(index)?;
        (index, term).hash(&mut hasher);
        match body {
            Body::Noop => 0_u8.hash(&mut hasher),
            Body::ConfChange(change) => (1_u8, change).hash(&mut hasher),
            Body::LogStart(offset) => (2_u8, offset).hash(&mut hasher),
            Body::Batch(info, batch) => {
                // Its offset and its producer are in its bytes too; when it was proposed is not.
                (3_u8, info.base_offset, info.append_ms, batch).hash(&mut hasher);
            }
        }
    }
    Ok(hasher.finish())
}

fn members_hash(conf: &ConfState, conf_index: Index) -> u64 {
    let mut hasher = DefaultHasher::new();
    for ids in [&conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next] {
        let mut ids = ids.clone();
        ids.sort_unstable();
        ids.hash(&mut hasher);
    }
    (conf.auto_leave, conf_index).hash(&mut hasher);
    hasher.finish()
}

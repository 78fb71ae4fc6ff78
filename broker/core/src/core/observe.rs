//! What a node's replicas hold at one moment, entry by entry, for whoever checks a whole cluster
//! from outside: the simulator. Read-only; `inspect` has the numbers that people look at.

use bytes::Bytes;
use raft::eraftpb::ConfState;

use super::Core;
use crate::ids::{Index, Offset, PartitionId, PeerId, Term};
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::log::entry::Entry;
use crate::meta;
use crate::raft::group::Role;

/// One replica at one moment.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaView<'a> {
    /// The group.
    pub id: PartitionId,
    /// This life of the replica.
    pub peer: PeerId,
    /// Its role.
    pub role: Role,
    /// Who leads, as far as it knows.
    pub leader: Option<PeerId>,
    /// Its term.
    pub term: Term,
    /// Whom it voted for in that term; 0 is nobody.
    pub vote: u64,
    /// The last entry that it knows to be committed.
    pub committed: Index,
    /// The last entry that took effect.
    pub applied: Index,
    /// The first entry of its log.
    pub first: Index,
    /// The last entry of its log, synced or not.
    pub last: Index,
    /// The membership that it goes by.
    pub conf: &'a ConfState,
    /// The index that the membership came from.
    pub conf_index: Index,
    /// The first offset that can be read.
    pub log_start: Offset,
    /// The offset after the last record, committed or not.
    pub log_end: Offset,
}

impl<D: Disk> Core<D> {
    /// The replicas in service.
    pub fn replica_views(&self) -> impl Iterator<Item = ReplicaView<'_>> {
        self.replicas.values().map(|replica| {
            let group = &replica.group;
            let log = group.log();
            let (conf, conf_index) = log.conf();
            ReplicaView {
                id: group.id(),
                peer: group.peer(),
                role: group.role(),
                leader: group.leader(),
                term: group.term(),
                vote: group.vote(),
                committed: group.committed(),
                applied: group.applied(),
                first: log.first(),
                last: group.last_index(),
                conf,
                conf_index,
                log_start: log.log_start(),
                log_end: log.log_end(),
            }
        })
    }

    /// Replicas that wait for the cluster's image, as they came back from disk: group, life, the
    /// last entry known to be committed, and the terms of those after it.
    pub fn dormant_logs(
        &self,
    ) -> impl Iterator<Item = (PartitionId, PeerId, Index, Vec<(Index, Term)>)> {
        self.dormant.values().map(|log| {
            let committed = log.hard_state().commit;
            let after = (committed + 1..=log.last())
                .filter_map(|index| Some((index, raft::Storage::term(log, index).ok()?)));
            (log.id(), log.peer(), committed, after.collect())
        })
    }

    /// The term of an entry; none if it is outside the log.
    pub fn term_at(&self, id: PartitionId, index: Index) -> Option<Term> {
        self.replicas.get(&id)?.group.term_at(index)
    }

    /// An entry with its payload; none if this node holds no such replica.
    pub fn entry_at(&self, id: PartitionId, index: Index) -> Option<Result<Entry, LogError>> {
        Some(self.replicas.get(&id)?.group.log().entry(index))
    }

    /// Replicas taken offline, and why.
    pub fn offline_replicas(&self) -> impl Iterator<Item = (PartitionId, PeerId, &str)> {
        self.offline.iter().map(|(id, offline)| (*id, offline.peer, offline.reason.as_str()))
    }

    /// This node's image of the cluster, and the index of `__meta` that it is at.
    pub fn image(&self) -> (Index, &meta::State) {
        (self.meta_applied, &self.meta)
    }

    /// The bytes of that image: equal on all nodes at the same index.
    pub fn image_bytes(&self) -> Bytes {
        self.meta.encode()
    }
}

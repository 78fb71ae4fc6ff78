//! What a node's replicas hold at one moment, entry by entry, for whoever checks a whole cluster
//! from outside: the simulator. Read-only; `inspect` has the numbers that people look at.

use bytes::Bytes;
use raft::eraftpb::ConfState;

use super::{Core, Machine};
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
    /// The last entry of its log, synced or not; what a leader has just proposed is in memory only.
    pub last: Index,
    /// The last entry that went to the write-ahead log.
    pub logged: Index,
    /// The last entry that is in a segment.
    pub flushed: Index,
    /// The membership that it goes by.
    pub conf: &'a ConfState,
    /// The index that the membership came from.
    pub conf_index: Index,
    /// The first offset that can be read.
    pub log_start: Offset,
    /// The offset after the last record, committed or not.
    pub log_end: Offset,
    /// Batches of idempotent producers that it takes for proposed by itself in this term.
    pub in_flight: usize,
}

/// A replica that waits for the cluster's image, as it came back from disk.
#[derive(Debug, Clone)]
pub struct DormantView {
    /// The group.
    pub id: PartitionId,
    /// This life of the replica.
    pub peer: PeerId,
    /// Its term.
    pub term: Term,
    /// Whom it voted for in that term; 0 is nobody.
    pub vote: u64,
    /// The last entry that it knows to be committed.
    pub committed: Index,
    /// The entries after that one, and their terms.
    pub after: Vec<(Index, Term)>,
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
                logged: log.last(),
                flushed: log.flushed_index(),
                conf,
                conf_index,
                log_start: log.log_start(),
                log_end: log.log_end(),
                in_flight: match &replica.machine {
                    Machine::Records(partition) => partition.in_flight.len(),
                    Machine::Meta | Machine::Groups(_) => 0,
                },
            }
        })
    }

    /// Replicas that wait for the cluster's image.
    pub fn dormant_views(&self) -> impl Iterator<Item = DormantView> {
        self.dormant.values().map(|log| {
            let hard = log.hard_state();
            let after = (hard.commit + 1..=log.last())
                .filter_map(|index| Some((index, raft::Storage::term(log, index).ok()?)));
            DormantView {
                id: log.id(),
                peer: log.peer(),
                term: hard.term,
                vote: hard.vote,
                committed: hard.commit,
                after: after.collect(),
            }
        })
    }

    /// All replicas on this node, in whatever state.
    pub fn held_replicas(&self) -> impl Iterator<Item = (PartitionId, PeerId)> {
        let awake = self.replicas.iter().map(|(id, replica)| (*id, replica.group.peer()));
        let dormant = self.dormant.values().map(|log| (log.id(), log.peer()));
        let offline = self.offline.iter().map(|(id, offline)| (*id, offline.peer));
        awake.chain(dormant).chain(offline)
    }

    /// Whether this node remembers the end of a replica that it had, so that nobody is it again.
    pub fn has_ended(&self, id: PartitionId, peer: PeerId) -> bool {
        self.wal.tombstones().get(&id).is_some_and(|ended| *ended >= peer)
    }

    /// Whether something has changed here that is not in the write-ahead log yet, as on a full disk.
    pub fn has_unwritten(&self) -> bool {
        self.wal.has_unwritten()
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

    /// The part of the write-ahead log in which a flipped bit passes for a write that power ended:
    /// [`Wal::unvouched`](crate::log::wal::Wal::unvouched).
    pub fn unvouched(&self) -> std::ops::Range<(u64, u64)> {
        self.wal.unvouched()
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

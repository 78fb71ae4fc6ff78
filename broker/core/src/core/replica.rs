//! A replica and its owner: what the entries of a group mean on this node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::coordinator::Coordinator;
use crate::ids::{BrokerId, Index, PartitionId, PeerId, Term};
use crate::log::disk::Disk;
use crate::log::group_log::GroupLog;
use crate::mutant::{self, Mutant};
use crate::partition::Partition;
use crate::raft::group::Group;

/// A replica on this node.
pub(crate) struct Replica<D: Disk> {
    pub(crate) group: Group<D>,
    pub(crate) machine: Machine,
    /// The term that this replica leads and knows, once that was seen.
    pub(crate) leading: Option<Term>,
    /// The commit index that waiters and fetchers were told of.
    pub(crate) seen_commit: Index,
    /// Named first at its group's birth: campaigns until somebody leads.
    pub(crate) campaigns: bool,
    /// Its share of the node's uncommitted bytes, as last counted.
    pub(crate) uncommitted: usize,
    /// Appends that wait for their commit, by index.
    pub(crate) appends: VecDeque<AppendWaiter>,
    /// While leading a relaxed topic: what each member has in its write-ahead log, this one too.
    pub(crate) received: BTreeMap<PeerId, Index>,
    /// Parked fetches that want to hear of a new commit.
    pub(crate) fetches: BTreeSet<u64>,
    /// Operators that wait for a membership change.
    pub(crate) changes: Vec<ChangeWaiter>,
}

/// A replica that cannot serve: its log is damaged, or an invariant of its group broke.
pub(crate) struct Offline<D: Disk> {
    pub(crate) peer: PeerId,
    pub(crate) reason: String,
    /// What is left of it; it stays until the cluster has given the replica's place away.
    pub(crate) log: Option<GroupLog<D>>,
}

/// What the entries of a group mean.
pub(crate) enum Machine {
    /// `__meta`: commands to `Core::meta`.
    Meta,
    /// A partition of `__consumer_offsets`.
    Groups(Box<Coordinator>),
    /// Records of users.
    Records(Box<Partition>),
}

impl Machine {
    /// The state that a checkpoint of the log begins with; `__meta`'s is not here but in the core.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        match self {
            Machine::Meta => None,
            Machine::Records(_) if mutant::is(Mutant::ForgetProducers) => Some(Bytes::new()),
            Machine::Groups(coordinator) => Some(coordinator.encode()),
            Machine::Records(partition) => Some(partition.producers.encode()),
        }
    }
}

/// A produce request's part that waits for the commit of its entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendWaiter {
    pub(crate) index: Index,
    pub(crate) term: Term,
    /// The parked request.
    pub(crate) produce: u64,
    /// Which of its partitions.
    pub(crate) slot: usize,
}

/// An operator that waits for a membership change.
#[derive(Debug)]
pub(crate) struct ChangeWaiter {
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) token: u64,
    /// What it made, once it is applied; told when that is synced.
    pub(crate) made: Option<Vec<u8>>,
}

/// Who leads a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) broker: BrokerId,
    pub(crate) term: Term,
}

impl Leader {
    /// The term as a Kafka leader epoch.
    pub(crate) fn epoch(self) -> i32 {
        epoch(self.term)
    }
}

/// A term as a Kafka leader epoch.
pub(crate) fn epoch(term: Term) -> i32 {
    i32::try_from(term).unwrap_or(i32::MAX)
}

impl<D: Disk> Replica<D> {
    pub(crate) fn new(group: Group<D>, machine: Machine) -> Replica<D> {
        Replica {
            group,
            machine,
            leading: None,
            seen_commit: 0,
            campaigns: false,
            uncommitted: 0,
            appends: VecDeque::new(),
            received: BTreeMap::new(),
            fetches: BTreeSet::new(),
            changes: Vec::new(),
        }
    }

    /// Lets 100 ms pass; whether there is something to drive.
    pub(crate) fn tick(&mut self) -> bool {
        self.group.tick();
        if self.campaigns {
            if self.group.leader().is_some() {
                self.campaigns = false;
            } else {
                self.group.campaign();
            }
        }
        self.group.has_ready() || self.group.log().has_fault()
    }

    /// Who leads, as far as this replica knows.
    pub(crate) fn leader(&self) -> Option<Leader> {
        let peer = self.group.leader()?;
        Some(Leader { broker: peer.broker(), term: self.group.term() })
    }
}

impl<D: Disk> super::Core<D> {
    /// Payload bytes of all groups here that wait for their quorum.
    pub(crate) fn uncommitted_bytes(&self) -> usize {
        self.uncommitted
    }

    /// A group has taken or committed something.
    pub(crate) fn count_uncommitted(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        let now = replica.group.uncommitted_bytes();
        let before = std::mem::replace(&mut replica.uncommitted, now);
        self.uncommitted = (self.uncommitted + now).saturating_sub(before);
    }

    /// Who leads a partition: what its replica here knows, or the cluster's image, whichever is of
    /// the later term.
    pub(crate) fn leader_of(&self, id: PartitionId) -> Option<Leader> {
        let here = self.replicas.get(&id).and_then(Replica::leader);
        let image = self.meta.partition(id).and_then(|partition| {
            let leader = partition.leader?;
            Some(Leader { broker: leader.broker(), term: partition.leader_term })
        });
        match (here, image) {
            (Some(here), Some(image)) if image.term > here.term => Some(image),
            (Some(here), _) => Some(here),
            (None, image) => image,
        }
    }
}

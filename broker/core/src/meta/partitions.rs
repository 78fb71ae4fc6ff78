//! The table of partitions: where each group's replicas should be, and where its leader says that
//! they are. `__meta` is one of them. How a group gets from the one to the other is left to the
//! operator; who may be named is checked in `apply`.

use std::collections::{BTreeMap, BTreeSet};

use super::command::{ConfReport, GroupReport};
use crate::ids::{BrokerId, Index, PartitionId, PeerId, Term};

/// The most replicas that a partition can have.
pub const REPLICAS_MAX: usize = 15;

/// The raft index that every group is born at.
pub const BIRTH_INDEX: Index = 1;

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The voters that it should have, the first one to lead. Empty for `__meta`.
    pub target: Vec<PeerId>,
    /// The voters that it was born with.
    pub birth: Vec<PeerId>,
    /// Its voters (in a joint state: the incoming ones), as last reported.
    pub voters: Vec<PeerId>,
    /// In a joint state: the voters before it.
    pub outgoing: Vec<PeerId>,
    /// Its learners.
    pub learners: Vec<PeerId>,
    /// In a joint state: outgoing voters that will be learners.
    pub learners_next: Vec<PeerId>,
    /// The index of the change that made this membership.
    pub conf_index: Index,
    /// Who led it last, as far as reported.
    pub leader: Option<PeerId>,
    /// In which term; 0 before the first report.
    pub leader_term: Term,
    /// The `__meta` index of the command that made it.
    pub created_at: Index,
}

/// A replica that a broker must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its peer id.
    pub peer: PeerId,
    /// It was named by the creating command, so it is born with `initial_voters` instead of empty.
    pub born: bool,
    /// The voters that the group was born with.
    pub initial_voters: Vec<PeerId>,
}

impl Partition {
    /// A group that is born with these voters.
    pub(super) fn born(created_at: Index, voters: Vec<PeerId>, target: Vec<PeerId>) -> Partition {
        Partition {
            target,
            birth: voters.clone(),
            voters,
            outgoing: Vec::new(),
            learners: Vec::new(),
            learners_next: Vec::new(),
            conf_index: BIRTH_INDEX,
            leader: None,
            leader_term: 0,
            created_at,
        }
    }

    /// All members as last reported, some of them twice in a joint state.
    pub fn members(&self) -> impl Iterator<Item = PeerId> + '_ {
        let Partition { voters, outgoing, learners, learners_next, .. } = self;
        [voters, outgoing, learners, learners_next].into_iter().flatten().copied()
    }

    /// Whether this peer is a member as last reported.
    #[must_use]
    pub fn is_member(&self, peer: PeerId) -> bool {
        self.members().any(|m| m == peer)
    }

    /// Whether a replica of it is or should be on this broker.
    #[must_use]
    pub fn is_on(&self, broker: BrokerId) -> bool {
        self.target.iter().copied().chain(self.members()).any(|peer| peer.broker() == broker)
    }

    /// The brokers that it should be on, the first one to lead.
    pub fn target_brokers(&self) -> impl ExactSizeIterator<Item = BrokerId> + '_ {
        self.target.iter().map(|peer| peer.broker())
    }

    /// Whether it is in a joint state.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether its members are exactly its target's voters. `__meta` has no target and is never off it.
    #[must_use]
    pub fn is_on_target(&self) -> bool {
        let set = |peers: &[PeerId]| peers.iter().copied().collect::<BTreeSet<_>>();
        self.target.is_empty()
            || (!self.is_joint()
                && self.learners.is_empty()
                && self.learners_next.is_empty()
                && set(&self.voters) == set(&self.target))
    }

    /// The highest peer on this broker that is a member or should be one.
    pub(super) fn highest_on(&self, broker: BrokerId) -> Option<PeerId> {
        let all = self.target.iter().copied().chain(self.members());
        all.filter(|peer| peer.broker() == broker).max()
    }

    /// Gives the broker's place in the target, if it has one, to a new peer.
    pub(super) fn replace_target(&mut self, broker: BrokerId, new: PeerId) -> bool {
        let mut replaced = false;
        for peer in self.target.iter_mut().filter(|peer| peer.broker() == broker) {
            *peer = new;
            replaced = true;
        }
        replaced
    }

    /// Takes a report's news in and says whether there was any.
    ///
    /// A peer that is wanted but was removed has ended, as a replica that applies its own removal
    /// stops for good: its place goes to a new peer, named by the report's index.
    pub(super) fn report(&mut self, index: Index, row: &GroupReport) -> bool {
        let mut news = false;
        if let Some((peer, term)) = row.leader.filter(|(_, term)| *term > self.leader_term) {
            (self.leader, self.leader_term) = (Some(peer), term);
            news = true;
        }
        if let Some(conf) = &row.conf {
            news |= self.set_conf(index, conf);
        }
        news
    }

    pub(super) fn set_conf(&mut self, index: Index, conf: &ConfReport) -> bool {
        if conf.conf_index <= self.conf_index || conf.voters.is_empty() {
            return false;
        }
        let before: BTreeSet<PeerId> = self.members().collect();
        let ConfReport { conf_index, voters, outgoing, learners, learners_next } = conf.clone();
        self.conf_index = conf_index;
        self.voters = voters;
        self.outgoing = outgoing;
        self.learners = learners;
        self.learners_next = learners_next;
        let after: BTreeSet<PeerId> = self.members().collect();
        for peer in &mut self.target {
            if before.contains(peer) && !after.contains(peer) {
                *peer = PeerId::new(index, peer.broker());
            }
        }
        true
    }
}

/// All groups, `__meta` included once there is a cluster.
pub(super) type Partitions = BTreeMap<PartitionId, Partition>;

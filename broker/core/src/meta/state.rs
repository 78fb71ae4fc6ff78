//! The cluster's state and the questions that it answers. How commands change it is in `apply`,
//! its bytes in `snapshot`, plans for it in [`super::placement`].

use std::collections::BTreeMap;

use super::askers::Askers;
use super::brokers::{Broker, Brokers};
use super::configs::Overrides;
use super::partitions::{Partition, Partitions, Replica};
use super::topics::{Topic, Topics};
use crate::ids::{BrokerId, PartitionId, PeerId, Uuid};

/// The most voters that `__meta` has; all other brokers are its learners.
pub const META_VOTERS_MAX: u32 = 5;

/// The cluster's state as of some index of `__meta`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub(super) cluster_id: Option<String>,
    pub(super) brokers_wanted: u32,
    pub(super) open: bool,
    pub(super) next_producer_id: i64,
    pub(super) brokers: Brokers,
    pub(super) topics: Topics,
    pub(super) partitions: Partitions,
    pub(super) overrides: Overrides,
    pub(super) askers: Askers,
}

/// How much one broker carries of the data groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupCounts {
    /// Groups that have it as a member, or that are to have it as one.
    pub replicas: u32,
    /// Groups whose last reported leader it is.
    pub leaders: u32,
}

impl State {
    /// The state before the first command.
    #[must_use]
    pub fn new() -> State {
        State::default()
    }

    /// The cluster's id, once there is a cluster.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Whether `__meta` has reached its first size, so that produce is served.
    #[must_use]
    pub fn open(&self) -> bool {
        self.open
    }

    /// How many brokers were wanted at birth.
    #[must_use]
    pub fn brokers_wanted(&self) -> u32 {
        self.brokers_wanted
    }

    /// How many voters `__meta` has with that many brokers: the largest odd number up to five.
    #[must_use]
    pub fn meta_voters_of(brokers: u32) -> u32 {
        largest_odd(brokers.min(META_VOTERS_MAX))
    }

    /// How many voters `__meta` must have before the cluster opens.
    #[must_use]
    pub fn meta_voters_wanted(&self) -> u32 {
        State::meta_voters_of(self.brokers_wanted)
    }

    /// Whether the cluster can be opened now and is not: time to propose
    /// [`Command::Open`](super::Command::Open).
    #[must_use]
    pub fn can_open(&self) -> bool {
        let wanted = self.meta_voters_wanted() as usize;
        let grown = |meta: &Partition| !meta.is_joint() && meta.voters.len() >= wanted;
        !self.open && self.partition(PartitionId::META).is_some_and(grown)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Broker> {
        self.brokers.by_id.values()
    }

    /// One registered broker.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&Broker> {
        self.brokers.by_id.get(&id)
    }

    /// Whether a directory was removed or replaced, so that it must not come back.
    #[must_use]
    pub fn is_retired(&self, directory: Uuid) -> bool {
        self.brokers.retired.contains_key(&directory)
    }

    /// All topics, by id, internal ones included.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.topics.iter()
    }

    /// The topic of this id.
    #[must_use]
    pub fn topic(&self, id: Uuid) -> Option<&Topic> {
        self.topics.by_id(id)
    }

    /// The topic of this name.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Topic> {
        self.topics.by_name(name)
    }

    /// One group; [`PartitionId::META`] is one as well, once there is a cluster.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(&id)
    }

    /// All data groups, by id.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        self.partitions.iter().map(|(id, p)| (*id, p)).filter(|(id, _)| *id != PartitionId::META)
    }

    /// The replica of a group that this broker must hold: the highest of its peers that are members
    /// or should be, unless that one was lost with an earlier directory. Of `__meta`, every broker
    /// holds one.
    #[must_use]
    pub fn replica_on(&self, id: PartitionId, broker: BrokerId) -> Option<Replica> {
        let partition = self.partitions.get(&id)?;
        let broker = self.broker(broker)?;
        let peer = if id == PartitionId::META {
            broker.meta_peer
        } else {
            partition.highest_on(broker.id()).filter(|peer| broker.is_alive(*peer))?
        };
        let born = partition.birth.contains(&peer);
        Some(Replica { peer, born, initial_voters: partition.birth.clone() })
    }

    /// Whether a replica can be given up for a new life on its broker: it has a place there, and if
    /// it has a vote, the others are enough without it, as they live and keep their own places.
    #[must_use]
    pub fn can_replace(&self, id: PartitionId, peer: PeerId) -> bool {
        let Some(partition) = self.partition(id) else { return false };
        let stays = |other: &&PeerId| {
            let lives = self.broker(other.broker()).is_some_and(|broker| !broker.fenced);
            **other != peer && lives && partition.target.contains(other)
        };
        let voters = [&partition.voters, &partition.outgoing];
        partition.target.contains(&peer)
            && voters
                .into_iter()
                .filter(|half| half.contains(&peer))
                .all(|half| half.iter().filter(stays).count() > half.len() / 2)
    }

    /// The replicas of data groups that this broker must hold, by group.
    pub fn replicas_on(
        &self,
        broker: BrokerId,
    ) -> impl Iterator<Item = (PartitionId, Replica)> + '_ {
        self.partitions().filter_map(move |(id, _)| Some((id, self.replica_on(id, broker)?)))
    }

    /// Members of `__meta` that are no registered broker's replica of it: lives that ended with
    /// their directory and wait to be confirmed out.
    pub fn former_meta_peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        let members = self.partition(PartitionId::META).into_iter().flat_map(Partition::members);
        members.filter(|peer| self.broker(peer.broker()).is_none_or(|b| b.meta_peer != *peer))
    }

    /// Data groups whose members are not their target's voters.
    pub fn off_target(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        self.partitions().filter(|(_, partition)| !partition.is_on_target())
    }

    /// What every registered broker carries, by broker.
    #[must_use]
    pub fn group_counts(&self) -> BTreeMap<BrokerId, GroupCounts> {
        let mut counts: BTreeMap<BrokerId, GroupCounts> =
            self.brokers().map(|broker| (broker.id(), GroupCounts::default())).collect();
        for (_, partition) in self.partitions() {
            for (id, count) in &mut counts {
                count.replicas += u32::from(partition.is_on(*id));
            }
            let leader = partition.leader.map(PeerId::broker);
            if let Some(count) = leader.and_then(|id| counts.get_mut(&id)) {
                count.leaders += 1;
            }
        }
        counts
    }

    /// Whether a group belongs to a topic that the cluster keeps for itself.
    #[must_use]
    pub fn is_internal(&self, id: PartitionId) -> bool {
        self.topic(id.topic).is_some_and(|topic| topic.internal)
    }

    /// The topic with the most replicas a partition, and how many. Internal topics are left out, as
    /// they follow the number of brokers.
    #[must_use]
    pub fn largest_replication(&self) -> Option<(&str, u32)> {
        let mut largest: Option<(Uuid, usize)> = None;
        for (id, partition) in self.partitions().filter(|(id, _)| !self.is_internal(*id)) {
            if largest.is_none_or(|(_, most)| partition.target.len() > most) {
                largest = Some((id.topic, partition.target.len()));
            }
        }
        let (topic, replicas) = largest?;
        Some((&self.topic(topic)?.name, u32::try_from(replicas).ok()?))
    }

    /// How many replicas the topic's partitions have (the most, while they differ).
    #[must_use]
    pub fn replication(&self, topic: &Topic) -> usize {
        let sizes = topic.partition_ids().filter_map(|id| self.partition(id));
        sizes.map(|partition| partition.target.len()).max().unwrap_or(0)
    }
}

/// The largest odd number up to `n`, at least 1.
fn largest_odd(n: u32) -> u32 {
    if n == 0 { 1 } else { n - (n + 1) % 2 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn odd_voters() {
        let odds: Vec<u32> = (0..7).map(super::largest_odd).collect();
        assert_eq!(odds, [1, 1, 1, 3, 3, 5, 5]);
    }
}

//! What the operator sees of a node: the answer to `Describe`.

use std::collections::{BTreeMap, VecDeque};

use super::Core;
use super::replica::Replica;
use crate::admin::{
    AdminError, AdminResponse, BrokerDescription, Description, GroupDescription, MetaDescription,
    NodeState,
};
use crate::ids::{BrokerId, PartitionId};
use crate::log::disk::Disk;
use crate::meta::configs::ClusterConfig;
use crate::raft::group::Group;

/// Groups in one answer: those that are off target come again as they are worked off.
const GROUPS_MAX: usize = 256;
/// Callers that wait while a sync hangs; beyond it the one that asked first, and has long given up,
/// is told so.
const WAITING_MAX: usize = 64;

/// Who asks what this node is while its record of that is not synced. An operator keeps in mind
/// what it was told: that there was a cluster, of which nothing would be left after a loss of power.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The round that the record was written in.
    unsynced: Option<u64>,
    waiting: VecDeque<(u64, bool)>,
}

impl<D: Disk> Core<D> {
    /// This node's record is written in this round.
    pub(super) fn hold_description(&mut self) {
        self.asked.unsynced = Some(self.syncs.round());
    }

    /// Answers once this node's record is synced, or cannot even be written.
    pub(super) fn order_description(&mut self, token: u64, detail: bool) {
        if self.asked.unsynced.is_none() || self.syncs.met_full() {
            let description = Box::new(self.describe(detail));
            return self.answer_order(token, Ok(AdminResponse::Described(description)));
        }
        self.asked.waiting.push_back((token, detail));
        if self.asked.waiting.len() > WAITING_MAX
            && let Some((token, _)) = self.asked.waiting.pop_front()
        {
            let why = "what this broker is has not been synced to its disk in time";
            self.answer_order(token, Err(AdminError::Unknown(why.to_owned())));
        }
    }

    /// All that was written up to `round` is synced.
    pub(super) fn release_description(&mut self, round: u64) {
        if self.asked.unsynced.take_if(|written| *written <= round).is_some() {
            for (token, detail) in std::mem::take(&mut self.asked.waiting) {
                self.order_description(token, detail);
            }
        }
    }

    /// This node's life.
    pub(crate) fn state(&self) -> NodeState {
        let known = self.meta.broker(self.me());
        let in_image =
            known.is_some_and(|known| known.registration.directory == self.config.directory);
        self.node.state(in_image)
    }

    fn describe(&self, detail: bool) -> Description {
        Description {
            broker: self.me(),
            directory: self.config.directory,
            boot: self.node.boot,
            state: self.state(),
            cluster_id: self.cluster_id().map(str::to_owned),
            version: self.config.version.clone(),
            replicas: count(self.replicas.len()),
            leaders: count(self.led().count()),
            offline: self.describe_broken(),
            meta: self.meta.cluster_id().map(|_| self.describe_meta()),
            groups: if detail { self.describe_groups() } else { Vec::new() },
            quorum_losses: self.led_groups_that(Group::would_wait_without),
            needed: self.led_groups_that(Group::cannot_do_without),
        }
    }

    /// Replicas that lead, as far as the cluster still has their groups: what a broker holds that was
    /// removed from it is of topics that were deleted since it last heard of them.
    fn led(&self) -> impl Iterator<Item = (&PartitionId, &Replica<D>)> {
        let leads = |(_, replica): &(&PartitionId, &Replica<D>)| replica.group.leads();
        self.replicas.iter().filter(|_| !self.node.retired).filter(leads)
    }

    /// Replicas that cannot serve, and those that are to be replaced while they do.
    fn describe_broken(&self) -> Vec<(PartitionId, String)> {
        let offline = self.offline.iter().map(|(id, offline)| (*id, offline.reason.clone()));
        let damaged = self.damaged.iter();
        let damaged =
            damaged.map(|(id, damaged)| (*id, format!("in service, but {}", damaged.reason)));
        offline.chain(damaged).collect()
    }

    fn describe_meta(&self) -> MetaDescription {
        let leader = self.leader_of(PartitionId::META);
        let counts = self.meta.group_counts();
        let brokers = self.meta.brokers().map(|broker| {
            let counts = counts.get(&broker.id()).copied().unwrap_or_default();
            BrokerDescription {
                id: broker.id(),
                directory: broker.registration.directory,
                meta_peer: broker.meta_peer,
                kafka_address: broker.registration.kafka_address.clone(),
                peer_address: broker.registration.peer_address.clone(),
                cordoned: broker.cordoned,
                fenced: broker.fenced,
                told_rack: broker.told_rack.clone(),
                advertised: broker.advertised.clone(),
                replicas: counts.replicas,
                leaders: counts.leaders,
            }
        });
        MetaDescription {
            applied: self.meta_applied,
            leader: leader.map(|leader| leader.broker),
            term: leader.map_or(0, |leader| leader.term),
            open: self.meta.open(),
            brokers: brokers.collect(),
            topics: count(self.meta.topics().len()),
            partitions: self.meta.topics().map(|topic| topic.partitions).sum(),
            off_target: count(self.meta.off_target().count()),
            largest_replication: self
                .meta
                .largest_replication()
                .map(|(topic, replicas)| (topic.to_owned(), replicas)),
            catch_up_rate: ClusterConfig::of(&self.meta).catch_up_bytes_per_second,
        }
    }

    fn describe_groups(&self) -> Vec<GroupDescription> {
        let led = self.led().filter(|(_, replica)| replica.leading.is_some());
        led.filter(|(id, _)| **id == PartitionId::META || self.is_off_target(**id))
            .filter_map(|(id, _)| self.describe_group(*id))
            .take(GROUPS_MAX)
            .collect()
    }

    fn is_off_target(&self, id: PartitionId) -> bool {
        let Some(partition) = self.meta.partition(id) else { return false };
        let Some(replica) = self.replicas.get(&id) else { return false };
        let (conf, _) = replica.group.synced_conf();
        let mut voters = conf.voters.clone();
        let mut target: Vec<u64> = partition.target.iter().map(|peer| peer.0).collect();
        voters.sort_unstable();
        target.sort_unstable();
        voters != target || !conf.learners.is_empty() || !conf.voters_outgoing.is_empty()
    }

    fn describe_group(&self, id: PartitionId) -> Option<GroupDescription> {
        let group = &self.replicas.get(&id)?.group;
        let (conf, conf_index) = group.synced_conf();
        let topic = match self.meta.topic(id.topic) {
            Some(topic) => topic.name.clone(),
            None if id == PartitionId::META => "__meta".to_owned(),
            None => return None,
        };
        Some(GroupDescription {
            topic,
            id,
            leader: group.peer(),
            term: group.term(),
            conf_state: chronik_raft_bridge::encode_conf_state(conf).ok()?,
            conf_index,
            target: self.meta.partition(id).map(|p| p.target.clone()).unwrap_or_default(),
            progress: group.progress(),
        })
    }

    /// How many of the groups led here are so, broker by broker; none is not listed.
    fn led_groups_that(&self, is_so: fn(&Group<D>, BrokerId) -> bool) -> BTreeMap<BrokerId, u32> {
        let mut counts = BTreeMap::new();
        let groups: Vec<_> = self.led().map(|(_, replica)| &replica.group).collect();
        for broker in self.meta.brokers().map(crate::meta::brokers::Broker::id) {
            let found = count(groups.iter().filter(|group| is_so(group, broker)).count());
            if found > 0 {
                counts.insert(broker, found);
            }
        }
        counts
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

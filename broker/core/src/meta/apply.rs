//! What each command does. A command is checked whole before anything is changed, so a refused one
//! leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use raft::eraftpb::ConfChangeV2;

use super::applied::{Applied, AssignmentError, Outcome, Refusal};
use super::askers::Proposal;
use super::brokers::Arrival;
use super::command::{Command, ConfigResource, GroupReport, Registration};
use super::conf_change;
use super::configs::{self, ConfigError};
use super::partitions::{BIRTH_INDEX, Partition, REPLICAS_MAX};
use super::state::State;
use super::topics::{TOPIC_PARTITIONS_MAX, Topic};
use crate::ids::{BrokerId, Index, PartitionId, PeerId, Uuid};
use crate::mutant::{self, Mutant};

/// The most producer ids that are reserved at once.
const PRODUCER_IDS_MAX: u32 = 1_000_000;

type Result<T = Applied> = std::result::Result<T, Refusal>;

impl State {
    /// Applies the command at `index` of `__meta`. A refused command changes nothing. Indexes grow
    /// from command to command, which keeps peer ids from being used again.
    pub fn apply(&mut self, index: Index, command: &Command) -> Result {
        if self.cluster_id.is_none() && !matches!(command, Command::Genesis { .. }) {
            return Err(Refusal::NoCluster);
        }
        match command {
            Command::Genesis { cluster_id, brokers, first } => {
                self.genesis(cluster_id, *brokers, first)
            }
            Command::RegisterBroker(registration) => self.register(index, registration),
            Command::SetFenced { broker, directory, fenced } => {
                self.set_fenced(*broker, *directory, *fenced)
            }
            Command::SetCordoned { broker, cordoned } => self.set_cordoned(*broker, *cordoned),
            Command::SetRack { broker, directory, rack } => {
                self.set_rack(*broker, *directory, rack.as_deref())
            }
            Command::SetAdvertised { broker, directory, address } => {
                self.set_advertised(*broker, *directory, address.as_deref())
            }
            Command::RemoveBroker { broker, directory } => self.remove_broker(*broker, *directory),
            Command::CreateTopic { name, id, partitions, configs, internal } => {
                self.create_topic(index, name, *id, partitions, configs, *internal)
            }
            Command::CreatePartitions { topic, expected, partitions } => {
                self.create_partitions(index, *topic, *expected, partitions)
            }
            Command::DeleteTopic { id } => self.delete_topic(*id),
            Command::SetConfigs { resource, changes } => self.set_configs(resource, changes),
            Command::SetTargets { targets } => self.set_targets(index, targets),
            Command::ReplaceReplica { id, peer } => self.replace_replica(index, *id, *peer),
            Command::Report { from, rows } => self.report(index, *from, rows),
            Command::AllocateProducerIds { broker, count } => {
                self.allocate_producer_ids(*broker, *count)
            }
            Command::Open => {
                self.open = true;
                Ok(Applied::default())
            }
        }
    }

    /// Whether a command that was asked for so is to be applied: false if it was before, or if its
    /// asker has given it up.
    pub fn admit(&mut self, proposal: &Proposal) -> bool {
        self.askers.admit(proposal)
    }

    /// Takes in a membership change of `__meta` itself, which is the entry at `index`. As changes
    /// and commands are entries of one log, every broker sees the same state at the same index, and
    /// no command is judged by an older membership. A report row says the same, later.
    pub fn apply_meta_change(&mut self, index: Index, change: &ConfChangeV2) {
        if let Some(meta) = self.partitions.get_mut(&PartitionId::META) {
            let conf = conf_change::after(meta, index, change);
            meta.set_conf(index, &conf);
        }
    }

    fn genesis(&mut self, cluster_id: &str, brokers: u32, first: &Registration) -> Result {
        if let Some(existing) = &self.cluster_id {
            return Err(Refusal::ClusterExists(existing.clone()));
        }
        if cluster_id.is_empty() || brokers == 0 {
            return Err(Refusal::InvalidGenesis);
        }
        let arrival = self.brokers.classify(first)?;
        // `__meta` is born like every group, before any command; its index is the placing one.
        let meta_peer = self.brokers.admit(BIRTH_INDEX, arrival, first);
        self.cluster_id = Some(cluster_id.to_owned());
        self.brokers_wanted = brokers;
        let meta = Partition::born(BIRTH_INDEX, vec![meta_peer], Vec::new());
        self.partitions.insert(PartitionId::META, meta);
        Ok(Applied {
            outcome: Outcome::Registered { meta_peer, new_incarnation: true },
            touched: BTreeSet::from([PartitionId::META]),
            brokers_changed: true,
            ..Applied::default()
        })
    }

    fn register(&mut self, index: Index, registration: &Registration) -> Result {
        let arrival = self.brokers.classify(registration)?;
        let meta_peer = self.brokers.admit(index, arrival, registration);
        let mut applied = Applied { brokers_changed: true, ..Applied::default() };
        let new_incarnation = match arrival {
            Arrival::Again => false,
            Arrival::New | Arrival::Incarnation => true,
        };
        applied.outcome = Outcome::Registered { meta_peer, new_incarnation };
        if new_incarnation {
            applied.touched.insert(PartitionId::META);
            for (id, partition) in &mut self.partitions {
                if partition.replace_target(registration.id, meta_peer) {
                    applied.touched.insert(*id);
                }
            }
        }
        Ok(applied)
    }

    fn set_fenced(&mut self, id: BrokerId, directory: Uuid, fenced: bool) -> Result {
        self.brokers.check_directory(id, directory)?;
        let broker = self.brokers.get_mut(id)?;
        let brokers_changed = std::mem::replace(&mut broker.fenced, fenced) != fenced;
        Ok(Applied { brokers_changed, ..Applied::default() })
    }

    fn set_cordoned(&mut self, id: BrokerId, cordoned: bool) -> Result {
        let broker = self.brokers.get_mut(id)?;
        let brokers_changed = std::mem::replace(&mut broker.cordoned, cordoned) != cordoned;
        Ok(Applied { brokers_changed, ..Applied::default() })
    }

    fn set_rack(&mut self, id: BrokerId, directory: Uuid, rack: Option<&str>) -> Result {
        self.brokers.check_directory(id, directory)?;
        let broker = self.brokers.get_mut(id)?;
        let brokers_changed = broker.told_rack.as_deref() != rack;
        broker.told_rack = rack.map(str::to_owned);
        Ok(Applied { brokers_changed, ..Applied::default() })
    }

    fn set_advertised(&mut self, id: BrokerId, directory: Uuid, address: Option<&str>) -> Result {
        self.brokers.check_directory(id, directory)?;
        let broker = self.brokers.get_mut(id)?;
        let brokers_changed = broker.advertised.as_deref() != address;
        broker.advertised = address.map(str::to_owned);
        Ok(Applied { brokers_changed, ..Applied::default() })
    }

    fn remove_broker(&mut self, id: BrokerId, directory: Uuid) -> Result {
        if self.brokers.retired.get(&directory) == Some(&id) {
            return Ok(Applied::default()); // A repeated order: it was done.
        }
        self.brokers.check_directory(id, directory)?;
        if !self.brokers.get(id)?.cordoned {
            return Err(Refusal::NotCordoned(id));
        }
        let groups = count(self.partitions().filter(|(_, partition)| partition.is_on(id)));
        let meta = self.partition(PartitionId::META).into_iter().flat_map(Partition::members);
        let meta = count(meta.filter(|peer| peer.broker() == id));
        if (groups > 0 || meta > 0) && !mutant::is(Mutant::ForgetMember) {
            return Err(Refusal::StillMember { broker: id, groups, meta });
        }
        self.brokers.remove(id);
        self.askers.remove(id);
        let mut applied = Applied { brokers_changed: true, ..Applied::default() };
        if self.overrides.brokers.remove(&id).is_some() {
            applied.configs_changed.insert(ConfigResource::Broker(Some(id)));
        }
        Ok(applied)
    }

    fn create_topic(
        &mut self,
        index: Index,
        name: &str,
        id: Uuid,
        partitions: &[Vec<BrokerId>],
        configs: &BTreeMap<String, String>,
        internal: bool,
    ) -> Result {
        self.topics.check_new(name, id)?;
        self.check_new_partitions(0, partitions)?;
        let replicas = partitions.first().map_or(0, Vec::len);
        self.check_even(partitions, replicas)?;
        configs::check_topic(configs, replicas)?;
        let mut settings = BTreeMap::new();
        if internal {
            // What the cluster keeps for itself does not grow old; its owner removes it.
            for name in ["retention.ms", "retention.bytes"] {
                settings.insert(name.to_owned(), "-1".to_owned());
            }
        }
        settings.extend(configs.iter().map(|(k, v)| (k.clone(), v.trim().to_owned())));
        let topic = Topic {
            id,
            name: name.to_owned(),
            partitions: 0,
            configs: settings,
            internal,
            created_at: index,
        };
        self.topics.insert(topic);
        self.add_partitions(index, id, partitions)
    }

    fn create_partitions(
        &mut self,
        index: Index,
        id: Uuid,
        expected: u32,
        partitions: &[Vec<BrokerId>],
    ) -> Result {
        let topic = self.topics.get(id)?;
        let (name, current) = (topic.name.clone(), topic.partitions);
        if topic.internal {
            return Err(Refusal::InternalTopic(name));
        }
        if current != expected {
            return Err(Refusal::PartitionsMoved { topic: name, current, expected });
        }
        self.check_new_partitions(current, partitions)?;
        for brokers in partitions {
            configs::check_majority(&topic.configs, brokers.len())?;
        }
        self.add_partitions(index, id, partitions)
    }

    /// Adds checked partitions after those that the topic has.
    fn add_partitions(&mut self, index: Index, id: Uuid, partitions: &[Vec<BrokerId>]) -> Result {
        let topic = self.topics.get_mut(id)?;
        let mut applied = Applied { topics_changed: true, ..Applied::default() };
        for brokers in partitions {
            let partition = PartitionId::new(id, topic.partitions);
            topic.partitions += 1;
            let peers: Vec<PeerId> = brokers.iter().map(|b| PeerId::new(index, *b)).collect();
            self.partitions.insert(partition, Partition::born(index, peers.clone(), peers));
            applied.touched.insert(partition);
        }
        Ok(applied)
    }

    fn delete_topic(&mut self, id: Uuid) -> Result {
        let touched: BTreeSet<PartitionId> = self.topics.get(id)?.partition_ids().collect();
        for partition in &touched {
            self.partitions.remove(partition);
        }
        self.topics.remove(id);
        Ok(Applied { touched, topics_changed: true, ..Applied::default() })
    }

    fn set_configs(
        &mut self,
        resource: &ConfigResource,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result {
        match resource {
            ConfigResource::Topic(name) => {
                let unknown = || Refusal::UnknownTopic(name.clone());
                let topic = self.topics.by_name(name).ok_or_else(unknown)?;
                let (id, replicas) = (topic.id, self.replication(topic));
                let mut settings = topic.configs.clone();
                for name in changes.keys() {
                    configs::topic_config(name)
                        .ok_or_else(|| ConfigError::Unknown(name.clone()))?;
                }
                configs::change(&mut settings, changes);
                configs::check_topic(&settings, replicas)?;
                self.topics.get_mut(id)?.configs = settings;
            }
            ConfigResource::Broker(broker) => {
                if let Some(id) = broker {
                    self.brokers.get(*id)?;
                }
                for (name, value) in changes {
                    let def = configs::settable_on(*broker, name)?;
                    value.as_deref().map_or(Ok(()), |value| def.check(value))?;
                }
                self.overrides.change(*broker, changes);
            }
        }
        let configs_changed = BTreeSet::from([resource.clone()]);
        Ok(Applied { configs_changed, ..Applied::default() })
    }

    fn set_targets(&mut self, index: Index, targets: &[(PartitionId, Vec<BrokerId>)]) -> Result {
        let mut new: BTreeMap<PartitionId, Vec<PeerId>> = BTreeMap::new();
        for (position, (id, brokers)) in targets.iter().enumerate() {
            let refuse = |reason| Refusal::Assignment { partition: position, reason };
            if *id == PartitionId::META {
                return Err(refuse(AssignmentError::Meta));
            }
            let partition = self.partitions.get(id).ok_or(Refusal::UnknownPartition(*id))?;
            self.check_brokers(brokers, Some(partition)).map_err(refuse)?;
            let topic = self.topics.get(id.topic)?;
            if !topic.internal {
                // An internal topic follows the number of brokers, whatever it is set to.
                configs::check_majority(&topic.configs, brokers.len())?;
            }
            let peers = brokers.iter().map(|broker| self.peer_on(index, partition, *broker));
            if new.insert(*id, peers.collect()).is_some() {
                return Err(refuse(AssignmentError::Repeated));
            }
        }
        let mut applied = Applied::default();
        for (id, target) in new {
            if let Some(partition) = self.partitions.get_mut(&id)
                && partition.target != target
            {
                partition.target = target;
                applied.touched.insert(id);
            }
        }
        Ok(applied)
    }

    /// Repeated for a life that was replaced already, it changes nothing.
    fn replace_replica(&mut self, index: Index, id: PartitionId, peer: PeerId) -> Result {
        let spared = self.can_replace(id, peer);
        let partition = self.partitions.get_mut(&id).ok_or(Refusal::UnknownPartition(id))?;
        let mut applied = Applied::default();
        if partition.target.contains(&peer) {
            if !spared {
                return Err(Refusal::NotSpared { id, peer });
            }
            partition.replace_target(peer.broker(), PeerId::new(index, peer.broker()));
            applied.touched.insert(id);
        }
        Ok(applied)
    }

    /// The peer that a broker has in a group, or a new one where it has none that lives.
    fn peer_on(&self, index: Index, partition: &Partition, broker: BrokerId) -> PeerId {
        let known = partition.highest_on(broker);
        let alive = |peer: &PeerId| self.broker(broker).is_some_and(|b| b.is_alive(*peer));
        known.filter(alive).unwrap_or_else(|| PeerId::new(index, broker))
    }

    fn report(&mut self, index: Index, from: BrokerId, rows: &[GroupReport]) -> Result {
        self.brokers.get(from)?;
        let mut applied = Applied::default();
        for row in rows {
            // A row of a group that was deleted meanwhile says nothing.
            if let Some(partition) = self.partitions.get_mut(&row.id)
                && partition.report(index, row)
            {
                applied.touched.insert(row.id);
            }
        }
        Ok(applied)
    }

    fn allocate_producer_ids(&mut self, broker: BrokerId, count: u32) -> Result {
        self.brokers.get(broker)?;
        let first = self.next_producer_id;
        let next = first.checked_add(i64::from(count)).ok_or(Refusal::ProducerIds(count))?;
        if count == 0 || count > PRODUCER_IDS_MAX {
            return Err(Refusal::ProducerIds(count));
        }
        self.next_producer_id = next;
        Ok(Applied { outcome: Outcome::ProducerIds { first, count }, ..Applied::default() })
    }

    fn check_new_partitions(&self, current: u32, partitions: &[Vec<BrokerId>]) -> Result<()> {
        let wanted = partitions.len();
        let max = TOPIC_PARTITIONS_MAX.saturating_sub(current);
        if wanted == 0 || wanted > max as usize {
            return Err(Refusal::PartitionCount { wanted, max });
        }
        for (partition, brokers) in partitions.iter().enumerate() {
            self.check_brokers(brokers, None)
                .map_err(|reason| Refusal::Assignment { partition, reason })?;
        }
        Ok(())
    }

    fn check_even(&self, partitions: &[Vec<BrokerId>], expected: usize) -> Result<()> {
        match partitions.iter().position(|brokers| brokers.len() != expected) {
            None => Ok(()),
            Some(partition) => {
                let found = partitions.get(partition).map_or(0, Vec::len);
                let reason = AssignmentError::Uneven { found, expected };
                Err(Refusal::Assignment { partition, reason })
            }
        }
    }

    /// That a group can be on these brokers; those that it is on already may be cordoned.
    fn check_brokers(
        &self,
        brokers: &[BrokerId],
        group: Option<&Partition>,
    ) -> std::result::Result<(), AssignmentError> {
        if brokers.is_empty() {
            return Err(AssignmentError::Empty);
        }
        if brokers.len() > REPLICAS_MAX {
            return Err(AssignmentError::TooMany(brokers.len()));
        }
        let mut seen = BTreeSet::new();
        for id in brokers {
            let broker = self.broker(*id).ok_or(AssignmentError::Unknown(*id))?;
            if !seen.insert(*id) {
                return Err(AssignmentError::Twice(*id));
            }
            let known = group.and_then(|group| group.highest_on(*id));
            if broker.cordoned && !known.is_some_and(|peer| broker.is_alive(peer)) {
                return Err(AssignmentError::Cordoned(*id));
            }
        }
        Ok(())
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

//! The table of topics: names, ids, configs. Their partitions are in the table of partitions.

use std::collections::BTreeMap;

use super::applied::Refusal;
use super::names::{check_topic_name, collide};
use crate::ids::{Index, PartitionId, Uuid};

/// The most partitions that a topic can have.
pub const TOPIC_PARTITIONS_MAX: u32 = 10_000;

/// The most replicas that an internal topic is given; where there are fewer brokers, it has fewer.
pub const INTERNAL_REPLICAS_MAX: usize = 3;

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its id: one life of the name.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// How many partitions it has, numbered from 0.
    pub partitions: u32,
    /// What its configs are set to; see [`super::configs`] for what holds in effect.
    pub configs: BTreeMap<String, String>,
    /// Made by the cluster for itself.
    pub internal: bool,
    /// The `__meta` index of the command that made it.
    pub created_at: Index,
}

impl Topic {
    /// Its partitions' ids.
    pub fn partition_ids(&self) -> impl Iterator<Item = PartitionId> + use<> {
        let topic = self.id;
        (0..self.partitions).map(move |p| PartitionId::new(topic, p))
    }
}

/// All topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Topics {
    by_id: BTreeMap<Uuid, Topic>,
    by_name: BTreeMap<String, Uuid>,
}

impl Topics {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.by_id.values()
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<&Topic> {
        self.by_id.get(&id)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name).and_then(|id| self.by_id.get(id))
    }

    pub(super) fn get(&self, id: Uuid) -> Result<&Topic, Refusal> {
        self.by_id.get(&id).ok_or(Refusal::UnknownTopicId(id))
    }

    pub(super) fn get_mut(&mut self, id: Uuid) -> Result<&mut Topic, Refusal> {
        self.by_id.get_mut(&id).ok_or(Refusal::UnknownTopicId(id))
    }

    /// That a topic with this name and id can be made.
    pub(super) fn check_new(&self, name: &str, id: Uuid) -> Result<(), Refusal> {
        check_topic_name(name)?;
        if self.by_name.contains_key(name) {
            return Err(Refusal::TopicExists(name.to_owned()));
        }
        if let Some(other) = self.by_name.keys().find(|other| collide(name, other)) {
            return Err(Refusal::NameCollision { name: name.to_owned(), other: other.clone() });
        }
        // The nil id means "none" on the wire, and the next one is `__meta`'s.
        if id.is_nil() || id == PartitionId::META.topic || self.by_id.contains_key(&id) {
            return Err(Refusal::TopicIdTaken(id));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, topic: Topic) {
        self.by_name.insert(topic.name.clone(), topic.id);
        self.by_id.insert(topic.id, topic);
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        if let Some(gone) = self.by_id.remove(&id) {
            self.by_name.remove(&gone.name);
        }
    }
}

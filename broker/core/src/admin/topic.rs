//! What the operator asks about one topic. Orders are guarded by the topic's id, so that one which
//! was deleted and made again by somebody else is never taken for the old one.

use std::collections::BTreeMap;

use crate::ids::Uuid;

/// A question or an order about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicOrder {
    /// The topic as it is. Only the leader of `__meta` knows.
    Describe {
        /// Its name.
        name: String,
    },
    /// Make it. Repeated for the same owner it changes nothing, and answers what is there.
    Create {
        /// Its name.
        name: String,
        /// Whose it is: its id begins with the first half of this one.
        owner: Uuid,
        /// Partitions; the cluster's default if not given.
        partitions: Option<u32>,
        /// Replicas of each; the cluster's default if not given.
        replicas: Option<u32>,
        /// Configs.
        configs: BTreeMap<String, String>,
    },
    /// Give it more partitions, then set and unset configs.
    Alter {
        /// Its name.
        name: String,
        /// Its id; under another one, nothing is done.
        id: Uuid,
        /// How many partitions it is to have in all.
        partitions: Option<u32>,
        /// New values of configs; without one, a config goes back to its default.
        configs: BTreeMap<String, Option<String>>,
    },
    /// Delete it. That it is gone already is no error.
    Delete {
        /// Its name.
        name: String,
        /// Its id; under another one, nothing is done.
        id: Uuid,
    },
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: u32,
    /// Replicas of each partition (the most, while they differ).
    pub replicas: u32,
    /// Configs that are set on it.
    pub configs: BTreeMap<String, String>,
    /// The cluster's own.
    pub internal: bool,
}

//! What comes of a command: what it changed, or why it changed nothing.

use std::collections::BTreeSet;

use super::command::ConfigResource;
use super::configs::ConfigError;
use super::names::NameError;
use crate::ids::{BrokerId, PartitionId, PeerId, Uuid};

/// What an accepted command changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// What the proposer wants to know.
    pub outcome: Outcome,
    /// Groups whose row changed, came or went.
    pub touched: BTreeSet<PartitionId>,
    /// Some broker came, went or changed.
    pub brokers_changed: bool,
    /// Some topic came, went or grew.
    pub topics_changed: bool,
    /// Whose configs changed.
    pub configs_changed: BTreeSet<ConfigResource>,
}

/// What the proposer of a command wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// Only that it was accepted.
    #[default]
    None,
    /// A broker was registered.
    Registered {
        /// Its replica of `__meta`.
        meta_peer: PeerId,
        /// It came with a directory that was not known: all its replicas start empty.
        new_incarnation: bool,
    },
    /// Producer ids were reserved.
    ProducerIds {
        /// The first one.
        first: i64,
        /// How many.
        count: u32,
    },
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A cluster is born once.
    #[error("this cluster exists already, with id {0:?}")]
    ClusterExists(String),
    /// Nothing can be done before the birth.
    #[error("there is no cluster yet; initialize one broker first")]
    NoCluster,
    /// The cluster id is empty, or the first size is zero.
    #[error("a cluster needs an id and at least one broker")]
    InvalidGenesis,
    /// No such broker.
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
    /// The id does not fit a peer id.
    #[error("broker id {0} is above the largest, {max}", max = BrokerId::MAX)]
    BrokerIdTooLarge(BrokerId),
    /// Not `host:port`.
    #[error("broker {broker} registers with the address {address:?}; it must be host:port")]
    InvalidAddress {
        /// The broker.
        broker: BrokerId,
        /// What it said.
        address: String,
    },
    /// The directory was removed or replaced; it must be wiped before its broker can come back.
    #[error("directory {directory} was retired; wipe broker {broker} to let it join again")]
    Retired {
        /// The broker that asks.
        broker: BrokerId,
        /// Its directory.
        directory: Uuid,
    },
    /// Two ids with one directory: a copied volume.
    #[error("directory {directory} belongs to broker {owner}, broker {broker} cannot use it")]
    DirectoryTaken {
        /// The broker that asks.
        broker: BrokerId,
        /// The directory.
        directory: Uuid,
        /// Whose it is.
        owner: BrokerId,
    },
    /// A volume restored from an older copy.
    #[error(
        "broker {broker} is at start {boot} of its directory, but start {seen} was seen; the volume was restored and counts as lost, wipe it"
    )]
    RestoredVolume {
        /// The broker.
        broker: BrokerId,
        /// The boot number that it says.
        boot: u64,
        /// The highest one seen.
        seen: u64,
    },
    /// A new directory for an id whose old one still has a session.
    #[error(
        "broker {broker} is alive with directory {current}; stop it before another directory takes its id"
    )]
    StillAlive {
        /// The broker.
        broker: BrokerId,
        /// The directory that is alive.
        current: Uuid,
    },
    /// The command means another incarnation.
    #[error("broker {broker} has directory {current} now, not {meant}")]
    OtherDirectory {
        /// The broker.
        broker: BrokerId,
        /// The directory that was meant.
        meant: Uuid,
        /// The directory that it has.
        current: Uuid,
    },
    /// Only cordoned brokers can be removed.
    #[error("broker {0} is not cordoned; cordon and drain it before it is removed")]
    NotCordoned(BrokerId),
    /// The broker is still a member somewhere.
    #[error(
        "broker {broker} still has {groups} data groups and {meta} memberships of __meta; move them away first"
    )]
    StillMember {
        /// The broker.
        broker: BrokerId,
        /// Data groups that have it as a target or a member.
        groups: u32,
        /// Its peers among the members of `__meta`.
        meta: u32,
    },
    /// The name is not allowed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name is taken.
    #[error("topic {0:?} exists already")]
    TopicExists(String),
    /// The name is too like another's.
    #[error("topic {name:?} collides with {other:?}: '.' and '_' are the same in metric names")]
    NameCollision {
        /// The new name.
        name: String,
        /// The existing one.
        other: String,
    },
    /// The id is taken or reserved.
    #[error("topic id {0} is taken or reserved; draw another")]
    TopicIdTaken(Uuid),
    /// Without it the group would have no quorum.
    #[error("partition {id} cannot do without its replica {peer} before others are whole")]
    NotSpared {
        /// The group.
        id: PartitionId,
        /// The replica.
        peer: PeerId,
    },
    /// No topic with this id.
    #[error("there is no topic with id {0}")]
    UnknownTopicId(Uuid),
    /// No topic with this name.
    #[error("there is no topic {0:?}")]
    UnknownTopic(String),
    /// No such group.
    #[error("there is no partition {0}")]
    UnknownPartition(PartitionId),
    /// Too few or too many at once.
    #[error("{wanted} partitions cannot be made at once; from 1 to {max} can")]
    PartitionCount {
        /// How many were wanted.
        wanted: usize,
        /// How many a topic can have.
        max: u32,
    },
    /// Somebody else changed the topic.
    #[error("topic {topic:?} has {current} partitions, not {expected}; look again")]
    PartitionsMoved {
        /// The topic.
        topic: String,
        /// How many it has.
        current: u32,
        /// How many the proposer saw.
        expected: u32,
    },
    /// Keys of internal topics are hashed to partitions.
    #[error("topic {0:?} is internal and cannot grow: its keys would move to other partitions")]
    InternalTopic(String),
    /// The brokers named for a partition make no sense.
    #[error("partition {partition} cannot be placed: {reason}")]
    Assignment {
        /// The position in the command.
        partition: usize,
        /// What is wrong.
        reason: AssignmentError,
    },
    /// A config that cannot be set so.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing, or too many.
    #[error("{0} producer ids cannot be reserved at once")]
    ProducerIds(u32),
}

/// What is wrong with the brokers named for one partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// No broker.
    #[error("no broker is named")]
    Empty,
    /// More replicas than are allowed.
    #[error("{0} brokers are named, {max} are allowed", max = super::partitions::REPLICAS_MAX)]
    TooMany(usize),
    /// A broker twice.
    #[error("broker {0} is named twice")]
    Twice(BrokerId),
    /// No such broker.
    #[error("broker {0} is not registered")]
    Unknown(BrokerId),
    /// Takes no new replicas.
    #[error("broker {0} is cordoned")]
    Cordoned(BrokerId),
    /// Other partitions of the command have another number.
    #[error("{found} brokers are named where other partitions have {expected}")]
    Uneven {
        /// How many here.
        found: usize,
        /// How many elsewhere.
        expected: usize,
    },
    /// The group is named twice in one command.
    #[error("the partition is named twice")]
    Repeated,
    /// `__meta` has no target: the operator decides.
    #[error("the members of __meta are not set by targets")]
    Meta,
}

//! What the operator asks of a broker, as plain data. The shell converts it from and to gRPC
//! (`broker/proto/admin.proto`); [`crate::core`] answers it.

pub mod topic;

use std::collections::BTreeMap;

use crate::ids::{BrokerId, Index, PartitionId, PeerId, Term, Uuid};

/// A question or an order of the operator. Every order is idempotent and guarded by what the
/// caller believed, so a late or stale operator is harmless.
#[derive(Debug, Clone)]
pub enum AdminRequest {
    /// What this node is and what it sees.
    Describe {
        /// Also the groups led here that are off target, in a joint state or `__meta`.
        detail: bool,
    },
    /// Make a cluster: a `__meta` whose only voter is this node.
    Initialize {
        /// The cluster's id; a repeated call must carry the same.
        cluster_id: String,
        /// Produce is refused until this many brokers' worth of `__meta` voters are there.
        brokers: u32,
    },
    /// Propose one membership change of one group; answered when it is applied.
    ChangeMembership {
        /// The topic's name (`__meta` for the cluster's own group).
        topic: String,
        /// The partition.
        partition: u32,
        /// A bridge-encoded `ConfChangeV2`.
        change: Vec<u8>,
        /// The `conf_index` that the caller saw; any other is refused.
        expected_conf_index: Index,
    },
    /// Hand the leadership of one group to a peer (or to the best one).
    TransferLeadership {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: u32,
        /// The peer that should lead; `None` lets the leader choose.
        to: Option<PeerId>,
    },
    /// Place no new replicas on a broker.
    Cordon(BrokerId),
    /// Take a cordon back.
    Uncordon(BrokerId),
    /// Set the targets of all groups so that none is on this (cordoned) broker.
    Drain(BrokerId),
    /// Set the targets of all groups so that all brokers that are not cordoned carry their share.
    Rebalance,
    /// Where a broker stands, for placement and for clients; it takes effect at once.
    SetRack {
        /// The broker.
        broker: BrokerId,
        /// Its directory id, so that a newer incarnation is never meant by mistake.
        directory: Uuid,
        /// The rack; none to go by what the broker says of itself.
        rack: Option<String>,
    },
    /// Where clients of the external listener find a broker; it takes effect at once.
    SetAdvertised {
        /// The broker.
        broker: BrokerId,
        /// Its directory id, so that a newer incarnation is never meant by mistake.
        directory: Uuid,
        /// `host:port`; none if they cannot reach it.
        address: Option<String>,
    },
    /// Bytes a second that each broker sends at most to replicas that are catching up: the cluster
    /// config `leader.replication.throttled.rate`. It takes effect at once.
    SetCatchUpRate(u64),
    /// Forget a broker that holds no replica any more.
    RemoveBroker {
        /// The broker.
        broker: BrokerId,
        /// Its directory id, so that a newer incarnation is never removed by mistake.
        directory: Uuid,
    },
    /// Empty the data directory of a retired broker and exit, to come back as a new incarnation.
    Wipe {
        /// The retired directory's id.
        directory: Uuid,
    },
    /// About one topic.
    Topic(topic::TopicOrder),
}

/// The answer to an [`AdminRequest`].
#[derive(Debug, Clone)]
pub enum AdminResponse {
    /// To `Describe`.
    Described(Box<Description>),
    /// To `ChangeMembership`.
    MembershipChanged {
        /// Where the change was applied.
        applied_index: Index,
        /// The bridge-encoded `ConfState` after it.
        conf_state: Vec<u8>,
    },
    /// To what is asked or ordered about a topic.
    Topic(topic::TopicDescription),
    /// To the orders that answer nothing else.
    Done,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum AdminError {
    /// Ask the named broker, or again later.
    #[error("this broker does not lead {what}; {}", match .leader { Some(b) => format!("broker {b} does"), None => "no leader is known".into() })]
    NotLeader {
        /// The group.
        what: String,
        /// Who leads, as far as is known.
        leader: Option<BrokerId>,
    },
    /// The caller's belief is out of date.
    #[error("{0}")]
    Stale(String),
    /// The order would break something; with numbers.
    #[error("{0}")]
    Refused(String),
    /// No such group, broker or directory.
    #[error("{0}")]
    NotFound(String),
    /// The bytes or names make no sense.
    #[error("{0}")]
    Invalid(String),
    /// It was not decided in time, and may still happen.
    #[error("{0}")]
    Unknown(String),
}

/// The life of a node (the types are in `core::node`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Belongs to no cluster; waits to be initialized or to be let in.
    Uninitialized,
    /// Registered; its `__meta` replica is not a member of that group yet, or not caught up.
    Joining,
    /// Has the cluster's image.
    Member,
    /// Was removed from its cluster; serves nothing.
    Retired,
}

/// What a node is and sees.
#[derive(Debug, Clone)]
pub struct Description {
    /// This broker.
    pub broker: BrokerId,
    /// The id of its data directory.
    pub directory: Uuid,
    /// How often this directory was started.
    pub boot: u64,
    /// Its life.
    pub state: NodeState,
    /// The cluster that it belongs to.
    pub cluster_id: Option<String>,
    /// The software's version.
    pub version: String,
    /// Replicas on this node.
    pub replicas: u32,
    /// Groups led by this node.
    pub leaders: u32,
    /// Replicas that are taken offline by a broken invariant or a damaged file: group and reason.
    pub offline: Vec<(PartitionId, String)>,
    /// The cluster as this node's image of `__meta` has it; absent until it has one.
    pub meta: Option<MetaDescription>,
    /// Groups led here, if detail was asked for: `__meta`, and those off target or joint.
    pub groups: Vec<GroupDescription>,
    /// For each other broker: how many groups led here would lose their quorum without it.
    pub quorum_losses: BTreeMap<BrokerId, u32>,
    /// For each broker, itself among them: how many groups led here, of one or two voters, have it
    /// among them. None is not listed.
    pub needed: BTreeMap<BrokerId, u32>,
}

/// The cluster as one node's image has it.
#[derive(Debug, Clone)]
pub struct MetaDescription {
    /// The `__meta` index that the image is at.
    pub applied: Index,
    /// Who leads `__meta`, as far as this node knows.
    pub leader: Option<BrokerId>,
    /// The term of that.
    pub term: Term,
    /// Whether `__meta` has reached its first target size, and produce is served.
    pub open: bool,
    /// All registered brokers, by id.
    pub brokers: Vec<BrokerDescription>,
    /// Topics, internal ones included.
    pub topics: u32,
    /// Partitions, `__meta` not included.
    pub partitions: u32,
    /// Groups whose membership is not what the target says.
    pub off_target: u32,
    /// The users' topic with the most replicas a partition, and how many: fewer brokers cannot carry
    /// it. Internal topics follow the number of brokers.
    pub largest_replication: Option<(String, u32)>,
    /// Bytes a second that each broker sends at most to replicas that are catching up; none if there
    /// is no limit.
    pub catch_up_rate: Option<u64>,
}

/// One registered broker.
#[derive(Debug, Clone)]
pub struct BrokerDescription {
    /// Its id.
    pub id: BrokerId,
    /// Its data directory.
    pub directory: Uuid,
    /// Its replica of `__meta`.
    pub meta_peer: PeerId,
    /// `host:port` for Kafka clients.
    pub kafka_address: String,
    /// `host:port` of the admin service and of its peers' streams.
    pub peer_address: String,
    /// Takes no new replicas.
    pub cordoned: bool,
    /// Its session has expired.
    pub fenced: bool,
    /// Where it stands, as last ordered.
    pub told_rack: Option<String>,
    /// Where clients of the external listener find it, as last ordered.
    pub advertised: Option<String>,
    /// Data groups that it is a member of, or that are to have it as a member.
    pub replicas: u32,
    /// Data groups whose last reported leader it is.
    pub leaders: u32,
}

/// One group, as its leader sees it.
#[derive(Debug, Clone)]
pub struct GroupDescription {
    /// The topic's name.
    pub topic: String,
    /// The group.
    pub id: PartitionId,
    /// The leader's peer id.
    pub leader: PeerId,
    /// Its term.
    pub term: Term,
    /// The bridge-encoded current `ConfState`.
    pub conf_state: Vec<u8>,
    /// The index of the change that made it.
    pub conf_index: Index,
    /// The voters that `__meta` wants (empty for `__meta` itself: the operator decides).
    pub target: Vec<PeerId>,
    /// Every other member's progress.
    pub progress: Vec<PeerProgress>,
}

/// How far one member is.
#[derive(Debug, Clone)]
pub struct PeerProgress {
    /// The member.
    pub peer: PeerId,
    /// The last index known to be on its disk.
    pub matched: Index,
    /// Answered within the last election timeout.
    pub active: bool,
    /// Near enough to the leader's last index to be promoted.
    pub caught_up: bool,
    /// Caught up so far, in percent of the leader's log.
    pub percent: u8,
}

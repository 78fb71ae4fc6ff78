//! What one pass saw: plain data. A broker that did not answer is absent from `nodes`, which means
//! "unknown" and is never read as "gone".

use std::collections::{BTreeMap, BTreeSet};

use crate::mutant::{self, Mutant};
use crate::view::{Sight, look};

/// A broker's id.
pub type BrokerId = u32;
/// One life of one replica; the low 20 bits are its broker.
pub type PeerId = u64;
/// The name of the cluster's own group.
pub const META_TOPIC: &str = "__meta";

/// The broker that a replica lives on.
#[must_use]
pub fn broker_of(peer: PeerId) -> BrokerId {
    (peer & 0xf_ffff) as BrokerId
}

/// Everything that one pass saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// What the platform holds, by broker id: processes and volumes that exist.
    pub processes: BTreeMap<BrokerId, Process>,
    /// Where brokers stand, as far as the platform knows. One that is missing is not known.
    pub racks: BTreeMap<BrokerId, String>,
    /// Where clients outside the platform find brokers, as far as it knows. One that is missing is not
    /// known.
    pub advertised: BTreeMap<BrokerId, String>,
    /// Brokers that answered `Describe` in this pass.
    pub nodes: BTreeMap<BrokerId, Node>,
    /// The cluster is known to have been formed before. Only ever a brake.
    pub formed: bool,
    /// The replica counts at which a `Rebalance` was last answered, while they have not changed since
    /// ([`Observed::still_rebalanced_at`]). Only ever a brake: asking again would change nothing.
    pub rebalanced_at: Option<BTreeMap<BrokerId, u32>>,
}

impl Observed {
    /// What is left to remember of the last `Rebalance`: nothing once the counts have changed, as the
    /// same counts can come back for another reason.
    #[must_use]
    pub fn still_rebalanced_at(&self) -> Option<BTreeMap<BrokerId, u32>> {
        let Some(counts) = self.replica_counts() else { return self.rebalanced_at.clone() };
        self.rebalanced_at.clone().filter(|before| *before == counts)
    }

    /// The cluster as plans go by it: the newest image of it that was seen.
    #[must_use]
    pub fn image(&self) -> Option<&Meta> {
        match look(self) {
            Sight::NoCluster => None,
            Sight::NoLeader { image } => image,
            Sight::Leader(view) => Some(view.meta),
        }
    }

    /// `__meta`'s group, as plans go by it: who leads it, and how that one sees it.
    #[must_use]
    pub fn meta_group(&self) -> Option<(BrokerId, &Group)> {
        let Sight::Leader(view) = look(self) else { return None };
        Some((view.leader, view.group))
    }

    /// How many replicas each broker carries, as plans go by it; none while nobody leads the cluster.
    #[must_use]
    pub fn replica_counts(&self) -> Option<BTreeMap<BrokerId, u32>> {
        let Sight::Leader(view) = look(self) else { return None };
        Some(view.meta.replica_counts())
    }
}

/// One broker as the platform sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    /// It runs.
    pub running: bool,
    /// Its data directory exists.
    pub volume: bool,
    /// Whether it runs what the manifest asks for.
    pub revision: Revision,
    /// It was told to end, and is started again: it may still answer, and will not for long.
    pub ending: bool,
    /// It is known that nothing of it runs, though the platform tries: it serves nobody.
    pub idle: bool,
    /// It is idle, and will stay so as what it is: its image cannot be had, it ends again and again,
    /// no node takes it. One that is merely being started is not.
    pub stuck: bool,
    /// Its volume will not come back: whoever knows says so, or the node that has it is gone for good.
    pub lost: bool,
    /// For how many seconds it has been ready, where the platform can tell; none while it is not.
    pub ready_for_s: Option<u32>,
}

/// Whether a broker runs what the manifest asks for: image, settings, resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Revision {
    /// It does.
    #[default]
    Current,
    /// It runs something older, and would come back as that.
    Due,
    /// It runs something older, and would come back as what is asked for.
    Begun,
}

/// The life of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Belongs to no cluster.
    Uninitialized,
    /// Registered; its replica of `__meta` is not a caught-up member yet.
    Joining,
    /// Has the cluster's image.
    Member,
    /// Was removed from its cluster and serves nothing.
    Retired,
}

/// One broker's answer to `Describe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its life.
    pub state: NodeState,
    /// The id of its data directory.
    pub directory: String,
    /// The cluster that it belongs to.
    pub cluster_id: Option<String>,
    /// The cluster as its image of `__meta` has it.
    pub meta: Option<Meta>,
    /// Groups led here: `__meta`, and those that are off target or joint.
    pub groups: Vec<Group>,
    /// How many groups are led here, `__meta` among them.
    pub leaders: u32,
    /// Replicas that are out of service here.
    pub offline: u32,
    /// For each broker, itself among them: how many groups led here, of three voters or more, would
    /// be without a quorum that has caught up if that broker stopped. None is not listed.
    pub quorum_losses: BTreeMap<BrokerId, u32>,
    /// For each broker, itself among them: how many groups led here, of one or two voters, have it
    /// among them. None is not listed.
    pub needed: BTreeMap<BrokerId, u32>,
}

/// The cluster as one node's image has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// The index of `__meta` that the image is at.
    pub applied: u64,
    /// Produce is served: `__meta` has reached its first size.
    pub open: bool,
    /// All registered brokers.
    pub brokers: BTreeMap<BrokerId, Member>,
    /// Data groups in all.
    pub partitions: u32,
    /// Groups whose membership is not what the target says.
    pub off_target: u32,
    /// The topic with the most replicas a partition, and how many.
    pub largest: Option<(String, u32)>,
    /// Bytes a second that each broker sends at most to replicas that are catching up; none if there
    /// is no limit.
    pub catch_up_rate: Option<u64>,
}

impl Meta {
    /// The newest image that any of `nodes` has.
    pub(crate) fn newest<'a>(nodes: impl Iterator<Item = &'a Node>) -> Option<&'a Meta> {
        nodes.filter_map(|node| node.meta.as_ref()).max_by_key(|meta| meta.applied)
    }

    /// How many replicas each broker carries.
    pub(crate) fn replica_counts(&self) -> BTreeMap<BrokerId, u32> {
        self.brokers.iter().map(|(id, member)| (*id, member.replicas)).collect()
    }
}

/// One registered broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its data directory.
    pub directory: String,
    /// Its replica of `__meta`.
    pub meta_peer: PeerId,
    /// Takes no new replicas: the recorded intent to remove it.
    pub cordoned: bool,
    /// Its session has expired.
    pub fenced: bool,
    /// Where it stands, as it was last told to the cluster.
    pub told_rack: Option<String>,
    /// Where clients outside the platform find it, as it was last told to the cluster.
    pub advertised: Option<String>,
    /// Data groups that it is a member of, or is to be a member of.
    pub replicas: u32,
}

/// One group, as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The leader's replica.
    pub leader: PeerId,
    /// Its term.
    pub term: u64,
    /// The members.
    pub conf: Conf,
    /// The index of the change that made `conf`.
    pub conf_index: u64,
    /// The voters that `__meta` wants; empty for `__meta` itself.
    pub target: BTreeSet<PeerId>,
    /// The progress of every member but the leader.
    pub progress: BTreeMap<PeerId, Progress>,
}

impl Group {
    /// `topic-partition`, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// Whether a member answers its leader.
    pub(crate) fn is_active(&self, peer: PeerId) -> bool {
        peer == self.leader || self.progress.get(&peer).is_some_and(|p| p.active)
    }

    /// Whether a member has nearly all that the leader has.
    pub(crate) fn is_caught_up(&self, peer: PeerId) -> bool {
        let skips = mutant::is(Mutant::SkipCatchUp);
        let caught_up = |p: &Progress| skips || p.active && p.caught_up;
        peer == self.leader || self.progress.get(&peer).is_some_and(caught_up)
    }
}

/// The members of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conf {
    /// Who votes (the incoming half, while joint).
    pub voters: BTreeSet<PeerId>,
    /// The outgoing half of a joint state; empty otherwise.
    pub outgoing: BTreeSet<PeerId>,
    /// Who only listens.
    pub learners: BTreeSet<PeerId>,
    /// Who will only listen once the joint state is left.
    pub learners_next: BTreeSet<PeerId>,
}

impl Conf {
    /// A change is half-way: both halves must agree.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether a replica is a member in any role.
    #[must_use]
    pub fn contains(&self, peer: PeerId) -> bool {
        self.members().any(|p| p == peer)
    }

    /// All members, in any role.
    pub fn members(&self) -> impl Iterator<Item = PeerId> + '_ {
        let all = self.voters.iter().chain(&self.outgoing);
        all.chain(&self.learners).chain(&self.learners_next).copied()
    }
}

/// How far one member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The last index known to be on its disk.
    pub matched: u64,
    /// It answered within the last election timeout.
    pub active: bool,
    /// Near enough to the leader to be promoted.
    pub caught_up: bool,
    /// How much of the leader's log it has.
    pub percent: u32,
}

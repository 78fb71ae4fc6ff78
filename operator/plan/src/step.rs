//! The actions that a plan is made of. Each is idempotent or guarded by what the plan believed, so
//! it needs no undo: a lost one is planned again, a late one is refused by the broker.

use std::fmt;

use crate::observed::{BrokerId, PeerId, broker_of};

/// One change of one group's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new member that only listens.
    AddLearner(PeerId),
    /// Take a learner, or a voter that does not lead, out.
    Remove(PeerId),
    /// One joint change: nobody leaves before the successor votes.
    Joint {
        /// Learners that become voters.
        promote: Vec<PeerId>,
        /// Voters that become learners.
        demote: Vec<PeerId>,
        /// Members that leave.
        remove: Vec<PeerId>,
    },
    /// Leave a joint state.
    LeaveJoint,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AddLearner(peer) => write!(f, "add learner {}", name(*peer)),
            Change::Remove(peer) => write!(f, "remove {}", name(*peer)),
            Change::Joint { promote, demote, remove } => {
                let mut parts = Vec::new();
                for (verb, peers) in [("promote", promote), ("demote", demote), ("remove", remove)]
                {
                    if !peers.is_empty() {
                        let names: Vec<String> = peers.iter().map(|p| name(*p)).collect();
                        parts.push(format!("{verb} {}", names.join(", ")));
                    }
                }
                write!(f, "in one change {}", parts.join("; "))
            }
            Change::LeaveJoint => f.write_str("leave the joint state"),
        }
    }
}

fn name(peer: PeerId) -> String {
    format!("broker {}'s replica {}", broker_of(peer), peer >> 20)
}

/// One action: one call to the platform or to one broker (`to`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the broker asked and the arguments of the call")]
pub enum Step {
    /// Run a broker; its data directory is made if there is none.
    Start(BrokerId),
    /// End a broker that is no member any more.
    Stop(BrokerId),
    /// Restart a broker as what the manifest asks for now.
    Update(BrokerId),
    /// Delete the data directory of a broker that is forgotten and stopped.
    DeleteVolume(BrokerId),
    /// Give up the volume of a member, which takes its place again with an empty one.
    Replace(BrokerId),
    /// Make the cluster.
    Initialize { to: BrokerId, cluster_id: String, brokers: u32 },
    /// Change a group's members.
    ChangeMembership {
        to: BrokerId,
        topic: String,
        partition: u32,
        change: Change,
        expected_conf_index: u64,
    },
    /// Hand a group's leadership over.
    TransferLeadership { to: BrokerId, topic: String, partition: u32, peer: PeerId },
    /// Record that a broker is to leave.
    Cordon { to: BrokerId, broker: BrokerId },
    /// Take that back.
    Uncordon { to: BrokerId, broker: BrokerId },
    /// Aim all groups away from a broker.
    Drain { to: BrokerId, broker: BrokerId },
    /// Aim all groups so that every broker carries its share.
    Rebalance { to: BrokerId },
    /// Tell the cluster where a broker stands, or (`None`) that it is to go by the broker's own word.
    SetRack { to: BrokerId, broker: BrokerId, directory: String, rack: Option<String> },
    /// Tell the cluster where clients outside the platform find a broker, or (`None`) that they do not.
    SetAdvertised { to: BrokerId, broker: BrokerId, directory: String, address: Option<String> },
    /// Tell the cluster how fast replicas may catch up.
    SetCatchUpRate { to: BrokerId, bytes_per_second: u64 },
    /// Forget a broker.
    RemoveBroker { to: BrokerId, broker: BrokerId, directory: String },
    /// Empty a retired data directory, so that its id can be used again.
    Wipe { to: BrokerId, directory: String },
}

impl Step {
    /// Whether it takes something away that others may rely on: at most one such step a pass.
    #[must_use]
    pub fn is_disruptive(&self) -> bool {
        match self {
            Step::Stop(_)
            | Step::Update(_)
            | Step::DeleteVolume(_)
            | Step::Replace(_)
            | Step::RemoveBroker { .. }
            | Step::Wipe { .. } => true,
            Step::Start(_)
            | Step::Initialize { .. }
            | Step::ChangeMembership { .. }
            | Step::TransferLeadership { .. }
            | Step::Cordon { .. }
            | Step::Uncordon { .. }
            | Step::Drain { .. }
            | Step::Rebalance { .. }
            | Step::SetRack { .. }
            | Step::SetAdvertised { .. }
            | Step::SetCatchUpRate { .. } => false,
        }
    }
}

impl Step {
    /// What kind of step it is, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Start(_) => "Start",
            Step::Stop(_) => "Stop",
            Step::Update(_) => "Update",
            Step::DeleteVolume(_) => "DeleteVolume",
            Step::Replace(_) => "Replace",
            Step::Initialize { .. } => "Initialize",
            Step::ChangeMembership { .. } => "ChangeMembership",
            Step::TransferLeadership { .. } => "TransferLeadership",
            Step::Cordon { .. } => "Cordon",
            Step::Uncordon { .. } => "Uncordon",
            Step::Drain { .. } => "Drain",
            Step::Rebalance { .. } => "Rebalance",
            Step::SetRack { .. } => "SetRack",
            Step::SetAdvertised { .. } => "SetAdvertised",
            Step::SetCatchUpRate { .. } => "SetCatchUpRate",
            Step::RemoveBroker { .. } => "RemoveBroker",
            Step::Wipe { .. } => "Wipe",
        }
    }

    /// The group whose members or leader it changes.
    #[must_use]
    pub fn group(&self) -> Option<(&str, u32)> {
        match self {
            Step::ChangeMembership { topic, partition, .. }
            | Step::TransferLeadership { topic, partition, .. } => Some((topic, *partition)),
            Step::Start(_)
            | Step::Stop(_)
            | Step::Update(_)
            | Step::DeleteVolume(_)
            | Step::Replace(_)
            | Step::Initialize { .. }
            | Step::Cordon { .. }
            | Step::Uncordon { .. }
            | Step::Drain { .. }
            | Step::Rebalance { .. }
            | Step::SetRack { .. }
            | Step::SetAdvertised { .. }
            | Step::SetCatchUpRate { .. }
            | Step::RemoveBroker { .. }
            | Step::Wipe { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Start(id) => write!(f, "start broker {id}"),
            Step::Stop(id) => write!(f, "stop broker {id}, which is no member any more"),
            Step::Update(id) => write!(f, "restart broker {id} as the manifest says now"),
            Step::DeleteVolume(id) => write!(f, "delete the volume of broker {id}"),
            Step::Replace(id) => write!(f, "give up the lost volume of broker {id}"),
            Step::Initialize { to, cluster_id, brokers } => {
                write!(f, "form cluster {cluster_id} of {brokers} at broker {to}")
            }
            Step::ChangeMembership { topic, partition, change, .. } => {
                write!(f, "{topic}-{partition}: {change}")
            }
            Step::TransferLeadership { topic, partition, peer, .. } => {
                write!(f, "{topic}-{partition}: hand leadership to broker {}", broker_of(*peer))
            }
            Step::Cordon { broker, .. } => write!(f, "cordon broker {broker}: it is to leave"),
            Step::Uncordon { broker, .. } => write!(f, "uncordon broker {broker}: it stays"),
            Step::Drain { broker, .. } => write!(f, "aim all groups away from broker {broker}"),
            Step::Rebalance { .. } => f.write_str("give every broker its share of the groups"),
            Step::SetRack { broker, rack: Some(rack), .. } => {
                write!(f, "tell the cluster that broker {broker} is in rack {rack}")
            }
            Step::SetRack { broker, rack: None, .. } => {
                write!(f, "go by what broker {broker} says of its rack")
            }
            Step::SetAdvertised { broker, address: Some(address), .. } => {
                write!(f, "tell clients outside that broker {broker} is at {address}")
            }
            Step::SetAdvertised { broker, address: None, .. } => {
                write!(f, "tell clients outside nothing of broker {broker} any more")
            }
            Step::SetCatchUpRate { bytes_per_second, .. } => {
                write!(f, "let replicas catch up at {bytes_per_second} bytes a second")
            }
            Step::RemoveBroker { broker, .. } => {
                write!(f, "forget broker {broker}, which holds nothing any more")
            }
            Step::Wipe { to, directory } => {
                write!(f, "wipe broker {to}'s retired directory {directory}: its id is needed")
            }
        }
    }
}

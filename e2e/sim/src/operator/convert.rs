//! Between the core's admin types and the plan's. In production they meet over gRPC.

use std::collections::BTreeSet;

use chronik_core::admin::{
    AdminRequest, BrokerDescription, Description, GroupDescription, MetaDescription, NodeState,
    PeerProgress,
};
use chronik_core::ids::{BrokerId, PeerId};
use chronik_plan::{Change, Conf, Group, Member, Meta, Node, Progress, Step};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};

use super::directory;

/// One broker's answer, as the plan sees it.
pub(super) fn node(description: &Description) -> Option<Node> {
    Some(Node {
        state: match description.state {
            NodeState::Uninitialized => chronik_plan::NodeState::Uninitialized,
            NodeState::Joining => chronik_plan::NodeState::Joining,
            NodeState::Member => chronik_plan::NodeState::Member,
            NodeState::Retired => chronik_plan::NodeState::Retired,
        },
        directory: description.directory.to_string(),
        cluster_id: description.cluster_id.clone(),
        meta: description.meta.as_ref().map(meta),
        groups: description.groups.iter().map(group).collect::<Option<_>>()?,
        leaders: description.leaders,
        offline: description.offline.len() as u32,
        quorum_losses: description.quorum_losses.iter().map(|(id, n)| (id.0, *n)).collect(),
        needed: description.needed.iter().map(|(id, n)| (id.0, *n)).collect(),
    })
}

fn meta(meta: &MetaDescription) -> Meta {
    let member = |broker: &BrokerDescription| Member {
        directory: broker.directory.to_string(),
        meta_peer: broker.meta_peer.0,
        cordoned: broker.cordoned,
        fenced: broker.fenced,
        told_rack: broker.told_rack.clone(),
        advertised: broker.advertised.clone(),
        replicas: broker.replicas,
    };
    Meta {
        applied: meta.applied,
        open: meta.open,
        brokers: meta.brokers.iter().map(|broker| (broker.id.0, member(broker))).collect(),
        partitions: meta.partitions,
        off_target: meta.off_target,
        largest: meta.largest_replication.clone(),
        catch_up_rate: meta.catch_up_rate,
    }
}

fn group(group: &GroupDescription) -> Option<Group> {
    let conf = chronik_raft_bridge::decode_conf_state(&group.conf_state).ok()?;
    let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
    let progress = |peer: &PeerProgress| Progress {
        matched: peer.matched,
        active: peer.active,
        caught_up: peer.caught_up,
        percent: peer.percent.into(),
    };
    Some(Group {
        topic: group.topic.clone(),
        partition: group.id.partition,
        leader: group.leader.0,
        term: group.term,
        conf: Conf {
            voters: set(&conf.voters),
            outgoing: set(&conf.voters_outgoing),
            learners: set(&conf.learners),
            learners_next: set(&conf.learners_next),
        },
        conf_index: group.conf_index,
        target: group.target.iter().map(|peer| peer.0).collect(),
        progress: group.progress.iter().map(|peer| (peer.peer.0, progress(peer))).collect(),
    })
}

/// Whom a step asks for what; none for a step that the platform does.
pub(super) fn request(step: Step) -> Option<(BrokerId, AdminRequest)> {
    let (to, request) = match step {
        Step::Start(_)
        | Step::Stop(_)
        | Step::Update(_)
        | Step::DeleteVolume(_)
        | Step::Replace(_) => return None,
        Step::Initialize { to, cluster_id, brokers } => {
            (to, AdminRequest::Initialize { cluster_id, brokers })
        }
        Step::ChangeMembership { to, topic, partition, change, expected_conf_index } => {
            let change = bytes_of(&change)?;
            (to, AdminRequest::ChangeMembership { topic, partition, change, expected_conf_index })
        }
        Step::TransferLeadership { to, topic, partition, peer } => {
            let peer = Some(PeerId(peer));
            (to, AdminRequest::TransferLeadership { topic, partition, to: peer })
        }
        Step::Cordon { to, broker } => (to, AdminRequest::Cordon(BrokerId(broker))),
        Step::Uncordon { to, broker } => (to, AdminRequest::Uncordon(BrokerId(broker))),
        Step::Drain { to, broker } => (to, AdminRequest::Drain(BrokerId(broker))),
        Step::Rebalance { to } => (to, AdminRequest::Rebalance),
        Step::SetRack { to, broker, directory: id, rack } => {
            let directory = directory(&id)?;
            (to, AdminRequest::SetRack { broker: BrokerId(broker), directory, rack })
        }
        Step::SetAdvertised { to, broker, directory: id, address } => {
            let directory = directory(&id)?;
            (to, AdminRequest::SetAdvertised { broker: BrokerId(broker), directory, address })
        }
        Step::SetCatchUpRate { to, bytes_per_second } => {
            (to, AdminRequest::SetCatchUpRate(bytes_per_second))
        }
        Step::RemoveBroker { to, broker, directory: id } => {
            let directory = directory(&id)?;
            (to, AdminRequest::RemoveBroker { broker: BrokerId(broker), directory })
        }
        Step::Wipe { to, directory: id } => (to, AdminRequest::Wipe { directory: directory(&id)? }),
    };
    Some((BrokerId(to), request))
}

fn bytes_of(change: &Change) -> Option<Vec<u8>> {
    let single = |kind: ConfChangeType| {
        move |peer: &u64| ConfChangeSingle { change_type: kind as i32, node_id: *peer }
    };
    let changes: Vec<ConfChangeSingle> = match change {
        Change::AddLearner(peer) => vec![single(ConfChangeType::AddLearnerNode)(peer)],
        Change::Remove(peer) => vec![single(ConfChangeType::RemoveNode)(peer)],
        Change::Joint { promote, demote, remove } => {
            let promote = promote.iter().map(single(ConfChangeType::AddNode));
            let demote = demote.iter().map(single(ConfChangeType::AddLearnerNode));
            let remove = remove.iter().map(single(ConfChangeType::RemoveNode));
            promote.chain(demote).chain(remove).collect()
        }
        Change::LeaveJoint => Vec::new(),
    };
    let change = ConfChangeV2 { changes, ..ConfChangeV2::default() };
    chronik_raft_bridge::encode_conf_change_v2(&change).ok()
}

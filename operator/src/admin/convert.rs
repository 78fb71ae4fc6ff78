//! Between the wire and the plan's plain data; membership changes as bridge-encoded `ConfChangeV2`.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{Change, Conf, Group, Member, Meta, Node, NodeState, PeerId, Progress};
use chronik_raft_bridge::{decode_conf_state, encode_conf_change_v2};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};

use super::proto;

/// Why an answer or a change could not be converted.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum ConvertError {
    #[error("the members of {group} could not be read")]
    ConfState { group: String, source: chronik_raft_bridge::DecodeError },
    #[error("a membership change could not be written")]
    Change(#[from] chronik_raft_bridge::EncodeError),
    #[error("broker {broker} is in state {state}, which this operator does not know; update it")]
    State { broker: u32, state: i32 },
}

/// One broker's answer, as the plan sees it.
pub fn node(answer: &proto::DescribeResponse) -> Result<Node, ConvertError> {
    let state = match answer.state() {
        proto::NodeState::Uninitialized => NodeState::Uninitialized,
        proto::NodeState::Joining => NodeState::Joining,
        proto::NodeState::Member => NodeState::Member,
        proto::NodeState::Retired => NodeState::Retired,
        proto::NodeState::Unspecified => {
            return Err(ConvertError::State { broker: answer.broker, state: answer.state });
        }
    };
    Ok(Node {
        state,
        directory: answer.directory.clone(),
        cluster_id: Some(answer.cluster_id.clone()).filter(|id| !id.is_empty()),
        meta: answer.meta.as_ref().map(meta),
        groups: answer.groups.iter().map(group).collect::<Result<_, _>>()?,
        leaders: answer.leaders,
        offline: u32::try_from(answer.offline.len()).unwrap_or(u32::MAX),
        quorum_losses: answer.quorum_losses.iter().map(|(id, n)| (*id, *n)).collect(),
        needed: answer.needed.iter().map(|(id, n)| (*id, *n)).collect(),
    })
}

fn meta(meta: &proto::Meta) -> Meta {
    let member = |b: &proto::Broker| {
        let member = Member {
            directory: b.directory.clone(),
            meta_peer: b.meta_peer,
            cordoned: b.cordoned,
            fenced: b.fenced,
            told_rack: b.told_rack.clone(),
            advertised: b.advertised.clone(),
            replicas: b.replicas,
        };
        (b.id, member)
    };
    Meta {
        applied: meta.applied,
        open: meta.open,
        brokers: meta.brokers.iter().map(member).collect(),
        partitions: meta.partitions,
        off_target: meta.off_target,
        largest: (meta.largest_replication > 0)
            .then(|| (meta.largest_topic.clone(), meta.largest_replication)),
        catch_up_rate: meta.catch_up_rate,
    }
}

fn group(group: &proto::Group) -> Result<Group, ConvertError> {
    let state = decode_conf_state(&group.conf_state).map_err(|source| ConvertError::ConfState {
        group: format!("{}-{}", group.topic, group.partition),
        source,
    })?;
    let set = |peers: &[PeerId]| peers.iter().copied().collect::<BTreeSet<_>>();
    let progress = |p: &proto::Progress| {
        let progress = Progress {
            matched: p.matched,
            active: p.active,
            caught_up: p.caught_up,
            percent: p.percent,
        };
        (p.peer, progress)
    };
    Ok(Group {
        topic: group.topic.clone(),
        partition: group.partition,
        leader: group.leader,
        term: group.term,
        conf: Conf {
            voters: set(&state.voters),
            outgoing: set(&state.voters_outgoing),
            learners: set(&state.learners),
            learners_next: set(&state.learners_next),
        },
        conf_index: group.conf_index,
        target: set(&group.target),
        progress: group.progress.iter().map(progress).collect::<BTreeMap<_, _>>(),
    })
}

/// The bytes of a change. Several changes in one are a joint change that raft leaves by itself.
pub fn change(change: &Change) -> Result<Vec<u8>, ConvertError> {
    let single = |kind: ConfChangeType| {
        move |peer: &PeerId| ConfChangeSingle { change_type: kind as i32, node_id: *peer }
    };
    let changes = match change {
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
    Ok(encode_conf_change_v2(&ConfChangeV2 { changes, ..ConfChangeV2::default() })?)
}

//! Admin types of the core to and from those of the proto, field by field.

use chronik_core::admin::{
    AdminRequest, BrokerDescription, Description, GroupDescription, MetaDescription, NodeState,
    PeerProgress,
};
use chronik_core::ids::{BrokerId, PeerId, Uuid};
use tonic::Status;

use crate::proto::admin as proto;

/// A broker id from the wire.
pub(super) fn broker_id(id: u32) -> Result<BrokerId, Status> {
    if id > BrokerId::MAX.0 {
        let max = BrokerId::MAX;
        return Err(Status::invalid_argument(format!(
            "broker id {id} is above the largest, {max}"
        )));
    }
    Ok(BrokerId(id))
}

/// A directory id from the wire.
pub(super) fn directory(id: &str) -> Result<Uuid, Status> {
    Uuid::try_parse(id)
        .map_err(|e| Status::invalid_argument(format!("directory id {id:?} is no uuid: {e}")))
}

pub(super) fn change_membership(request: proto::ChangeMembershipRequest) -> AdminRequest {
    let proto::ChangeMembershipRequest { topic, partition, change, expected_conf_index } = request;
    AdminRequest::ChangeMembership { topic, partition, change, expected_conf_index }
}

pub(super) fn transfer(request: proto::TransferLeadershipRequest) -> AdminRequest {
    let proto::TransferLeadershipRequest { topic, partition, to } = request;
    AdminRequest::TransferLeadership { topic, partition, to: (to != 0).then_some(PeerId(to)) }
}

pub(super) fn description(description: Description) -> proto::DescribeResponse {
    let Description {
        broker,
        directory,
        boot,
        state,
        cluster_id,
        version,
        replicas,
        leaders,
        offline,
        meta,
        groups,
        quorum_losses,
        needed,
    } = description;
    let offline = offline
        .into_iter()
        .map(|(group, reason)| proto::OfflineGroup { group: group.to_string(), reason })
        .collect();
    proto::DescribeResponse {
        broker: broker.0,
        directory: directory.to_string(),
        boot,
        state: node_state(state).into(),
        cluster_id: cluster_id.unwrap_or_default(),
        version,
        replicas,
        leaders,
        offline,
        meta: meta.map(meta_image),
        groups: groups.into_iter().map(group).collect(),
        quorum_losses: quorum_losses.into_iter().map(|(b, n)| (b.0, n)).collect(),
        needed: needed.into_iter().map(|(b, n)| (b.0, n)).collect(),
    }
}

fn node_state(state: NodeState) -> proto::NodeState {
    match state {
        NodeState::Uninitialized => proto::NodeState::Uninitialized,
        NodeState::Joining => proto::NodeState::Joining,
        NodeState::Member => proto::NodeState::Member,
        NodeState::Retired => proto::NodeState::Retired,
    }
}

fn meta_image(meta: MetaDescription) -> proto::Meta {
    let MetaDescription {
        applied,
        leader,
        term,
        open,
        brokers,
        topics,
        partitions,
        off_target,
        largest_replication,
        catch_up_rate,
    } = meta;
    let (largest_topic, largest_replication) = largest_replication.unwrap_or_default();
    proto::Meta {
        applied,
        leader: leader.map(|b| b.0),
        term,
        open,
        brokers: brokers.into_iter().map(broker).collect(),
        topics,
        partitions,
        off_target,
        largest_topic,
        largest_replication,
        catch_up_rate,
    }
}

fn broker(broker: BrokerDescription) -> proto::Broker {
    let BrokerDescription {
        id,
        directory,
        meta_peer,
        kafka_address,
        peer_address,
        cordoned,
        fenced,
        told_rack,
        advertised,
        replicas,
        leaders,
    } = broker;
    proto::Broker {
        id: id.0,
        directory: directory.to_string(),
        meta_peer: meta_peer.0,
        kafka_address,
        peer_address,
        cordoned,
        fenced,
        told_rack,
        advertised,
        replicas,
        leaders,
    }
}

fn group(group: GroupDescription) -> proto::Group {
    let GroupDescription {
        topic,
        id,
        leader,
        term,
        conf_state,
        conf_index,
        target,
        progress: members,
    } = group;
    proto::Group {
        topic,
        topic_id: id.topic.to_string(),
        partition: id.partition,
        leader: leader.0,
        term,
        conf_state,
        conf_index,
        target: target.into_iter().map(|p| p.0).collect(),
        progress: members.iter().map(progress).collect(),
    }
}

fn progress(member: &PeerProgress) -> proto::Progress {
    let PeerProgress { peer, matched, active, caught_up, percent } = *member;
    proto::Progress { peer: peer.0, matched, active, caught_up, percent: percent.into() }
}

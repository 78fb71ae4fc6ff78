//! DescribeQuorum: the voters and observers of `__meta`, under Kafka's name for it and its own.
//! Offsets of it are raft indexes. Only its leader knows how far the others are; another broker
//! says what it knows, and -1 for the rest, since it cannot pass the question on.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_quorum_request as asked;
use kafka_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::{self as m, DescribeQuorumRequest, DescribeQuorumResponse};

use super::{Call, text, view, wire_id};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::{Index, PartitionId, PeerId, Uuid};
use crate::log::disk::Disk;
use crate::meta::Listener as MetaListener;

const NAMES: [&str; 2] = ["__cluster_metadata", "__meta"];
/// From this version on, answers name directories and nodes.
const NODES_FROM: i16 = 2;
const LISTENER: &str = "PLAINTEXT";

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DescribeQuorumRequest) {
    let topics = request.topics.iter().map(|topic| {
        let known = NAMES.contains(&topic.topic_name.as_str());
        let partitions =
            topic.partitions.iter().map(|p: &asked::PartitionData| match p.partition_index {
                0 if known => describe(core, call.version()),
                other => failed(other, KafkaError::UnknownTopicOrPartition),
            });
        TopicData::default()
            .with_topic_name(topic.topic_name.clone())
            .with_partitions(partitions.collect())
    });
    let mut response = DescribeQuorumResponse::default().with_topics(topics.collect());
    if call.version() >= NODES_FROM {
        response.nodes = nodes(core, call.listener);
    }
    call.answer(core, response);
}

fn failed(partition: i32, error: KafkaError) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_error_code(error.code())
        .with_error_message(Some(text(error.message())))
        .with_leader_id(m::BrokerId(-1))
        .with_leader_epoch(-1)
        .with_high_watermark(-1)
}

fn describe<D: Disk>(core: &Core<D>, version: i16) -> PartitionData {
    let (Some(meta), Some(replica)) =
        (core.meta.partition(PartitionId::META), core.replicas.get(&PartitionId::META))
    else {
        return failed(0, KafkaError::UnknownTopicOrPartition);
    };
    let mut ends: BTreeMap<PeerId, Index> = BTreeMap::new();
    if replica.group.leads() {
        ends.extend(replica.group.progress().iter().map(|member| (member.peer, member.matched)));
    }
    ends.insert(replica.group.peer(), replica.group.last_index());
    let state = |peer: &PeerId| {
        let broker =
            core.meta.broker(peer.broker()).filter(|b| version >= NODES_FROM && b.is_alive(*peer));
        ReplicaState::default()
            .with_replica_id(wire_id(peer.broker()))
            .with_replica_directory_id(broker.map_or(Uuid::nil(), |broker| broker.directory()))
            .with_log_end_offset(ends.get(peer).map_or(-1, |index| end(*index)))
    };
    let learners = meta.learners.iter().chain(&meta.learners_next);
    let leader = core.leader_of(PartitionId::META);
    PartitionData::default()
        .with_leader_id(leader.map_or(m::BrokerId(-1), |leader| wire_id(leader.broker)))
        .with_leader_epoch(leader.map_or(-1, |leader| leader.epoch()))
        .with_high_watermark(end(replica.group.committed()))
        .with_current_voters(meta.voters.iter().map(state).collect())
        .with_observers(learners.map(state).collect())
}

/// The offset after an entry, where offsets are raft indexes.
fn end(index: Index) -> i64 {
    i64::try_from(index).map_or(i64::MAX, |index| index.saturating_add(1))
}

fn nodes<D: Disk>(core: &Core<D>, through: MetaListener) -> Vec<Node> {
    let node = |broker: view::Endpoint| {
        let listener = Listener::default()
            .with_name(text(LISTENER))
            .with_host(broker.host)
            .with_port(u16::try_from(broker.port).unwrap_or(0));
        Node::default().with_node_id(broker.id).with_listeners(vec![listener])
    };
    core.meta.brokers().filter_map(|b| view::endpoint(b, through)).map(node).collect()
}

//! DescribeTopicPartitions: topics by name, in pages.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};

use super::{Call, operations, text, view};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::PartitionId;
use crate::log::disk::Disk;
use crate::meta::names::check_topic_name;

/// The most partitions of one answer.
const PARTITIONS_MAX: i32 = 2_000;

pub(super) fn handle<D: Disk>(
    core: &mut Core<D>,
    call: &Call,
    request: &DescribeTopicPartitionsRequest,
) {
    let named: BTreeSet<String> = if request.topics.is_empty() {
        core.meta.topics().map(|topic| topic.name.clone()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.to_string()).collect()
    };
    let (from_topic, from_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index),
        None => (String::new(), 0),
    };
    let mut left = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in named.range(from_topic.clone()..) {
        let from = if *name == from_topic { from_partition.max(0) } else { 0 };
        if left == 0 {
            response.next_cursor = Some(cursor(name, from));
            break;
        }
        let (topic, next) = describe(core, call, name, from, left);
        left -= i32::try_from(topic.partitions.len()).unwrap_or(left);
        response.topics.push(topic);
        if let Some(next) = next {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    call.answer(core, response);
}

fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(TopicName(text(topic))).with_partition_index(partition)
}

/// At most `limit` partitions of a topic, and the first one that is left over.
fn describe<D: Disk>(
    core: &Core<D>,
    call: &Call,
    name: &str,
    from: i32,
    limit: i32,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let result =
        DescribeTopicPartitionsResponseTopic::default().with_name(Some(TopicName(text(name))));
    let Some(topic) = core.meta.topic_by_name(name) else {
        let error = match check_topic_name(name) {
            Ok(()) => KafkaError::UnknownTopicOrPartition,
            Err(_) => KafkaError::InvalidTopicException,
        };
        return (result.with_error_code(error.code()), None);
    };
    let count = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
    let upto = from.saturating_add(limit).min(count);
    let ids = (from..upto).filter_map(|p| Some(PartitionId::new(topic.id, u32::try_from(p).ok()?)));
    let partitions = ids.filter_map(|id| view::partition(core, id, call.listener)).map(|p| {
        // Kafka's own tools do not expect null here. With Raft there are no such replicas (KIP-966).
        DescribeTopicPartitionsResponsePartition::default()
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
            .with_error_code(KafkaError::code_of(p.error))
            .with_partition_index(p.index)
            .with_leader_id(p.leader)
            .with_leader_epoch(p.leader_epoch)
            .with_replica_nodes(p.replicas)
            .with_isr_nodes(p.in_sync)
            .with_offline_replicas(p.offline)
    });
    let result = result
        .with_topic_id(topic.id)
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations::TOPIC);
    (result, (upto < count).then_some(upto))
}

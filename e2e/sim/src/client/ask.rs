//! What many clients ask for: who leads which partition, and where a partition starts and ends.

use std::collections::BTreeMap;

use chronik_core::error::KafkaError;
use chronik_core::ids::{BrokerId, Offset, Uuid};
use chronik_core::wire::{RequestBody, ResponseBody, StrBytes};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, TopicName,
};

use super::{Action, error_of};

/// The time that ListOffsets takes for the end of what is committed.
pub(super) const LATEST: i64 = -1;
/// The time that it takes for the start.
pub(super) const EARLIEST: i64 = -2;

/// A topic as the last metadata answer had it.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaders {
    pub(super) topic: Uuid,
    pub(super) partitions: BTreeMap<i32, Option<BrokerId>>,
}

/// Asks `to` about `topic`.
pub(super) fn metadata(to: BrokerId, topic: &str) -> Action {
    let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
    let body = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    Action::Ask { to, version: 12, body: Box::new(RequestBody::Metadata(body)) }
}

/// What the answer says; none if it knows nothing of the topic.
pub(super) fn leaders(answer: &ResponseBody) -> Option<Leaders> {
    let ResponseBody::Metadata(answer) = answer else { return None };
    let topic = answer.topics.first().filter(|topic| topic.error_code == 0)?;
    let leader = |id: i32| u32::try_from(id).ok().map(BrokerId);
    let partitions = topic.partitions.iter();
    Some(Leaders {
        topic: topic.topic_id,
        partitions: partitions.map(|p| (p.partition_index, leader(p.leader_id.0))).collect(),
    })
}

/// Asks for the start or the end of a partition.
pub(super) fn list_offsets(to: BrokerId, topic: &str, partition: i32, time: i64) -> Action {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(time);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let body = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    Action::Ask { to, version: 7, body: Box::new(RequestBody::ListOffsets(body)) }
}

/// The only offset of the answer.
pub(super) fn listed(answer: &ListOffsetsResponse) -> Result<Offset, KafkaError> {
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.ok_or(KafkaError::UnknownServerError)?;
    error_of(partition.error_code).map_or(Ok(partition.offset), Err)
}

/// A topic's name as the protocol has it.
pub(super) fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// The name of the `n`th topic.
pub(super) fn topic_name(n: u64) -> String {
    format!("t{n}")
}

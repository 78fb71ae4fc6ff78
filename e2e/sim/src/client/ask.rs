//! What all clients ask for: who leads which partition.

use std::collections::BTreeMap;

use chronik_core::ids::{BrokerId, Uuid};
use chronik_core::wire::{RequestBody, ResponseBody, StrBytes};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};

use super::Action;

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

/// A topic's name as the protocol has it.
pub(super) fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// The name of the `n`th topic.
pub(super) fn topic_name(n: u64) -> String {
    format!("t{n}")
}

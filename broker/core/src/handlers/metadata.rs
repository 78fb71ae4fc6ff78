//! Metadata: brokers, and topics with their leaders. Asking for an unknown topic may make it.

use std::collections::BTreeMap;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};

use super::gather::Gather;
use super::refusal::Failure;
use super::{Call, operations, placing, text, view};
use crate::core::Core;
use crate::error::KafkaError;
use crate::log::disk::Disk;
use crate::meta::names::check_topic_name;
use crate::meta::{ClusterConfig, Topic};

/// From this version on, no topics means none; before, it means all.
const NONE_FROM: i16 = 1;
/// From this version on, topics can be asked for by id alone.
const BY_ID_FROM: i16 = 12;

/// From this version on, a leader that clients of this listener cannot reach has an error of its own;
/// before, it is one that is not available.
const LISTENER_NOT_FOUND_FROM: i16 = 6;

/// Names that could not be made, and why.
type Failures = BTreeMap<String, KafkaError>;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: MetadataRequest) {
    let missing = missing(core, &request);
    let answered = call.clone();
    let names = missing.clone();
    let gather = Gather::new(core, missing.len(), move |core, made: Vec<Result<(), Failure>>| {
        let failed = names.into_iter().zip(made);
        let failed = failed.filter_map(|(name, made)| Some((name, made.err()?.error))).collect();
        let response = response(core, &answered, &request, &failed);
        answered.answer(core, response);
    });
    for (position, name) in missing.into_iter().enumerate() {
        let gather = gather.clone();
        placing::create_default(core, &name, move |core, made| gather.put(core, position, made));
    }
}

/// Topics that are asked for, do not exist, and are to be made.
fn missing<D: Disk>(core: &Core<D>, request: &MetadataRequest) -> Vec<String> {
    let wanted = request.allow_auto_topic_creation
        && core.meta.cluster_id().is_some()
        && ClusterConfig::of(&core.meta).auto_create_topics;
    if !wanted {
        return Vec::new();
    }
    let named = request.topics.iter().flatten().filter_map(|topic| topic.name.as_ref());
    let unknown = named.filter(|name| {
        core.meta.topic_by_name(name.as_str()).is_none() && check_topic_name(name.as_str()).is_ok()
    });
    let mut names: Vec<String> = unknown.map(|name| name.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

fn response<D: Disk>(
    core: &Core<D>,
    call: &Call,
    request: &MetadataRequest,
    failed: &Failures,
) -> MetadataResponse {
    let topics = match &request.topics {
        None => all(core, call),
        Some(topics) if topics.is_empty() && call.version() < NONE_FROM => all(core, call),
        Some(topics) => topics.iter().map(|topic| find(core, call, topic, failed)).collect(),
    };
    let asked = |asked: bool, bits: i32| if asked { bits } else { operations::NOT_ASKED };
    let of_topic = asked(request.include_topic_authorized_operations, operations::TOPIC);
    let topics = topics.into_iter().map(|topic: MetadataResponseTopic| {
        let known = topic.error_code == 0;
        topic.with_topic_authorized_operations(if known { of_topic } else { operations::NOT_ASKED })
    });
    let brokers = view::live(&core.meta, call.listener).map(|broker| {
        MetadataResponseBroker::default()
            .with_node_id(broker.id)
            .with_host(broker.host)
            .with_port(broker.port)
            .with_rack(broker.rack)
    });
    MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(core.cluster_id().map(text))
        .with_controller_id(view::controller(core, call.listener))
        .with_topics(topics.collect())
        .with_cluster_authorized_operations(asked(
            request.include_cluster_authorized_operations,
            operations::CLUSTER,
        ))
}

fn all<D: Disk>(core: &Core<D>, call: &Call) -> Vec<MetadataResponseTopic> {
    core.meta.topics().map(|topic| describe(core, call, topic)).collect()
}

fn find<D: Disk>(
    core: &Core<D>,
    call: &Call,
    asked: &MetadataRequestTopic,
    failed: &Failures,
) -> MetadataResponseTopic {
    let result = MetadataResponseTopic::default();
    let Some(name) = &asked.name else {
        if call.version() < BY_ID_FROM {
            let code = KafkaError::InvalidRequest.code();
            return result.with_name(Some(TopicName::default())).with_error_code(code);
        }
        return match core.meta.topic(asked.topic_id) {
            Some(topic) => describe(core, call, topic),
            None => result
                .with_topic_id(asked.topic_id)
                .with_error_code(KafkaError::UnknownTopicId.code()),
        };
    };
    if let Some(topic) = core.meta.topic_by_name(name.as_str()) {
        return describe(core, call, topic);
    }
    let error = match failed.get(name.as_str()) {
        // Old clients know this one to mean that the topic is about to be there.
        Some(error) if error.retriable() => KafkaError::LeaderNotAvailable,
        Some(error) => *error,
        None if check_topic_name(name.as_str()).is_err() => KafkaError::InvalidTopicException,
        None => KafkaError::UnknownTopicOrPartition,
    };
    result.with_name(Some(name.clone())).with_error_code(error.code())
}

fn describe<D: Disk>(core: &Core<D>, call: &Call, topic: &Topic) -> MetadataResponseTopic {
    let seen = topic.partition_ids().filter_map(|id| view::partition(core, id, call.listener));
    let partitions = seen.map(|p| {
        let error = match p.error {
            Some(KafkaError::ListenerNotFound) if call.version() < LISTENER_NOT_FOUND_FROM => {
                Some(KafkaError::LeaderNotAvailable)
            }
            other => other,
        };
        MetadataResponsePartition::default()
            .with_error_code(KafkaError::code_of(error))
            .with_partition_index(p.index)
            .with_leader_id(p.leader)
            .with_leader_epoch(p.leader_epoch)
            .with_replica_nodes(p.replicas)
            .with_isr_nodes(p.in_sync)
            .with_offline_replicas(p.offline)
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(topic.name.as_str()))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
}

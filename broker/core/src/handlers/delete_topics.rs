//! DeleteTopics, by name or by id: each topic is a command of its own.

use std::collections::BTreeMap;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::gather::Gather;
use super::refusal::Failure;
use super::{Call, text};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::Uuid;
use crate::log::disk::Disk;
use crate::meta::{Command, State, Topic};

/// A topic as the request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Name(String),
    Id(Uuid),
    Neither,
    Both(String, Uuid),
}

/// The versions that name topics by a structure instead of a name.
const STRUCTURES_FROM: i16 = 6;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DeleteTopicsRequest) {
    let mut named: BTreeMap<Named, u32> = BTreeMap::new();
    for name in asked(call.version(), request) {
        *named.entry(name).or_default() += 1;
    }
    let answered = call.clone();
    let gather = Gather::new(core, named.len(), move |core, responses| {
        answered.answer(core, DeleteTopicsResponse::default().with_responses(responses));
    });
    for (position, (name, times)) in named.into_iter().enumerate() {
        delete(core, &name, times, gather.clone(), position);
    }
}

fn asked(version: i16, request: &DeleteTopicsRequest) -> Vec<Named> {
    if version < STRUCTURES_FROM {
        return request.topic_names.iter().map(|name| Named::Name(name.to_string())).collect();
    }
    let one = |topic: &kafka_protocol::messages::delete_topics_request::DeleteTopicState| match (
        &topic.name,
        topic.topic_id,
    ) {
        (None, id) if id.is_nil() => Named::Neither,
        (None, id) => Named::Id(id),
        (Some(name), id) if id.is_nil() => Named::Name(name.to_string()),
        (Some(name), id) => Named::Both(name.to_string(), id),
    };
    request.topics.iter().map(one).collect()
}

fn delete<D: Disk>(
    core: &mut Core<D>,
    named: &Named,
    times: u32,
    gather: Gather<D, DeletableTopicResult>,
    position: usize,
) {
    let mut result = DeletableTopicResult::default();
    match named {
        Named::Name(name) => result.name = Some(TopicName(text(name.as_str()))),
        Named::Id(id) => result.topic_id = *id,
        Named::Both(name, id) => {
            (result.name, result.topic_id) = (Some(TopicName(text(name.as_str()))), *id);
        }
        Named::Neither => {}
    }
    let topic = match find(&core.meta, named, times) {
        Ok(topic) => topic,
        Err(failure) => return gather.put(core, position, fail(result, &failure)),
    };
    result.name = Some(TopicName(text(topic.name.as_str())));
    result.topic_id = topic.id;
    let by_name = matches!(named, Named::Name(_));
    core.propose_meta(&Command::DeleteTopic { id: topic.id }, move |core, outcome| {
        let result = match outcome.map_err(|error| Failure::from(&error)) {
            Ok(_) => result,
            Err(failure) if by_name && failure.error == KafkaError::UnknownTopicId => {
                fail(result, &Failure::from(KafkaError::UnknownTopicOrPartition))
            }
            Err(failure) => fail(result, &failure),
        };
        gather.put(core, position, result);
    });
}

fn find<'a>(state: &'a State, named: &Named, times: u32) -> Result<&'a Topic, Failure> {
    let invalid = |why: &str| Err(Failure::new(KafkaError::InvalidRequest, why));
    if times > 1 {
        return invalid("the request names the topic twice");
    }
    match named {
        Named::Name(name) => {
            state.topic_by_name(name).ok_or(Failure::from(KafkaError::UnknownTopicOrPartition))
        }
        Named::Id(id) => state.topic(*id).ok_or(Failure::from(KafkaError::UnknownTopicId)),
        Named::Neither => invalid("a topic needs a name or an id"),
        Named::Both(..) => invalid("a topic is named by its name or its id, not by both"),
    }
}

fn fail(result: DeletableTopicResult, failure: &Failure) -> DeletableTopicResult {
    result.with_error_code(failure.code()).with_error_message(failure.text())
}

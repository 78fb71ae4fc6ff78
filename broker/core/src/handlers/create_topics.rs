//! CreateTopics: each topic is a command of its own, answered when this broker's image has it.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{self as m, CreateTopicsRequest, CreateTopicsResponse, TopicName};

use super::gather::Gather;
use super::placing::{OFFSETS_TOPIC, place_as_asked, place_new, try_out};
use super::refusal::Failure;
use super::{Call, text};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::Uuid;
use crate::log::disk::Disk;
use crate::meta::configs::{Effective, TOPIC_CONFIGS};
use crate::meta::{Command, State};

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &CreateTopicsRequest) {
    let mut named: BTreeMap<&TopicName, Vec<&CreatableTopic>> = BTreeMap::new();
    for topic in &request.topics {
        named.entry(&topic.name).or_default().push(topic);
    }
    let answered = call.clone();
    let gather = Gather::new(core, named.len(), move |core, topics| {
        answered.answer(core, CreateTopicsResponse::default().with_topics(topics));
    });
    for (position, (name, topics)) in named.into_iter().enumerate() {
        let [topic] = topics[..] else {
            let twice =
                Failure::new(KafkaError::InvalidRequest, "the request names the topic twice");
            gather.put(core, position, failed(name, &twice));
            continue;
        };
        create(core, topic, request.validate_only, gather.clone(), position);
    }
}

fn create<D: Disk>(
    core: &mut Core<D>,
    topic: &CreatableTopic,
    validate_only: bool,
    gather: Gather<D, CreatableTopicResult>,
    position: usize,
) {
    let name = topic.name.clone();
    let id = core.new_uuid();
    let command = match command(&core.meta, topic, id) {
        Ok(command) => command,
        Err(failure) => return gather.put(core, position, failed(&name, &failure)),
    };
    if validate_only {
        let result = match try_out(&core.meta, &command) {
            Ok(state) => created(&state, &name).with_topic_id(Uuid::nil()),
            Err(failure) => failed(&name, &failure),
        };
        return gather.put(core, position, result);
    }
    core.propose_meta(&command, move |core, result| {
        let result = match result {
            Ok(_) => created(&core.meta, &name),
            // Asked for again after an answer of the leader was lost, it had happened already.
            Err(_) if core.meta.topic(id).is_some() => created(&core.meta, &name),
            Err(error) => failed(&name, &Failure::from(&error)),
        };
        gather.put(core, position, result);
    });
}

/// The command that makes what is asked for.
pub(super) fn command(state: &State, topic: &CreatableTopic, id: Uuid) -> Result<Command, Failure> {
    let name = topic.name.as_str();
    if state.topic_by_name(name).is_some() {
        let message = format!("topic {name:?} exists already");
        return Err(Failure::new(KafkaError::TopicAlreadyExists, message));
    }
    let partitions = if topic.assignments.is_empty() {
        place_new(state, topic.num_partitions, topic.replication_factor)?
    } else if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let message = "with assignments, partitions and replication factor must both be -1";
        return Err(Failure::new(KafkaError::InvalidRequest, message));
    } else {
        let assigned: Vec<(i32, &[m::BrokerId])> = topic
            .assignments
            .iter()
            .map(|assignment| (assignment.partition_index, &assignment.broker_ids[..]))
            .collect();
        place_as_asked(&assigned)?
    };
    let configs = configs(&topic.configs)?;
    let internal = name == OFFSETS_TOPIC;
    Ok(Command::CreateTopic { name: name.to_owned(), id, partitions, configs, internal })
}

fn configs(given: &[CreatableTopicConfig]) -> Result<BTreeMap<String, String>, Failure> {
    let mut configs = BTreeMap::new();
    for config in given {
        let name = config.name.to_string();
        let Some(value) = &config.value else {
            let message = format!("config {name} has no value; leave it out to have the default");
            return Err(Failure::new(KafkaError::InvalidConfig, message));
        };
        if configs.insert(name.clone(), value.to_string()).is_some() {
            let message = format!("config {name} is given twice");
            return Err(Failure::new(KafkaError::InvalidConfig, message));
        }
    }
    Ok(configs)
}

fn failed(name: &TopicName, failure: &Failure) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_code(failure.code())
        .with_error_message(failure.text())
}

fn created(state: &State, name: &TopicName) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(name.clone());
    // It can have been deleted by the very next command of the log.
    let Some(topic) = state.topic_by_name(name.as_str()) else { return result };
    let configs = TOPIC_CONFIGS.iter().map(|def| {
        let effective = Effective::of_topic(state, topic, None, def);
        CreatableTopicConfigs::default()
            .with_name(text(def.name))
            .with_value(Some(text(effective.value())))
            .with_read_only(def.is_read_only())
            .with_config_source(effective.source().code())
    });
    result
        .with_topic_id(topic.id)
        .with_num_partitions(i32::try_from(topic.partitions).unwrap_or(i32::MAX))
        .with_replication_factor(i16::try_from(state.replication(topic)).unwrap_or(i16::MAX))
        .with_configs(Some(configs.collect()))
}

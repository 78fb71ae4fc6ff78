//! CreatePartitions: more partitions for a topic, placed by the cluster or as the client says.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{
    self as m, CreatePartitionsRequest, CreatePartitionsResponse, TopicName,
};

use super::Call;
use super::gather::Gather;
use super::placing::{place_as_asked, try_out};
use super::refusal::Failure;
use crate::core::Core;
use crate::error::KafkaError;
use crate::log::disk::Disk;
use crate::meta::placement::place;
use crate::meta::{Command, State};

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &CreatePartitionsRequest) {
    let mut named: BTreeMap<&TopicName, Vec<&CreatePartitionsTopic>> = BTreeMap::new();
    for topic in &request.topics {
        named.entry(&topic.name).or_default().push(topic);
    }
    let answered = call.clone();
    let gather = Gather::new(core, named.len(), move |core, results| {
        answered.answer(core, CreatePartitionsResponse::default().with_results(results));
    });
    for (position, (name, topics)) in named.into_iter().enumerate() {
        let planned = match topics[..] {
            [topic] => command(&core.meta, topic),
            _ => Err(Failure::new(KafkaError::InvalidRequest, "the request names the topic twice")),
        };
        let name = name.clone();
        match planned {
            Err(failure) => gather.put(core, position, result(name, Err(failure))),
            Ok(command) if request.validate_only => {
                let tried = try_out(&core.meta, &command).map(|_| ());
                gather.put(core, position, result(name, tried));
            }
            Ok(command) => {
                let gather = gather.clone();
                core.propose_meta(&command, move |core, outcome| {
                    let outcome = outcome.map(|_| ()).map_err(|error| Failure::from(&error));
                    gather.put(core, position, result(name, outcome));
                });
            }
        }
    }
}

pub(super) fn command(state: &State, asked: &CreatePartitionsTopic) -> Result<Command, Failure> {
    let topic = state
        .topic_by_name(asked.name.as_str())
        .ok_or(Failure::from(KafkaError::UnknownTopicOrPartition))?;
    let invalid = |message: String| Failure::new(KafkaError::InvalidPartitions, message);
    let current = topic.partitions;
    let more = u32::try_from(asked.count).ok().and_then(|count| count.checked_sub(current));
    let Some(more) = more.filter(|more| *more > 0) else {
        let wanted = asked.count;
        return Err(invalid(format!(
            "the topic has {current} partitions and can only grow, {wanted} are wanted"
        )));
    };
    let replication = state.replication(topic);
    let partitions = match &asked.assignments {
        None => {
            let replication = u32::try_from(replication).unwrap_or(u32::MAX);
            place(state, more, replication).map_err(|error| Failure::from(&error))?
        }
        Some(assignments) => {
            if assignments.len() != more as usize {
                let message = format!(
                    "{more} partitions would be new, and {} are assigned",
                    assignments.len()
                );
                return Err(Failure::new(KafkaError::InvalidReplicaAssignment, message));
            }
            let assigned: Vec<(i32, &[m::BrokerId])> =
                (0..).zip(assignments.iter().map(|a| &a.broker_ids[..])).collect();
            let placed = place_as_asked(&assigned)?;
            if let Some(brokers) = placed.iter().find(|brokers| brokers.len() != replication) {
                let message = format!(
                    "the topic has {replication} replicas a partition, and {} are assigned",
                    brokers.len()
                );
                return Err(Failure::new(KafkaError::InvalidReplicaAssignment, message));
            }
            placed
        }
    };
    Ok(Command::CreatePartitions { topic: topic.id, expected: current, partitions })
}

fn result(name: TopicName, outcome: Result<(), Failure>) -> CreatePartitionsTopicResult {
    let result = CreatePartitionsTopicResult::default().with_name(name);
    match outcome {
        Ok(()) => result,
        Err(failure) => result.with_error_code(failure.code()).with_error_message(failure.text()),
    }
}

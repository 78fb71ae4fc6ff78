//! The operator's orders about a topic: guarded by its id, and then the same commands as the Kafka
//! APIs make of the same wishes. Nothing is judged here that is not judged there.

use std::collections::BTreeMap;

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};

use super::placing::try_out;
use super::refusal::Failure;
use super::{altering, create_partitions, create_topics, incremental_alter_configs, text};
use crate::admin::topic::{TopicDescription, TopicOrder};
use crate::admin::{AdminError, AdminResponse};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::{PartitionId, Uuid};
use crate::log::disk::Disk;
use crate::meta::{Command, State, Topic};

type Answer = Result<AdminResponse, AdminError>;

/// Carries an order out; `then` is called when it is decided.
pub(crate) fn order<D: Disk>(
    core: &mut Core<D>,
    order: TopicOrder,
    then: impl FnOnce(&mut Core<D>, Answer) + 'static,
) {
    if core.meta.cluster_id().is_none() || !core.meta.open() {
        let why = "the cluster is not formed yet, as far as this broker knows".to_owned();
        return then(core, Err(AdminError::Refused(why)));
    }
    match order {
        TopicOrder::Describe { name } => {
            let answer = describe(core, &name);
            then(core, answer);
        }
        TopicOrder::Create { name, owner, partitions, replicas, configs } => {
            let asked = creatable(&name, partitions, replicas, &configs);
            create(core, &asked, owner, then);
        }
        TopicOrder::Alter { name, id, partitions, configs } => {
            alter(core, name, id, partitions, configs, then);
        }
        TopicOrder::Delete { name, id } => delete(core, &name, id, then),
    }
}

/// An image that lags could deny a topic that was just made: only the leader's answer counts.
fn describe<D: Disk>(core: &Core<D>, name: &str) -> Answer {
    let replica = core.replicas.get(&PartitionId::META);
    if replica.is_none_or(|replica| replica.leading.is_none()) {
        let leader = core.leader_of(PartitionId::META).map(|leader| leader.broker);
        let leader = leader.filter(|broker| *broker != core.me());
        return Err(AdminError::NotLeader { what: "__meta".to_owned(), leader });
    }
    match core.meta.topic_by_name(name) {
        Some(topic) => Ok(described(&core.meta, topic)),
        None => Err(AdminError::NotFound(format!("there is no topic {name:?}"))),
    }
}

fn described(state: &State, topic: &Topic) -> AdminResponse {
    AdminResponse::Topic(TopicDescription {
        name: topic.name.clone(),
        id: topic.id,
        partitions: topic.partitions,
        replicas: u32::try_from(state.replication(topic)).unwrap_or(u32::MAX),
        configs: topic.configs.clone(),
        internal: topic.internal,
    })
}

fn creatable(
    name: &str,
    partitions: Option<u32>,
    replicas: Option<u32>,
    configs: &BTreeMap<String, String>,
) -> CreatableTopic {
    // Kafka's word for "the cluster's default" is -1; what does not fit is too many anyway.
    let partitions = partitions.map_or(-1, |n| i32::try_from(n).unwrap_or(i32::MAX));
    let replicas = replicas.map_or(-1, |n| i16::try_from(n).unwrap_or(i16::MAX));
    let config = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(text(name.as_str()))
            .with_value(Some(text(value.as_str())))
    };
    CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
        .with_configs(configs.iter().map(config).collect())
}

/// The id of a new topic: whose it is, and which one.
fn owned_id(owner: Uuid, fresh: Uuid) -> Uuid {
    const FRESH: u128 = u64::MAX as u128;
    Uuid::from_u128((owner.as_u128() & !FRESH) | (fresh.as_u128() & FRESH))
}

fn is_owned(id: Uuid, owner: Uuid) -> bool {
    id.as_u128() >> 64 == owner.as_u128() >> 64
}

fn create<D: Disk>(
    core: &mut Core<D>,
    asked: &CreatableTopic,
    owner: Uuid,
    then: impl FnOnce(&mut Core<D>, Answer) + 'static,
) {
    let name = asked.name.to_string();
    let id = owned_id(owner, core.new_uuid());
    let planned = create_topics::command(&core.meta, asked, id);
    carry_out(core, planned, move |core, outcome| {
        let there = core.meta.topic_by_name(&name);
        let answer = match (outcome, there) {
            // Made now, or by an order like this one whose answer was lost.
            (_, Some(topic)) if is_owned(topic.id, owner) => Ok(described(&core.meta, topic)),
            (Err(failure), _) => Err(error(failure)),
            (Ok(()), _) => {
                let why = format!("topic {name:?} was made, and is gone or another's by now");
                Err(AdminError::Stale(why))
            }
        };
        then(core, answer);
    });
}

fn alter<D: Disk>(
    core: &mut Core<D>,
    name: String,
    id: Uuid,
    partitions: Option<u32>,
    configs: BTreeMap<String, Option<String>>,
    then: impl FnOnce(&mut Core<D>, Answer) + 'static,
) {
    let current = match guarded(&core.meta, &name, id) {
        Ok(topic) => topic.partitions,
        Err(error) => return then(core, Err(error)),
    };
    let Some(count) = partitions.filter(|count| *count != current) else {
        return configure(core, name, id, &configs, then);
    };
    let grown = CreatePartitionsTopic::default()
        .with_name(TopicName(text(name.as_str())))
        .with_count(i32::try_from(count).unwrap_or(i32::MAX))
        .with_assignments(None);
    let planned = create_partitions::command(&core.meta, &grown);
    carry_out(core, planned, move |core, outcome| match outcome {
        Ok(()) => configure(core, name, id, &configs, then),
        Err(failure) => then(core, Err(error(failure))),
    });
}

fn configure<D: Disk>(
    core: &mut Core<D>,
    name: String,
    id: Uuid,
    configs: &BTreeMap<String, Option<String>>,
    then: impl FnOnce(&mut Core<D>, Answer) + 'static,
) {
    let topic = match guarded(&core.meta, &name, id) {
        Ok(topic) => topic,
        Err(error) => return then(core, Err(error)),
    };
    if configs.is_empty() {
        let answer = Ok(described(&core.meta, topic));
        return then(core, answer);
    }
    let config = |(name, value): (&String, &Option<String>)| {
        let operation = match value {
            Some(_) => incremental_alter_configs::SET,
            None => incremental_alter_configs::DELETE,
        };
        AlterableConfig::default()
            .with_name(text(name.as_str()))
            .with_config_operation(operation)
            .with_value(value.as_ref().map(|value| text(value.as_str())))
    };
    let asked = AlterConfigsResource::default()
        .with_resource_type(altering::TOPIC)
        .with_resource_name(text(name.as_str()))
        .with_configs(configs.iter().map(config).collect());
    let planned = incremental_alter_configs::command(&core.meta, &asked);
    carry_out(core, planned, move |core, outcome| {
        let answer = match outcome {
            Ok(()) => guarded(&core.meta, &name, id).map(|topic| described(&core.meta, topic)),
            Err(failure) => Err(error(failure)),
        };
        then(core, answer);
    });
}

fn delete<D: Disk>(
    core: &mut Core<D>,
    name: &str,
    id: Uuid,
    then: impl FnOnce(&mut Core<D>, Answer) + 'static,
) {
    if core.meta.topic_by_name(name).is_some_and(|topic| topic.id != id) {
        let error = guarded(&core.meta, name, id).err();
        let error = error.unwrap_or_else(|| AdminError::NotFound(format!("{name:?}")));
        return then(core, Err(error));
    }
    // Asked of the log even where this image has no such topic: the image may lag.
    core.propose_meta(&Command::DeleteTopic { id }, move |core, outcome| {
        let answer = match outcome.map_err(|error| Failure::from(&error)) {
            Ok(_) => Ok(AdminResponse::Done),
            Err(failure) if failure.error == KafkaError::UnknownTopicId => Ok(AdminResponse::Done),
            Err(failure) => Err(error(failure)),
        };
        then(core, answer);
    });
}

/// The topic of this name, if it is the one that is meant.
fn guarded<'a>(state: &'a State, name: &str, id: Uuid) -> Result<&'a Topic, AdminError> {
    match state.topic_by_name(name) {
        Some(topic) if topic.id == id => Ok(topic),
        Some(topic) => {
            Err(AdminError::Stale(format!("topic {name:?} is {}, not {id} (any more)", topic.id)))
        }
        None => Err(AdminError::NotFound(format!("there is no topic {name:?}"))),
    }
}

/// Proposes a planned change. What would be refused is not written to the log: an order that is
/// repeated for as long as a manifest asks for it must not fill it.
fn carry_out<D: Disk>(
    core: &mut Core<D>,
    planned: Result<Command, Failure>,
    then: impl FnOnce(&mut Core<D>, Result<(), Failure>) + 'static,
) {
    let tried = planned.and_then(|command| try_out(&core.meta, &command).map(|_| command));
    match tried {
        Err(failure) => then(core, Err(failure)),
        Ok(command) => core.propose_meta(&command, move |core, outcome| {
            then(core, outcome.map(drop).map_err(|error| Failure::from(&error)));
        }),
    }
}

fn error(failure: Failure) -> AdminError {
    let Failure { error, message } = failure;
    match error {
        KafkaError::RequestTimedOut => AdminError::Unknown(message),
        KafkaError::UnknownTopicOrPartition | KafkaError::UnknownTopicId => {
            AdminError::NotFound(message)
        }
        KafkaError::InvalidConfig
        | KafkaError::InvalidRequest
        | KafkaError::InvalidTopicException => AdminError::Invalid(message),
        _ => AdminError::Refused(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_topics_id_says_whose_it_is() {
        let (owner, fresh) = (Uuid::from_u128(7 << 64 | 1), Uuid::from_u128(9 << 64 | 5));
        let id = owned_id(owner, fresh);
        assert_eq!(id, Uuid::from_u128(7 << 64 | 5));
        assert!(is_owned(id, owner) && !is_owned(fresh, owner));
    }
}

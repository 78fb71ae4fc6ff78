//! AlterConfigs: sets all configs of a resource at once; what is not named goes back to its default.
//! And what both ways of altering configs share.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::Call;
use super::gather::Gather;
use super::placing::try_out;
use super::refusal::Failure;
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::BrokerId;
use crate::log::disk::Disk;
use crate::meta::configs::{BROKER_CONFIGS, ConfigSource, Effective};
use crate::meta::{Command, ConfigResource, State};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// New values by name; none goes back to the default.
pub(super) type Changes = BTreeMap<String, Option<String>>;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &AlterConfigsRequest) {
    let named = request.resources.iter().map(|r| (r.resource_type, r.resource_name.to_string()));
    let twice = named_twice(named);
    let answered = call.clone();
    let count = request.resources.len();
    let gather = Gather::new(core, count, move |core, responses| {
        answered.answer(core, AlterConfigsResponse::default().with_responses(responses));
    });
    for (position, asked) in request.resources.iter().enumerate() {
        let name = asked.resource_name.to_string();
        let planned = if twice.contains(&(asked.resource_type, name)) {
            Err(Failure::new(KafkaError::InvalidRequest, "the request names the resource twice"))
        } else {
            command(&core.meta, asked)
        };
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone());
        let gather = gather.clone();
        alter(core, planned, request.validate_only, move |core, done| {
            let response = match done {
                Ok(()) => response,
                Err(failure) => {
                    response.with_error_code(failure.code()).with_error_message(failure.text())
                }
            };
            gather.put(core, position, response);
        });
    }
}

fn command(state: &State, asked: &AlterConfigsResource) -> Result<Command, Failure> {
    let resource = resource(state, asked.resource_type, asked.resource_name.as_str())?;
    let mut changes: Changes = set_now(state, &resource).into_iter().map(|n| (n, None)).collect();
    let mut given = BTreeSet::new();
    for config in &asked.configs {
        let name = config.name.to_string();
        let Some(value) = &config.value else { return Err(no_value(&name)) };
        if !given.insert(name.clone()) {
            return Err(given_twice(&name));
        }
        changes.insert(name, Some(value.to_string()));
    }
    Ok(Command::SetConfigs { resource, changes })
}

/// The names of what is set on a resource itself.
fn set_now(state: &State, resource: &ConfigResource) -> Vec<String> {
    match resource {
        ConfigResource::Topic(name) => state
            .topic_by_name(name)
            .map(|topic| topic.configs.keys().cloned().collect())
            .unwrap_or_default(),
        ConfigResource::Broker(id) => {
            let own = if id.is_some() { ConfigSource::Broker } else { ConfigSource::AllBrokers };
            let all = BROKER_CONFIGS.iter().map(|def| Effective::of_broker(state, *id, def));
            let set = all.filter(|config| config.source() == own);
            set.map(|config| config.def.name.to_owned()).collect()
        }
    }
}

/// The resource of this type and name.
pub(super) fn resource(state: &State, kind: i8, name: &str) -> Result<ConfigResource, Failure> {
    match kind {
        TOPIC if state.topic_by_name(name).is_some() => Ok(ConfigResource::Topic(name.to_owned())),
        TOPIC => {
            let message = format!("there is no topic {name:?}");
            Err(Failure::new(KafkaError::UnknownTopicOrPartition, message))
        }
        BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
        BROKER => {
            let id = name.parse().ok().map(BrokerId).filter(|id| state.broker(*id).is_some());
            let message = format!("there is no broker {name:?}");
            let unknown = Failure::new(KafkaError::InvalidRequest, message);
            id.map(|id| ConfigResource::Broker(Some(id))).ok_or(unknown)
        }
        other => {
            let message = format!("resources of type {other} have no configs here");
            Err(Failure::new(KafkaError::InvalidRequest, message))
        }
    }
}

/// Carries a planned change out, or only tries it.
pub(super) fn alter<D: Disk>(
    core: &mut Core<D>,
    planned: Result<Command, Failure>,
    validate_only: bool,
    then: impl FnOnce(&mut Core<D>, Result<(), Failure>) + 'static,
) {
    match planned {
        Err(failure) => then(core, Err(failure)),
        Ok(command) if validate_only => {
            let tried = try_out(&core.meta, &command).map(|_| ());
            then(core, tried);
        }
        Ok(command) => core.propose_meta(&command, move |core, outcome| {
            then(core, outcome.map(|_| ()).map_err(|error| Failure::from(&error)));
        }),
    }
}

/// Resources that come more than once.
pub(super) fn named_twice(named: impl Iterator<Item = (i8, String)>) -> BTreeSet<(i8, String)> {
    let mut seen = BTreeSet::new();
    named.filter(|one| !seen.insert(one.clone())).collect::<Vec<_>>().into_iter().collect()
}

pub(super) fn no_value(name: &str) -> Failure {
    Failure::new(KafkaError::InvalidRequest, format!("config {name} has no value"))
}

pub(super) fn given_twice(name: &str) -> Failure {
    Failure::new(KafkaError::InvalidRequest, format!("config {name} is given twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_is_found() {
        let named = [(2, "a"), (2, "b"), (4, "a"), (2, "a")];
        let twice = named_twice(named.into_iter().map(|(kind, name)| (kind, name.to_owned())));
        assert_eq!(twice, BTreeSet::from([(2, "a".to_owned())]));
    }
}

//! IncrementalAlterConfigs: sets, unsets, and adds to or takes from lists, config by config.

use std::collections::BTreeMap;

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Call;
use super::altering::{Altered, Wish, alter_all, given_twice, no_value, resource};
use super::refusal::Failure;
use crate::core::Core;
use crate::error::KafkaError;
use crate::log::disk::Disk;
use crate::meta::configs::{ConfigType, Effective, broker_config, topic_config};
use crate::meta::{Command, ConfigResource, State};

pub(super) const SET: i8 = 0;
pub(super) const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) fn handle<D: Disk>(
    core: &mut Core<D>,
    call: &Call,
    request: &IncrementalAlterConfigsRequest,
) {
    let wish = |asked: &AlterConfigsResource| Wish {
        kind: asked.resource_type,
        name: asked.resource_name.clone(),
        planned: command(&core.meta, asked),
    };
    let wishes = request.resources.iter().map(wish).collect();
    let call = call.clone();
    alter_all(core, wishes, request.validate_only, move |core, altered| {
        let responses = altered.into_iter().map(response).collect();
        call.answer(core, IncrementalAlterConfigsResponse::default().with_responses(responses));
    });
}

fn response(altered: Altered) -> AlterConfigsResourceResponse {
    let Altered { kind, name, error, message } = altered;
    AlterConfigsResourceResponse::default()
        .with_resource_type(kind)
        .with_resource_name(name)
        .with_error_code(error)
        .with_error_message(message)
}

pub(super) fn command(state: &State, asked: &AlterConfigsResource) -> Result<Command, Failure> {
    let resource = resource(state, asked.resource_type, asked.resource_name.as_str())?;
    let mut changes = BTreeMap::new();
    for config in &asked.configs {
        let value = change(state, &resource, config)?;
        if changes.insert(config.name.to_string(), value).is_some() {
            return Err(given_twice(config.name.as_str()));
        }
    }
    Ok(Command::SetConfigs { resource, changes })
}

/// The new value of a config.
fn change(
    state: &State,
    resource: &ConfigResource,
    config: &AlterableConfig,
) -> Result<Option<String>, Failure> {
    let name = config.name.as_str();
    let value = || config.value.as_ref().map(|v| v.as_str()).ok_or_else(|| no_value(name));
    match config.config_operation {
        SET => Ok(Some(value()?.to_owned())),
        DELETE => Ok(None),
        operation @ (APPEND | SUBTRACT) => {
            let current = list_now(state, resource, name)?;
            Ok(Some(change_list(&current, value()?, operation == APPEND)))
        }
        other => {
            let message = format!("there is no config operation {other}");
            Err(Failure::new(KafkaError::InvalidRequest, message))
        }
    }
}

/// What a config of lists holds now.
fn list_now(state: &State, resource: &ConfigResource, name: &str) -> Result<String, Failure> {
    let effective = match resource {
        ConfigResource::Topic(topic) => {
            let topic = state.topic_by_name(topic);
            topic.zip(topic_config(name)).map(|(t, def)| Effective::of_topic(state, t, None, def))
        }
        ConfigResource::Broker(id) => {
            broker_config(name).map(|def| Effective::of_broker(state, *id, def))
        }
    };
    match effective {
        Some(config) if config.def.kind == ConfigType::List => Ok(config.value().to_owned()),
        Some(_) | None => {
            let message = format!("config {name} is no list, so nothing can be added or taken");
            Err(Failure::new(KafkaError::InvalidConfig, message))
        }
    }
}

fn change_list(current: &str, named: &str, append: bool) -> String {
    let items = |list: &str| -> Vec<String> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    };
    let (mut list, named) = (items(current), items(named));
    if append {
        for item in named {
            if !list.contains(&item) {
                list.push(item);
            }
        }
    } else {
        list.retain(|item| !named.contains(item));
    }
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::change_list;

    #[test]
    fn lists_grow_and_shrink() {
        assert_eq!(change_list("a, b", "b,c", true), "a,b,c");
        assert_eq!(change_list("a,b,c", " b ,d", false), "a,c");
        assert_eq!(change_list("", "a", true), "a");
    }
}

//! AlterConfigs: sets all configs of a resource at once; what is not named goes back to its default.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::Call;
use super::altering::{Altered, Wish, alter_all, given_twice, no_value, resource};
use super::refusal::Failure;
use crate::core::Core;
use crate::log::disk::Disk;
use crate::meta::configs::{BROKER_CONFIGS, ConfigSource, Effective};
use crate::meta::{Command, ConfigResource, State};

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &AlterConfigsRequest) {
    let wish = |asked: &AlterConfigsResource| Wish {
        kind: asked.resource_type,
        name: asked.resource_name.clone(),
        planned: command(&core.meta, asked),
    };
    let wishes = request.resources.iter().map(wish).collect();
    let call = call.clone();
    alter_all(core, wishes, request.validate_only, move |core, altered| {
        let responses = altered.into_iter().map(response).collect();
        call.answer(core, AlterConfigsResponse::default().with_responses(responses));
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

fn command(state: &State, asked: &AlterConfigsResource) -> Result<Command, Failure> {
    let resource = resource(state, asked.resource_type, asked.resource_name.as_str())?;
    let mut changes: BTreeMap<_, Option<String>> =
        set_now(state, &resource).into_iter().map(|n| (n, None)).collect();
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

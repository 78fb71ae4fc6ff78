//! DescribeConfigs: what holds for topics and brokers, and where it comes from. Every broker's image
//! has the configs of all of them, so any broker answers for any.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::altering::resource;
use super::refusal::Failure;
use super::{Call, text};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::BrokerId;
use crate::log::disk::Disk;
use crate::meta::configs::{BROKER_CONFIGS, ConfigSource, Effective, TOPIC_CONFIGS};
use crate::meta::{ConfigResource, State};

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DescribeConfigsRequest) {
    let results = request.resources.iter().map(|asked| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone());
        match effective(&core.meta, core.me(), asked) {
            Ok(configs) => {
                let rows = configs.iter().filter(|config| is_asked(asked, config.def.name));
                result.with_configs(rows.map(|config| row(request, config)).collect())
            }
            Err(failure) => {
                result.with_error_code(failure.code()).with_error_message(failure.text())
            }
        }
    });
    let results = results.collect();
    call.answer(core, DescribeConfigsResponse::default().with_results(results));
}

/// All configs of a resource.
fn effective(
    state: &State,
    me: BrokerId,
    asked: &DescribeConfigsResource,
) -> Result<Vec<Effective>, Failure> {
    match resource(state, asked.resource_type, asked.resource_name.as_str())? {
        ConfigResource::Topic(name) => {
            let topic = state
                .topic_by_name(&name)
                .ok_or(Failure::from(KafkaError::UnknownTopicOrPartition))?;
            let all = TOPIC_CONFIGS.iter();
            Ok(all.map(|def| Effective::of_topic(state, topic, Some(me), def)).collect())
        }
        ConfigResource::Broker(Some(id)) => {
            let all = BROKER_CONFIGS.iter();
            Ok(all.map(|def| Effective::of_broker(state, Some(id), def)).collect())
        }
        // The default of all brokers is only what was set for all of them.
        ConfigResource::Broker(None) => {
            let all = BROKER_CONFIGS.iter().map(|def| Effective::of_broker(state, None, def));
            Ok(all.filter(|config| config.source() == ConfigSource::AllBrokers).collect())
        }
    }
}

fn is_asked(asked: &DescribeConfigsResource, name: &str) -> bool {
    match &asked.configuration_keys {
        None => true,
        Some(keys) => keys.is_empty() || keys.iter().any(|key| key.as_str() == name),
    }
}

fn row(request: &DescribeConfigsRequest, config: &Effective) -> DescribeConfigsResourceResult {
    let def = config.def;
    let synonyms = config.synonyms.iter().filter(|_| request.include_synonyms);
    let synonyms = synonyms.map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(text(*name))
            .with_value(Some(text(value.as_str())))
            .with_source(source.code())
    });
    DescribeConfigsResourceResult::default()
        .with_name(text(def.name))
        .with_value(Some(text(config.value())))
        .with_read_only(def.is_read_only())
        .with_config_source(config.source().code())
        .with_synonyms(synonyms.collect())
        .with_config_type(def.kind.code())
        .with_documentation(request.include_documentation.then(|| text(def.documentation)))
}

//! Sets configs of a topic or of the cluster, each time to a value that was never set before, and asks
//! any broker what they are. Those of a topic are harmless: they keep records for longer than any run.
//! That of the cluster is how fast replicas catch up.

use chronik_core::error::KafkaError;
use chronik_core::wire::{RequestBody, ResponseBody, StrBytes};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::ask::topic_name;
use super::{Action, Came, Env, error_of};
use crate::invariants::Violation;
use crate::options::{Options, catch_up_rate};

/// Configs of a topic, with their defaults.
const OF_TOPIC: &[(&str, &str)] =
    &[("retention.ms", "604800000"), ("flush.ms", "9223372036854775807")];
/// Above both of these nothing happens within a run.
const VALUES_FROM: u64 = 1_000_000_000_000;
/// The one of the cluster. Until it is set, it is not shown.
const OF_CLUSTER: &[(&str, &str)] = &[("leader.replication.throttled.rate", "")];
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;

#[derive(Debug)]
pub(super) struct Tuner {
    kind: i8,
    /// The topic; none of all brokers is named for the cluster.
    name: String,
    configs: &'static [(&'static str, &'static str)],
    set: u64,
    /// The config that it asked about last, its value if it was to be set, and when it asked.
    asked: Option<(usize, Option<String>, u64)>,
    served: u64,
    last: Option<String>,
}

impl Tuner {
    pub(super) fn new(options: &Options) -> Tuner {
        let topic = topic_name(u64::from(options.topics.saturating_sub(1)));
        Tuner::of(TOPIC, topic, OF_TOPIC)
    }

    /// One that sets how fast replicas catch up.
    pub(super) fn of_cluster() -> Tuner {
        Tuner::of(BROKER, String::new(), OF_CLUSTER)
    }

    fn of(kind: i8, name: String, configs: &'static [(&'static str, &'static str)]) -> Tuner {
        Tuner { kind, name, configs, set: 0, asked: None, served: 0, last: None }
    }

    /// Whether nothing was set since `since`.
    pub(super) fn stuck(&self, since: u64) -> Option<String> {
        (self.served <= since).then(|| format!("no config could be set: {:?}", self.last))
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        match came {
            Came::Time => return Ok(self.ask(env)),
            Came::Unknown => self.last = Some("unknown".to_owned()),
            Came::Answer(ResponseBody::IncrementalAlterConfigs(answer)) => {
                let code = answer.responses.first().map_or(-1, |response| response.error_code);
                match (error_of(code), self.asked.take()) {
                    (None, Some((config, Some(value), _))) => {
                        let configs = &mut env.checks.configs;
                        let name = self.configs[config].0;
                        configs.acked(&self.name, name, &value, env.now, env.via);
                        let is_rate = self.kind == BROKER;
                        env.coverage.count(if is_rate {
                            "catch-up rates set"
                        } else {
                            "configs set"
                        });
                        self.served = env.now;
                    }
                    (error, _) => self.refused(error)?,
                }
            }
            Came::Answer(ResponseBody::DescribeConfigs(answer)) => {
                let result = answer.results.first();
                let code = result.map_or(-1, |result| result.error_code);
                let row = result.and_then(|result| result.configs.first());
                let value = row.and_then(|row| row.value.as_ref()).map(|value| value.as_str());
                match (error_of(code), self.asked.take()) {
                    (None, Some((config, None, sent))) => {
                        let (name, default) = self.configs[config];
                        let seen = value.filter(|value| *value != default);
                        let configs = &mut env.checks.configs;
                        configs.described(&self.name, name, seen, sent, env.via)?;
                        env.coverage.count("configs described");
                    }
                    (error, _) => self.refused(error)?,
                }
            }
            Came::Answer(_) => {}
        }
        Ok(Action::Sleep(env.rng.skewed(10_000, 1_500_000)))
    }

    fn refused(&mut self, error: Option<KafkaError>) -> Result<(), Violation> {
        self.last = Some(format!("{error:?}"));
        match error {
            Some(error) if !error.retriable() => Err(Violation {
                invariant: "errors are retriable",
                what: format!("the client of configs was told {error:?}"),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        let to = env.any_broker();
        let config = usize::from(env.rng.chance(500_000)).min(self.configs.len() - 1);
        let (config_name, _) = self.configs[config];
        let name = StrBytes::from_static_str(config_name);
        let resource = StrBytes::from_string(self.name.clone());
        if env.rng.chance(500_000) {
            self.asked = Some((config, None, env.now));
            let resource = DescribeConfigsResource::default()
                .with_resource_type(self.kind)
                .with_resource_name(resource)
                .with_configuration_keys(Some(vec![name]));
            let body = DescribeConfigsRequest::default().with_resources(vec![resource]);
            return Action::Ask {
                to,
                version: 4,
                body: Box::new(RequestBody::DescribeConfigs(body)),
            };
        }
        self.set += 1;
        let from = if self.kind == BROKER { catch_up_rate(env.rng) } else { VALUES_FROM };
        let value = (from + self.set).to_string();
        env.checks.configs.sent(&self.name, config_name, &value, env.now);
        let row = AlterableConfig::default()
            .with_name(name)
            .with_config_operation(SET)
            .with_value(Some(StrBytes::from_string(value.clone())));
        self.asked = Some((config, Some(value), env.now));
        let resource = AlterConfigsResource::default()
            .with_resource_type(self.kind)
            .with_resource_name(resource)
            .with_configs(vec![row]);
        let body = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let body = Box::new(RequestBody::IncrementalAlterConfigs(body));
        Action::Ask { to, version: 1, body }
    }
}

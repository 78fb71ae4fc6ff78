//! Configs of topics and brokers: which exist, what they may be, and what holds in effect. Only
//! configs that have an effect are in the table; all others are refused by name. Where the settings
//! are kept is [`Overrides`] and [`super::Topic`]; who may set them is left to the handlers.

pub mod effective;
pub mod table;

use std::collections::BTreeMap;

pub use effective::{ClusterConfig, ConfigSource, Effective, TimestampType, TopicConfig};
pub use table::{BROKER_CONFIGS, TOPIC_CONFIGS};

use crate::ids::BrokerId;

/// A config's type on the Kafka wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A number of 32 bits.
    Int,
    /// A number of 64 bits.
    Long,
    /// Texts with commas between them.
    List,
}

impl ConfigType {
    /// Its code in DescribeConfigs.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            ConfigType::Boolean => 1,
            ConfigType::String => 2,
            ConfigType::Int => 3,
            ConfigType::Long => 5,
            ConfigType::List => 7,
        }
    }
}

/// What a config may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `true` or `false`.
    Boolean,
    /// A number in this range.
    Range(i64, i64),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Only this, for a reason.
    Only(&'static str, &'static str),
}

/// Where a config can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// On a topic.
    Topic,
    /// On one broker or on all of them; it holds for the groups that the broker leads.
    Broker,
    /// On all brokers only.
    Cluster,
    /// Nowhere: it is shown, but fixed.
    Fixed,
}

/// One config that has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigDef {
    /// Its name.
    pub name: &'static str,
    /// Its type on the wire.
    pub kind: ConfigType,
    /// What holds when nothing is set.
    pub default: &'static str,
    /// What it may be.
    pub rule: Rule,
    /// Where it can be set.
    pub scope: Scope,
    /// Of a topic's config: the broker config that is its default.
    pub inherits: Option<&'static str>,
    /// What it does.
    pub documentation: &'static str,
}

/// Why a config cannot be set so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not in the table.
    #[error("config {0:?} is not known, or has no effect here")]
    Unknown(String),
    /// Shown, but fixed.
    #[error("config {0} cannot be changed")]
    ReadOnly(&'static str),
    /// Not for one broker alone.
    #[error("config {0} is the whole cluster's; set it with an empty broker name")]
    ClusterOnly(&'static str),
    /// Not a value of its type or range.
    #[error("{name} cannot be {value:?}: it must be {wanted}")]
    Invalid {
        /// The config.
        name: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        wanted: String,
    },
    /// More than a majority can be asked for by Raft.
    #[error(
        "min.insync.replicas cannot be {wanted}: a record is committed by a majority, which is {majority} of {replicas} replicas"
    )]
    AboveMajority {
        /// What was given.
        wanted: i64,
        /// The majority.
        majority: usize,
        /// The replicas of a partition.
        replicas: usize,
    },
}

impl ConfigDef {
    /// That this value can be set.
    pub fn check(&self, value: &str) -> Result<(), ConfigError> {
        let value = value.trim();
        let wanted = match self.rule {
            Rule::Boolean if matches!(value, "true" | "false") => return Ok(()),
            Rule::Boolean => "true or false".to_owned(),
            Rule::Range(min, max) => match value.parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => return Ok(()),
                Ok(_) | Err(_) => format!("a number from {min} to {max}"),
            },
            Rule::OneOf(values) if values.contains(&value) => return Ok(()),
            Rule::OneOf(values) => format!("one of {}", values.join(", ")),
            Rule::Only(only, _) if value == only => return Ok(()),
            Rule::Only(only, why) => format!("{only}, as {why}"),
        };
        Err(ConfigError::Invalid { name: self.name, value: value.to_owned(), wanted })
    }

    /// Whether it is shown, but cannot be set anywhere.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.scope == Scope::Fixed
    }
}

/// The topic config of this name.
#[must_use]
pub fn topic_config(name: &str) -> Option<&'static ConfigDef> {
    TOPIC_CONFIGS.iter().find(|def| def.name == name)
}

/// The broker config of this name.
#[must_use]
pub fn broker_config(name: &str) -> Option<&'static ConfigDef> {
    BROKER_CONFIGS.iter().find(|def| def.name == name)
}

/// That a topic with this many replicas a partition can have these configs.
pub fn check_topic(configs: &BTreeMap<String, String>, replicas: usize) -> Result<(), ConfigError> {
    for (name, value) in configs {
        let def = topic_config(name).ok_or_else(|| ConfigError::Unknown(name.clone()))?;
        def.check(value)?;
    }
    check_majority(configs, replicas)
}

/// That a partition with this many replicas can keep to the topic's `min.insync.replicas`.
pub fn check_majority(
    configs: &BTreeMap<String, String>,
    replicas: usize,
) -> Result<(), ConfigError> {
    let majority = replicas / 2 + 1;
    let set = configs.get("min.insync.replicas").and_then(|value| value.trim().parse().ok());
    match set {
        Some(wanted) if wanted > i64::try_from(majority).unwrap_or(i64::MAX) => {
            Err(ConfigError::AboveMajority { wanted, majority, replicas })
        }
        Some(_) | None => Ok(()),
    }
}

/// That a config can be set on one broker, or (`None`) on all.
pub fn check_broker(broker: Option<BrokerId>, name: &str, value: &str) -> Result<(), ConfigError> {
    let def = settable_on(broker, name)?;
    def.check(value)
}

/// That a config is one that can be set, or unset, there.
pub fn settable_on(
    broker: Option<BrokerId>,
    name: &str,
) -> Result<&'static ConfigDef, ConfigError> {
    let def = broker_config(name).ok_or_else(|| ConfigError::Unknown(name.to_owned()))?;
    match def.scope {
        Scope::Broker => Ok(def),
        Scope::Cluster if broker.is_none() => Ok(def),
        Scope::Cluster => Err(ConfigError::ClusterOnly(def.name)),
        Scope::Fixed => Err(ConfigError::ReadOnly(def.name)),
        Scope::Topic => Err(ConfigError::Unknown(name.to_owned())),
    }
}

/// Changes settings: `Some` sets, `None` unsets. They were checked.
pub(super) fn change(
    settings: &mut BTreeMap<String, String>,
    changes: &BTreeMap<String, Option<String>>,
) {
    for (name, value) in changes {
        match value {
            Some(value) => settings.insert(name.clone(), value.trim().to_owned()),
            None => settings.remove(name),
        };
    }
}

/// What brokers' configs are set to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Overrides {
    /// For all brokers.
    pub(super) cluster: BTreeMap<String, String>,
    /// For one broker; none of these is empty.
    pub(super) brokers: BTreeMap<BrokerId, BTreeMap<String, String>>,
}

impl Overrides {
    pub(super) fn of_broker(&self, broker: Option<BrokerId>, name: &str) -> Option<&str> {
        let settings = self.brokers.get(&broker?)?;
        settings.get(name).map(String::as_str)
    }

    pub(super) fn change(
        &mut self,
        broker: Option<BrokerId>,
        changes: &BTreeMap<String, Option<String>>,
    ) {
        match broker {
            None => change(&mut self.cluster, changes),
            Some(id) => {
                let mut settings = self.brokers.remove(&id).unwrap_or_default();
                change(&mut settings, changes);
                if !settings.is_empty() {
                    self.brokers.insert(id, settings);
                }
            }
        }
    }
}

//! What configs are in effect, and since which setting: the topic's, then one broker's, then all
//! brokers', then the default. Typed views for those who act on them.

use super::super::state::State;
use super::super::topics::Topic;
use super::{ConfigDef, ConfigType, broker_config, topic_config};
use crate::ids::BrokerId;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on this broker.
    Broker,
    /// Set on all brokers.
    AllBrokers,
    /// Not set.
    Default,
}

impl ConfigSource {
    /// Its code in DescribeConfigs.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            ConfigSource::Topic => 1,
            ConfigSource::Broker => 2,
            ConfigSource::AllBrokers => 3,
            ConfigSource::Default => 5,
        }
    }
}

/// A config with the values that it has, the first one in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The config.
    pub def: &'static ConfigDef,
    /// Name, value and source of all settings that bear on it, the strongest first. The last one is
    /// the default, so there is always one.
    pub synonyms: Vec<(&'static str, String, ConfigSource)>,
}

impl Effective {
    /// The value in effect.
    #[must_use]
    pub fn value(&self) -> &str {
        self.synonyms.first().map_or(self.def.default, |(_, value, _)| value)
    }

    /// Where that comes from.
    #[must_use]
    pub fn source(&self) -> ConfigSource {
        self.synonyms.first().map_or(ConfigSource::Default, |(_, _, source)| *source)
    }

    /// A topic's config, as it is on a broker (or on one without settings of its own).
    #[must_use]
    pub fn of_topic(
        state: &State,
        topic: &Topic,
        broker: Option<BrokerId>,
        def: &'static ConfigDef,
    ) -> Effective {
        let mut synonyms = Vec::new();
        if let Some(value) = topic.configs.get(def.name) {
            synonyms.push((def.name, value.clone(), ConfigSource::Topic));
        }
        match def.inherits.and_then(broker_config) {
            Some(inherited) => {
                synonyms.extend(Effective::of_broker(state, broker, inherited).synonyms);
            }
            None => synonyms.push((def.name, def.default.to_owned(), ConfigSource::Default)),
        }
        Effective { def, synonyms }
    }

    /// A broker's config (or, with `None`, that of a broker without settings of its own).
    #[must_use]
    pub fn of_broker(
        state: &State,
        broker: Option<BrokerId>,
        def: &'static ConfigDef,
    ) -> Effective {
        let mut synonyms = Vec::new();
        if let Some(value) = state.overrides.of_broker(broker, def.name) {
            synonyms.push((def.name, value.to_owned(), ConfigSource::Broker));
        }
        if let Some(value) = state.overrides.cluster.get(def.name) {
            synonyms.push((def.name, value.clone(), ConfigSource::AllBrokers));
        }
        synonyms.push((def.name, def.default.to_owned(), ConfigSource::Default));
        Effective { def, synonyms }
    }
}

/// Whose clock a record's timestamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's, when it appended.
    LogAppendTime,
}

/// What a topic's configs say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// How long records are kept; `None` is for ever.
    pub retention_ms: Option<u64>,
    /// How large a partition may grow; `None` is no limit.
    pub retention_bytes: Option<u64>,
    /// How large a segment may grow.
    pub segment_bytes: u64,
    /// The largest batch that is taken.
    pub max_message_bytes: usize,
    /// How many replicas must have a record; never more than a majority.
    pub min_insync_replicas: u32,
    /// Whose clock timestamps are.
    pub timestamp_type: TimestampType,
    /// Above 1, acks=all may be answered before a majority has synced.
    pub flush_messages: u64,
    /// With 0, acks=all is never answered before a majority has synced.
    pub flush_ms: u64,
}

impl TopicConfig {
    /// A topic's configs on a broker without settings of its own.
    #[must_use]
    pub fn of(state: &State, topic: &Topic) -> TopicConfig {
        TopicConfig::read(state, topic, None)
    }

    /// A topic's configs where this broker leads.
    #[must_use]
    pub fn on(state: &State, topic: &Topic, broker: BrokerId) -> TopicConfig {
        TopicConfig::read(state, topic, Some(broker))
    }

    /// Whether acks=all is answered when a majority has received a batch, not synced it.
    #[must_use]
    pub fn is_relaxed(&self) -> bool {
        self.flush_messages > 1 && self.flush_ms > 0
    }

    fn read(state: &State, topic: &Topic, broker: Option<BrokerId>) -> TopicConfig {
        let text = |name: &str| {
            let def = topic_config(name);
            def.map(|def| Effective::of_topic(state, topic, broker, def).value().to_owned())
        };
        let number = |name: &str| parse(topic_config(name), text(name).as_deref());
        let append_time = text("message.timestamp.type").as_deref() == Some("LogAppendTime");
        TopicConfig {
            retention_ms: u64::try_from(number("retention.ms")).ok(),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            segment_bytes: at_least_0(number("segment.bytes")),
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(0),
            min_insync_replicas: u32::try_from(number("min.insync.replicas")).unwrap_or(1),
            timestamp_type: match append_time {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            flush_messages: at_least_0(number("flush.messages")),
            flush_ms: at_least_0(number("flush.ms")),
        }
    }
}

/// What the cluster's configs say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Whether asking for an unknown topic makes it.
    pub auto_create_topics: bool,
    /// Whether leaderships go back to the first-named replicas by themselves.
    pub auto_leader_rebalance: bool,
    /// What each broker sends at most to replicas that are catching up; none if there is no limit.
    pub catch_up_bytes_per_second: Option<u64>,
    /// Partitions of a topic made without saying how many.
    pub num_partitions: u32,
    /// Replicas of a topic made without saying how many.
    pub default_replication_factor: u32,
    /// Partitions of `__consumer_offsets`.
    pub offsets_partitions: u32,
    /// How long the offsets of an empty group are kept.
    pub offsets_retention_ms: u64,
    /// How long the first rebalance of an empty group waits.
    pub group_initial_rebalance_delay_ms: u64,
    /// The shortest session timeout.
    pub group_min_session_timeout_ms: u64,
    /// The longest session timeout.
    pub group_max_session_timeout_ms: u64,
}

impl ClusterConfig {
    /// What holds now.
    #[must_use]
    pub fn of(state: &State) -> ClusterConfig {
        let effective =
            |name: &str| broker_config(name).map(|def| Effective::of_broker(state, None, def));
        let number =
            |name: &str| parse(broker_config(name), effective(name).as_ref().map(Effective::value));
        let count = |name: &str| u32::try_from(number(name)).unwrap_or(1);
        let millis = |name: &str| at_least_0(number(name));
        let replication = effective("default.replication.factor");
        let replication_set = replication.is_some_and(|e| e.source() != ConfigSource::Default);
        let mut default_replication_factor = count("default.replication.factor");
        if !replication_set {
            // Brokers that are away for a moment count: their absence must not make thinner topics.
            let brokers = state.brokers().filter(|broker| !broker.cordoned).count().max(1);
            let brokers = u32::try_from(brokers).unwrap_or(u32::MAX);
            default_replication_factor = default_replication_factor.min(brokers);
        }
        let enabled = |name: &str| effective(name).is_some_and(|e| e.value() == "true");
        ClusterConfig {
            auto_create_topics: enabled("auto.create.topics.enable"),
            auto_leader_rebalance: enabled("auto.leader.rebalance.enable"),
            catch_up_bytes_per_second: Some(number(super::table::CATCH_UP_RATE))
                .filter(|rate| *rate != i64::MAX)
                .and_then(|rate| u64::try_from(rate).ok()),
            num_partitions: count("num.partitions"),
            default_replication_factor,
            offsets_partitions: super::table::OFFSETS_PARTITIONS,
            offsets_retention_ms: millis("offsets.retention.minutes").saturating_mul(60_000),
            group_initial_rebalance_delay_ms: millis("group.initial.rebalance.delay.ms"),
            group_min_session_timeout_ms: millis("group.min.session.timeout.ms"),
            group_max_session_timeout_ms: millis("group.max.session.timeout.ms"),
        }
    }
}

/// A number in effect. Values were checked when they were set; one that an other version of the
/// software took and this one does not counts as not set.
fn parse(def: Option<&'static ConfigDef>, value: Option<&str>) -> i64 {
    let default = def.and_then(|def| def.default.parse().ok()).unwrap_or(0);
    let kept = value.filter(|value| def.is_some_and(|def| def.check(value).is_ok()));
    debug_assert!(def.is_some_and(|d| matches!(d.kind, ConfigType::Int | ConfigType::Long)));
    kept.and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn at_least_0(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

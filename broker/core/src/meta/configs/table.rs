//! The table of configs: one row each, with what it may be and what it does. A row is here only if
//! something reads it. Names and meanings are Kafka's; where ours differ, the documentation says so.

use super::{ConfigDef, ConfigType, Rule, Scope};

/// Partitions of `__consumer_offsets`: groups of consumers are spread over that many Raft groups.
pub const OFFSETS_PARTITIONS: u32 = 16;

/// How fast brokers send to replicas that are catching up.
pub const CATCH_UP_RATE: &str = "leader.replication.throttled.rate";

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const SEGMENT_MIN: i64 = 1 << 20;

/// Configs of topics.
pub const TOPIC_CONFIGS: &[ConfigDef] = &[
    ConfigDef {
        name: "cleanup.policy",
        kind: ConfigType::List,
        default: "delete",
        rule: Rule::Only("delete", "compaction by key is not there yet"),
        scope: Scope::Topic,
        inherits: None,
        documentation: "What is done with old records: delete removes whole segments by age and size.",
    },
    ConfigDef {
        name: "compression.type",
        kind: ConfigType::String,
        default: "producer",
        rule: Rule::Only("producer", "batches are stored as the producer sent them"),
        scope: Scope::Topic,
        inherits: None,
        documentation: "How batches are compressed: as the producer did it.",
    },
    ConfigDef {
        name: "flush.messages",
        kind: ConfigType::Long,
        default: "1",
        rule: Rule::Range(1, LONG_MAX),
        scope: Scope::Topic,
        inherits: Some("log.flush.interval.messages"),
        documentation: "With 1, acks=all is answered once a majority has synced the batch. Above 1, it is \
            answered once a majority has received it; disks are synced back to back all the same, and loss \
            of power on a majority at once can lose what was answered since the last sync.",
    },
    ConfigDef {
        name: "flush.ms",
        kind: ConfigType::Long,
        default: "9223372036854775807",
        rule: Rule::Range(0, LONG_MAX),
        scope: Scope::Topic,
        inherits: Some("log.flush.interval.ms"),
        documentation: "With 0, acks=all is answered once a majority has synced the batch, whatever \
            flush.messages is. Any other value is an upper bound that the back-to-back syncs keep anyway.",
    },
    ConfigDef {
        name: "max.message.bytes",
        kind: ConfigType::Int,
        default: "1048588",
        rule: Rule::Range(0, INT_MAX),
        scope: Scope::Topic,
        inherits: Some("message.max.bytes"),
        documentation: "The largest record batch that is taken, in bytes, after compression.",
    },
    ConfigDef {
        name: "message.timestamp.type",
        kind: ConfigType::String,
        default: "CreateTime",
        rule: Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        scope: Scope::Topic,
        inherits: Some("log.message.timestamp.type"),
        documentation: "Whether a record's timestamp is the producer's or that of its append.",
    },
    ConfigDef {
        name: "min.insync.replicas",
        kind: ConfigType::Int,
        default: "1",
        rule: Rule::Range(1, INT_MAX),
        scope: Scope::Topic,
        inherits: None,
        documentation: "How many replicas must have a record before acks=all is answered. A majority always \
            must; values above the majority of the topic's replicas are refused.",
    },
    ConfigDef {
        name: "retention.bytes",
        kind: ConfigType::Long,
        default: "-1",
        rule: Rule::Range(-1, LONG_MAX),
        scope: Scope::Topic,
        inherits: Some("log.retention.bytes"),
        documentation: "How large a partition may grow before old segments are removed; -1 is no limit.",
    },
    ConfigDef {
        name: "retention.ms",
        kind: ConfigType::Long,
        default: "604800000",
        rule: Rule::Range(-1, LONG_MAX),
        scope: Scope::Topic,
        inherits: Some("log.retention.ms"),
        documentation: "How long records are kept, in milliseconds; -1 is for ever.",
    },
    ConfigDef {
        name: "segment.bytes",
        kind: ConfigType::Int,
        default: "1073741824",
        rule: Rule::Range(SEGMENT_MIN, INT_MAX),
        scope: Scope::Topic,
        inherits: Some("log.segment.bytes"),
        documentation: "How large a segment file may grow; retention removes whole segments.",
    },
];

/// Configs of brokers.
pub const BROKER_CONFIGS: &[ConfigDef] = &[
    ConfigDef {
        name: "auto.create.topics.enable",
        kind: ConfigType::Boolean,
        default: "true",
        rule: Rule::Boolean,
        scope: Scope::Cluster,
        inherits: None,
        documentation: "Whether asking for the metadata of an unknown topic makes it.",
    },
    ConfigDef {
        name: "auto.leader.rebalance.enable",
        kind: ConfigType::Boolean,
        default: "true",
        rule: Rule::Boolean,
        scope: Scope::Cluster,
        inherits: None,
        documentation: "Whether leaderships go back to the first-named replicas by themselves, a few every \
            five seconds, once their brokers have been back for as long.",
    },
    ConfigDef {
        name: "default.replication.factor",
        kind: ConfigType::Int,
        default: "3",
        rule: Rule::Range(1, super::super::partitions::REPLICAS_MAX as i64),
        scope: Scope::Cluster,
        inherits: None,
        documentation: "Replicas of a topic that is made without saying how many. While this is not set, a \
            cluster with fewer brokers uses as many as it has.",
    },
    ConfigDef {
        name: "group.initial.rebalance.delay.ms",
        kind: ConfigType::Int,
        default: "3000",
        rule: Rule::Range(0, INT_MAX),
        scope: Scope::Cluster,
        inherits: None,
        documentation: "How long the first rebalance of an empty group waits for more members.",
    },
    ConfigDef {
        name: "group.max.session.timeout.ms",
        kind: ConfigType::Int,
        default: "1800000",
        rule: Rule::Range(1, INT_MAX),
        scope: Scope::Cluster,
        inherits: None,
        documentation: "The longest session timeout that a group member may ask for.",
    },
    ConfigDef {
        name: "group.min.session.timeout.ms",
        kind: ConfigType::Int,
        default: "6000",
        rule: Rule::Range(1, INT_MAX),
        scope: Scope::Cluster,
        inherits: None,
        documentation: "The shortest session timeout that a group member may ask for.",
    },
    ConfigDef {
        name: CATCH_UP_RATE,
        kind: ConfigType::Long,
        default: "9223372036854775807",
        rule: Rule::Range(1, LONG_MAX),
        scope: Scope::Cluster,
        inherits: None,
        documentation: "Bytes a second that each broker sends at most to replicas that are catching up: new \
            ones, and those that move. Replicas that acknowledge records are never slowed, so there is no list \
            of throttled replicas. A rate below that of the producers is never caught up with.",
    },
    ConfigDef {
        name: "log.flush.interval.messages",
        kind: ConfigType::Long,
        default: "1",
        rule: Rule::Range(1, LONG_MAX),
        scope: Scope::Broker,
        inherits: None,
        documentation: "The default of flush.messages.",
    },
    ConfigDef {
        name: "log.flush.interval.ms",
        kind: ConfigType::Long,
        default: "9223372036854775807",
        rule: Rule::Range(0, LONG_MAX),
        scope: Scope::Broker,
        inherits: None,
        documentation: "The default of flush.ms.",
    },
    ConfigDef {
        name: "log.message.timestamp.type",
        kind: ConfigType::String,
        default: "CreateTime",
        rule: Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        scope: Scope::Broker,
        inherits: None,
        documentation: "The default of message.timestamp.type.",
    },
    ConfigDef {
        name: "log.retention.bytes",
        kind: ConfigType::Long,
        default: "-1",
        rule: Rule::Range(-1, LONG_MAX),
        scope: Scope::Broker,
        inherits: None,
        documentation: "The default of retention.bytes.",
    },
    ConfigDef {
        name: "log.retention.ms",
        kind: ConfigType::Long,
        default: "604800000",
        rule: Rule::Range(-1, LONG_MAX),
        scope: Scope::Broker,
        inherits: None,
        documentation: "The default of retention.ms.",
    },
    ConfigDef {
        name: "log.segment.bytes",
        kind: ConfigType::Int,
        default: "1073741824",
        rule: Rule::Range(SEGMENT_MIN, INT_MAX),
        scope: Scope::Broker,
        inherits: None,
        documentation: "The default of segment.bytes.",
    },
    ConfigDef {
        name: "message.max.bytes",
        kind: ConfigType::Int,
        default: "1048588",
        rule: Rule::Range(0, INT_MAX),
        scope: Scope::Broker,
        inherits: None,
        documentation: "The default of max.message.bytes.",
    },
    ConfigDef {
        name: "num.partitions",
        kind: ConfigType::Int,
        default: "1",
        rule: Rule::Range(1, super::super::topics::TOPIC_PARTITIONS_MAX as i64),
        scope: Scope::Cluster,
        inherits: None,
        documentation: "Partitions of a topic that is made without saying how many.",
    },
    ConfigDef {
        name: "offsets.retention.minutes",
        kind: ConfigType::Int,
        default: "10080",
        rule: Rule::Range(1, INT_MAX),
        scope: Scope::Cluster,
        inherits: None,
        documentation: "How long the offsets of an empty group are kept.",
    },
    ConfigDef {
        name: "offsets.topic.num.partitions",
        kind: ConfigType::Int,
        default: "16",
        rule: Rule::Only("16", "group ids are hashed to partitions"),
        scope: Scope::Fixed,
        inherits: None,
        documentation: "Partitions of __consumer_offsets.",
    },
];

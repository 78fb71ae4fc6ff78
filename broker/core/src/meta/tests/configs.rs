//! The table of configs, who may set what, and what is in effect.

use super::*;
use crate::meta::configs::{
    BROKER_CONFIGS, ConfigSource, Effective, Scope, TOPIC_CONFIGS, TimestampType, broker_config,
    table::OFFSETS_PARTITIONS, topic_config,
};

fn set(resource: ConfigResource, name: &str, value: Option<&str>) -> Command {
    let changes = BTreeMap::from([(name.to_owned(), value.map(str::to_owned))]);
    Command::SetConfigs { resource, changes }
}

fn topic(name: &str) -> ConfigResource {
    ConfigResource::Topic(name.into())
}

#[test]
fn the_table_is_sound() {
    for table in [TOPIC_CONFIGS, BROKER_CONFIGS] {
        assert!(table.is_sorted_by(|a, b| a.name < b.name), "sorted, and each name once");
        for def in table {
            assert_eq!(def.check(def.default), Ok(()), "{}", def.name);
            assert!(!def.documentation.contains("  "), "{}", def.name);
        }
    }
    for def in TOPIC_CONFIGS {
        assert_eq!(def.scope, Scope::Topic);
        let Some(inherits) = def.inherits else { continue };
        let inherited = broker_config(inherits).expect("inherits a config of the table");
        assert_eq!((inherited.default, inherited.rule), (def.default, def.rule));
    }
    let fixed = broker_config("offsets.topic.num.partitions").unwrap();
    assert_eq!(fixed.default, OFFSETS_PARTITIONS.to_string());
}

#[test]
fn values_are_checked() {
    let mut c = cluster(3);
    c.accept(&create("t", 10, &[&[1, 2, 3]]));
    let mut refuse = |name, value, why: &str| c.refuse(&set(topic("t"), name, Some(value)), why);
    refuse(
        "cleanup.policy",
        "compact",
        "cleanup.policy cannot be \"compact\": it must be delete, as compaction by key is not there yet",
    );
    refuse(
        "retention.ms",
        "-2",
        "retention.ms cannot be \"-2\": it must be a number from -1 to 9223372036854775807",
    );
    refuse(
        "retention.ms",
        "soon",
        "retention.ms cannot be \"soon\": it must be a number from -1 to 9223372036854775807",
    );
    refuse(
        "message.timestamp.type",
        "Never",
        "message.timestamp.type cannot be \"Never\": it must be one of CreateTime, LogAppendTime",
    );
    refuse(
        "delete.retention.ms",
        "1",
        "config \"delete.retention.ms\" is not known, or has no effect here",
    );
    refuse(
        "min.insync.replicas",
        "3",
        "min.insync.replicas cannot be 3: a record is committed by a majority, which is 2 of 3 replicas",
    );
    c.refuse(&set(topic("u"), "retention.ms", Some("1")), "there is no topic \"u\"");
    c.refuse(
        &set(topic("t"), "nothing", None),
        "config \"nothing\" is not known, or has no effect here",
    );
    let all = || ConfigResource::Broker(None);
    let one = || ConfigResource::Broker(Some(broker(1)));
    c.refuse(
        &set(all(), "retention.ms", Some("1")),
        "config \"retention.ms\" is not known, or has no effect here",
    );
    c.refuse(
        &set(all(), "offsets.topic.num.partitions", Some("16")),
        "config offsets.topic.num.partitions cannot be changed",
    );
    c.refuse(
        &set(one(), "num.partitions", Some("2")),
        "config num.partitions is the whole cluster's; set it with an empty broker name",
    );
    c.refuse(
        &set(all(), "auto.create.topics.enable", Some("yes")),
        "auto.create.topics.enable cannot be \"yes\": it must be true or false",
    );
    let unknown = ConfigResource::Broker(Some(broker(9)));
    c.refuse(&set(unknown, "log.retention.ms", Some("1")), "broker 9 is not registered");
}

#[test]
fn fewer_replicas_cannot_undercut_min_insync() {
    let mut c = cluster(3);
    c.accept(&create("t", 10, &[&[1, 2, 3]]));
    c.accept(&set(topic("t"), "min.insync.replicas", Some("2")));
    let shrink = Command::SetTargets { targets: vec![(partition_id(10, 0), brokers(&[1]))] };
    c.refuse(&shrink, "min.insync.replicas cannot be 2: a record is committed by a majority, which is 1 of 1 replicas");
}

#[test]
fn the_nearest_setting_holds() {
    let mut c = cluster(2);
    c.accept(&create("t", 10, &[&[1, 2]]));
    let def = topic_config("retention.ms").unwrap();
    let effective = |c: &Cluster, on| {
        let topic = c.state.topic_by_name("t").unwrap();
        let found = Effective::of_topic(&c.state, topic, Some(broker(on)), def);
        (found.value().to_owned(), found.source(), found.synonyms.len())
    };
    assert_eq!(effective(&c, 1), ("604800000".into(), ConfigSource::Default, 1));
    c.accept(&set(ConfigResource::Broker(None), "log.retention.ms", Some(" 1 ")));
    assert_eq!(effective(&c, 1), ("1".into(), ConfigSource::AllBrokers, 2));
    c.accept(&set(ConfigResource::Broker(Some(broker(2))), "log.retention.ms", Some("2")));
    assert_eq!(effective(&c, 1), ("1".into(), ConfigSource::AllBrokers, 2));
    assert_eq!(effective(&c, 2), ("2".into(), ConfigSource::Broker, 3));
    let (_, applied) = c.accept(&set(topic("t"), "retention.ms", Some("-1")));
    assert!(applied.configs_changed.contains(&topic("t")));
    assert_eq!(effective(&c, 2), ("-1".into(), ConfigSource::Topic, 4));
    let read = |c: &Cluster| TopicConfig::of(&c.state, c.state.topic_by_name("t").unwrap());
    assert_eq!(read(&c).retention_ms, None);
    c.accept(&set(topic("t"), "retention.ms", None));
    assert_eq!(read(&c).retention_ms, Some(1));
    let on_2 = TopicConfig::on(&c.state, c.state.topic_by_name("t").unwrap(), broker(2));
    assert_eq!(on_2.retention_ms, Some(2));
}

#[test]
fn typed_views() {
    let mut c = cluster(2);
    c.accept(&create("t", 10, &[&[1, 2]]));
    let read = |c: &Cluster| TopicConfig::of(&c.state, c.state.topic_by_name("t").unwrap());
    let expected = TopicConfig {
        retention_ms: Some(604_800_000),
        retention_bytes: None,
        segment_bytes: 1 << 30,
        max_message_bytes: 1_048_588,
        min_insync_replicas: 1,
        timestamp_type: TimestampType::CreateTime,
        flush_messages: 1,
        flush_ms: i64::MAX as u64,
    };
    assert_eq!(read(&c), expected);
    assert!(!expected.is_relaxed(), "synced unless somebody says otherwise");
    c.accept(&set(topic("t"), "flush.messages", Some("10000")));
    assert!(read(&c).is_relaxed());
    c.accept(&set(topic("t"), "flush.ms", Some("0")));
    assert!(!read(&c).is_relaxed());
    assert_eq!(ClusterConfig::of(&c.state).default_replication_factor, 2, "as many as there are");
    let all = || ConfigResource::Broker(None);
    c.accept(&set(all(), "default.replication.factor", Some("3")));
    c.accept(&set(all(), "num.partitions", Some("4")));
    c.accept(&set(all(), "auto.create.topics.enable", Some("false")));
    let expected = ClusterConfig {
        auto_create_topics: false,
        auto_leader_rebalance: true,
        catch_up_bytes_per_second: None,
        num_partitions: 4,
        default_replication_factor: 3,
        offsets_partitions: OFFSETS_PARTITIONS,
        offsets_retention_ms: 10_080 * 60_000,
        group_initial_rebalance_delay_ms: 3000,
        group_min_session_timeout_ms: 6000,
        group_max_session_timeout_ms: 1_800_000,
    };
    assert_eq!(ClusterConfig::of(&c.state), expected);
}

#[test]
fn internal_topics_do_not_grow_old() {
    let mut c = cluster(1);
    let internal = Command::CreateTopic {
        name: "__consumer_offsets".into(),
        id: uuid(10),
        partitions: vec![brokers(&[1])],
        configs: BTreeMap::new(),
        internal: true,
    };
    c.accept(&internal);
    let topic = c.state.topic_by_name("__consumer_offsets").unwrap();
    let read = TopicConfig::of(&c.state, topic);
    assert_eq!((read.retention_ms, read.retention_bytes), (None, None));
    let grow =
        Command::CreatePartitions { topic: uuid(10), expected: 1, partitions: vec![brokers(&[1])] };
    c.refuse(&grow, "topic \"__consumer_offsets\" is internal and cannot grow: its keys would move to other partitions");
}

//! The layout of every request that the `kafka-protocol` crate decodes: kinds and versions of the
//! fields, in their order. A test encodes by these layouts and lets the crate decode it.

use super::{Field, Kind};
use crate::wire::api::ApiKey;

const MAX: i16 = i16::MAX;
const BYTE: Kind = Kind::Fixed(1);
const SHORT: Kind = Kind::Fixed(2);
const INT: Kind = Kind::Fixed(4);
const LONG: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);
const INTS: Kind = Kind::List(&INT);
const TEXTS: Kind = Kind::List(&Kind::Text);

/// A field that all versions have.
const fn f(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, from: 0, to: MAX }
}

/// A field of `from` and newer.
const fn since(from: i16, name: &'static str, kind: Kind) -> Field {
    Field { name, kind, from, to: MAX }
}

/// A field up to and including `to`.
const fn until(to: i16, name: &'static str, kind: Kind) -> Field {
    Field { name, kind, from: 0, to }
}

/// The layout of an API's request; empty for the two that are read by hand.
pub(in crate::wire) const fn fields(api: ApiKey) -> &'static [Field] {
    match api {
        ApiKey::Produce | ApiKey::Fetch => &[],
        ApiKey::ListOffsets => LIST_OFFSETS,
        ApiKey::Metadata => METADATA,
        ApiKey::OffsetCommit => OFFSET_COMMIT,
        ApiKey::OffsetFetch => OFFSET_FETCH,
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::JoinGroup => JOIN_GROUP,
        ApiKey::Heartbeat => HEARTBEAT,
        ApiKey::LeaveGroup => LEAVE_GROUP,
        ApiKey::SyncGroup => SYNC_GROUP,
        ApiKey::DescribeGroups => DESCRIBE_GROUPS,
        ApiKey::ListGroups => LIST_GROUPS,
        ApiKey::ApiVersions => API_VERSIONS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DeleteTopics => DELETE_TOPICS,
        ApiKey::DeleteRecords => DELETE_RECORDS,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => ALTER_CONFIGS,
        ApiKey::DescribeLogDirs => DESCRIBE_LOG_DIRS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::DeleteGroups => DELETE_GROUPS,
        ApiKey::ElectLeaders => ELECT_LEADERS,
        ApiKey::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiKey::OffsetDelete => OFFSET_DELETE,
        ApiKey::DescribeQuorum => DESCRIBE_QUORUM,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
        ApiKey::DescribeTopicPartitions => DESCRIBE_TOPIC_PARTITIONS,
    }
}

const LIST_OFFSETS: &[Field] = &[
    f("replica_id", INT),
    since(2, "isolation_level", BYTE),
    f(
        "topics",
        Kind::List(&Kind::Struct(&[
            f("name", Kind::Text),
            f(
                "partitions",
                Kind::List(&Kind::Struct(&[
                    f("partition_index", INT),
                    since(4, "current_leader_epoch", INT),
                    f("timestamp", LONG),
                ])),
            ),
        ])),
    ),
    since(10, "timeout_ms", INT),
];

const METADATA: &[Field] = &[
    f("topics", Kind::List(&Kind::Struct(&[since(10, "topic_id", UUID), f("name", Kind::Text)]))),
    since(4, "allow_auto_topic_creation", BYTE),
    Field { name: "include_cluster_authorized_operations", kind: BYTE, from: 8, to: 10 },
    since(8, "include_topic_authorized_operations", BYTE),
];

const OFFSET_COMMIT: &[Field] = &[
    f("group_id", Kind::Text),
    f("generation_id", INT),
    f("member_id", Kind::Text),
    since(7, "group_instance_id", Kind::Text),
    until(4, "retention_time_ms", LONG),
    f(
        "topics",
        Kind::List(&Kind::Struct(&[
            f("name", Kind::Text),
            f(
                "partitions",
                Kind::List(&Kind::Struct(&[
                    f("partition_index", INT),
                    f("committed_offset", LONG),
                    since(6, "committed_leader_epoch", INT),
                    f("committed_metadata", Kind::Text),
                ])),
            ),
        ])),
    ),
];

const NAMED_PARTITIONS: &[Field] = &[f("name", Kind::Text), f("partition_indexes", INTS)];

const OFFSET_FETCH: &[Field] = &[
    until(7, "group_id", Kind::Text),
    until(7, "topics", Kind::List(&Kind::Struct(NAMED_PARTITIONS))),
    since(
        8,
        "groups",
        Kind::List(&Kind::Struct(&[
            f("group_id", Kind::Text),
            since(9, "member_id", Kind::Text),
            since(9, "member_epoch", INT),
            f("topics", Kind::List(&Kind::Struct(NAMED_PARTITIONS))),
        ])),
    ),
    since(7, "require_stable", BYTE),
];

const FIND_COORDINATOR: &[Field] =
    &[until(3, "key", Kind::Text), since(1, "key_type", BYTE), since(4, "coordinator_keys", TEXTS)];

const JOIN_GROUP: &[Field] = &[
    f("group_id", Kind::Text),
    f("session_timeout_ms", INT),
    since(1, "rebalance_timeout_ms", INT),
    f("member_id", Kind::Text),
    since(5, "group_instance_id", Kind::Text),
    f("protocol_type", Kind::Text),
    f("protocols", Kind::List(&Kind::Struct(&[f("name", Kind::Text), f("metadata", Kind::Blob)]))),
    since(8, "reason", Kind::Text),
];

const HEARTBEAT: &[Field] = &[
    f("group_id", Kind::Text),
    f("generation_id", INT),
    f("member_id", Kind::Text),
    since(3, "group_instance_id", Kind::Text),
];

const LEAVE_GROUP: &[Field] = &[
    f("group_id", Kind::Text),
    until(2, "member_id", Kind::Text),
    since(
        3,
        "members",
        Kind::List(&Kind::Struct(&[
            f("member_id", Kind::Text),
            f("group_instance_id", Kind::Text),
            since(5, "reason", Kind::Text),
        ])),
    ),
];

const SYNC_GROUP: &[Field] = &[
    f("group_id", Kind::Text),
    f("generation_id", INT),
    f("member_id", Kind::Text),
    since(3, "group_instance_id", Kind::Text),
    since(5, "protocol_type", Kind::Text),
    since(5, "protocol_name", Kind::Text),
    f(
        "assignments",
        Kind::List(&Kind::Struct(&[f("member_id", Kind::Text), f("assignment", Kind::Blob)])),
    ),
];

const DESCRIBE_GROUPS: &[Field] =
    &[f("groups", TEXTS), since(3, "include_authorized_operations", BYTE)];

const LIST_GROUPS: &[Field] = &[since(4, "states_filter", TEXTS), since(5, "types_filter", TEXTS)];

const API_VERSIONS: &[Field] = &[
    since(3, "client_software_name", Kind::Text),
    since(3, "client_software_version", Kind::Text),
];

const CREATE_TOPICS: &[Field] = &[
    f(
        "topics",
        Kind::List(&Kind::Struct(&[
            f("name", Kind::Text),
            f("num_partitions", INT),
            f("replication_factor", SHORT),
            f(
                "assignments",
                Kind::List(&Kind::Struct(&[f("partition_index", INT), f("broker_ids", INTS)])),
            ),
            f("configs", Kind::List(&Kind::Struct(NAMED_VALUE))),
        ])),
    ),
    f("timeout_ms", INT),
    f("validate_only", BYTE),
];

const NAMED_VALUE: &[Field] = &[f("name", Kind::Text), f("value", Kind::Text)];

const DELETE_TOPICS: &[Field] = &[
    since(6, "topics", Kind::List(&Kind::Struct(&[f("name", Kind::Text), f("topic_id", UUID)]))),
    until(5, "topic_names", TEXTS),
    f("timeout_ms", INT),
];

const DELETE_RECORDS: &[Field] = &[
    f(
        "topics",
        Kind::List(&Kind::Struct(&[
            f("name", Kind::Text),
            f(
                "partitions",
                Kind::List(&Kind::Struct(&[f("partition_index", INT), f("offset", LONG)])),
            ),
        ])),
    ),
    f("timeout_ms", INT),
];

const INIT_PRODUCER_ID: &[Field] = &[
    f("transactional_id", Kind::Text),
    f("transaction_timeout_ms", INT),
    since(3, "producer_id", LONG),
    since(3, "producer_epoch", SHORT),
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    since(3, "replica_id", INT),
    f(
        "topics",
        Kind::List(&Kind::Struct(&[
            f("topic", Kind::Text),
            f(
                "partitions",
                Kind::List(&Kind::Struct(&[
                    f("partition", INT),
                    f("current_leader_epoch", INT),
                    f("leader_epoch", INT),
                ])),
            ),
        ])),
    ),
];

const DESCRIBE_CONFIGS: &[Field] = &[
    f(
        "resources",
        Kind::List(&Kind::Struct(&[
            f("resource_type", BYTE),
            f("resource_name", Kind::Text),
            f("configuration_keys", TEXTS),
        ])),
    ),
    f("include_synonyms", BYTE),
    since(3, "include_documentation", BYTE),
];

const ALTER_CONFIGS: &[Field] = &[
    f(
        "resources",
        Kind::List(&Kind::Struct(&[
            f("resource_type", BYTE),
            f("resource_name", Kind::Text),
            f("configs", Kind::List(&Kind::Struct(NAMED_VALUE))),
        ])),
    ),
    f("validate_only", BYTE),
];

const DESCRIBE_LOG_DIRS: &[Field] = &[f("topics", Kind::List(&Kind::Struct(NAMED_PARTITIONS)))];

const CREATE_PARTITIONS: &[Field] = &[
    f(
        "topics",
        Kind::List(&Kind::Struct(&[
            f("name", Kind::Text),
            f("count", INT),
            f("assignments", Kind::List(&Kind::Struct(&[f("broker_ids", INTS)]))),
        ])),
    ),
    f("timeout_ms", INT),
    f("validate_only", BYTE),
];

const DELETE_GROUPS: &[Field] = &[f("groups_names", TEXTS)];

const ELECT_LEADERS: &[Field] = &[
    since(1, "election_type", BYTE),
    f("topic_partitions", Kind::List(&Kind::Struct(NAMED_PARTITIONS))),
    f("timeout_ms", INT),
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    f(
        "resources",
        Kind::List(&Kind::Struct(&[
            f("resource_type", BYTE),
            f("resource_name", Kind::Text),
            f(
                "configs",
                Kind::List(&Kind::Struct(&[
                    f("name", Kind::Text),
                    f("config_operation", BYTE),
                    f("value", Kind::Text),
                ])),
            ),
        ])),
    ),
    f("validate_only", BYTE),
];

const PARTITION: &[Field] = &[f("partition_index", INT)];

const OFFSET_DELETE: &[Field] = &[f("group_id", Kind::Text), f("topics", TOPICS_OF_PARTITIONS)];

const TOPICS_OF_PARTITIONS: Kind = Kind::List(&Kind::Struct(&[
    f("name", Kind::Text),
    f("partitions", Kind::List(&Kind::Struct(PARTITION))),
]));

const DESCRIBE_QUORUM: &[Field] = &[f("topics", TOPICS_OF_PARTITIONS)];

const DESCRIBE_CLUSTER: &[Field] = &[
    f("include_cluster_authorized_operations", BYTE),
    since(1, "endpoint_type", BYTE),
    since(2, "include_fenced_brokers", BYTE),
];

const DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    f("topics", Kind::List(&Kind::Struct(&[f("name", Kind::Text)]))),
    f("response_partition_limit", INT),
    f("cursor", Kind::Optional(&[f("topic_name", Kind::Text), f("partition_index", INT)])),
];

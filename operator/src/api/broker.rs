//! Settings that every broker of a cluster has, with the bounds that brokers themselves enforce: a
//! value that a broker would not start with is refused before any broker is given it.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Settings of every broker.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct BrokerSettings {
    /// Client connections at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1048576")
        .message("must be from 1 to 1048576"))]
    pub connections_max: Option<i64>,
    /// A client connection without requests is closed after this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1000 && self <= 604800000")
        .message("must be from 1000 to 604800000"))]
    pub connections_max_idle_ms: Option<i64>,
    /// Largest request of a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1024 && self <= 1073741824")
        .message("must be from 1024 to 1073741824"))]
    pub request_bytes_max: Option<i64>,
    /// Length of one file of the write-ahead log; a few are in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 4194304 && self <= 4294967296")
        .message("must be from 4194304 to 4294967296"))]
    pub wal_bytes: Option<i64>,
    /// Recent records kept in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1099511627776")
        .message("must be from 0 to 1099511627776"))]
    pub cache_bytes: Option<i64>,
    /// Below this much free disk space no records are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1125899906842624")
        .message("must be from 0 to 1125899906842624"))]
    pub free_bytes_min: Option<i64>,
    /// How often records are looked at that have outlived their retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 100 && self <= 604800000")
        .message("must be from 100 to 604800000"))]
    pub retention_check_ms: Option<i64>,
}

impl BrokerSettings {
    /// What is set, each under the flag of the broker that takes it.
    #[must_use]
    pub fn flags(&self) -> Vec<(&'static str, u64)> {
        let BrokerSettings {
            connections_max,
            connections_max_idle_ms,
            request_bytes_max,
            wal_bytes,
            cache_bytes,
            free_bytes_min,
            retention_check_ms,
        } = *self;
        let all = [
            ("--connections-max", connections_max),
            ("--connections-max-idle-ms", connections_max_idle_ms),
            ("--request-bytes-max", request_bytes_max),
            ("--wal-bytes", wal_bytes),
            ("--cache-bytes", cache_bytes),
            ("--free-bytes-min", free_bytes_min),
            ("--retention-check-ms", retention_check_ms),
        ];
        let set =
            |(flag, value): (&'static str, Option<i64>)| Some((flag, u64::try_from(value?).ok()?));
        all.into_iter().filter_map(set).collect()
    }
}

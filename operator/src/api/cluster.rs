//! `ChronikCluster`: what a user may ask of a cluster. Every field has an effect. The rules are CEL:
//! the API server evaluates them, and so does `crate::validate` where there is none.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use kube::{CustomResource, CustomResourceExt as _, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::api::status::ClusterStatus;

/// A Kafka-compatible cluster in which every partition is a Raft group.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "chronik.io",
    version = "v1alpha1",
    kind = "ChronikCluster",
    plural = "chronikclusters",
    shortname = "ccl",
    namespaced,
    cel,
    status = "ClusterStatus",
    doc = "A Kafka-compatible cluster in which every partition is a Raft group.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Brokers", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Bootstrap", type_ = "string", json_path = ".status.bootstrap"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("a cluster's name has at most 40 characters: broker names are made from it")
)]
#[serde(rename_all = "camelCase")]
pub struct ChronikClusterSpec {
    /// How many brokers there are. Growing and shrinking move replicas first, and lose nothing.
    #[serde(default = "default_replicas")]
    #[x_kube(validation = Rule::new("self >= 1").message("a cluster has at least 1 broker"))]
    #[x_kube(validation = Rule::new("self <= 1000").message("a cluster has at most 1000 brokers"))]
    pub replicas: i32,
    /// Where clients connect.
    #[serde(default)]
    pub listeners: Listeners,
    /// Where records are kept.
    #[serde(default)]
    pub storage: Storage,
    /// Failure domains: broker 1 is in the first, broker 2 in the second, and round again. Replicas
    /// of a partition are spread over them. Takes effect when a broker next starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = Rule::new("self.all(r, r.size() > 0)").message("a rack has a name"))]
    pub racks: Vec<String>,
}

fn default_replicas() -> i32 {
    3
}

/// Where clients connect.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Listeners {
    /// The Kafka protocol.
    #[serde(default)]
    pub kafka: KafkaListener,
}

/// Where Kafka clients connect.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaListener {
    /// The port of broker 1. On one machine, each further broker takes the port 10 higher, and the
    /// two ports after it for its peers and for metrics.
    #[serde(default = "default_port")]
    #[x_kube(validation = Rule::new("self >= 1024 && self <= 55000")
        .message("a port of brokers lies between 1024 and 55000"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("the port cannot change while brokers use it: stop the cluster first"))]
    pub port: i32,
}

fn default_port() -> i32 {
    9092
}

impl Default for KafkaListener {
    fn default() -> Self {
        KafkaListener { port: default_port() }
    }
}

/// Where records are kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// What becomes of the data of a broker that was removed by shrinking.
    #[serde(default)]
    pub when_scaled: WhenScaled,
    /// The size at which a partition begins a new file. Takes effect when a broker next starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1048576")
        .message("a segment has at least 1048576 bytes"))]
    pub segment_bytes: Option<i64>,
}

/// What becomes of a removed broker's data.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default,
)]
pub enum WhenScaled {
    /// It stays until its broker id is needed again, and is wiped then.
    #[default]
    Retain,
    /// It is deleted when the broker is gone.
    Delete,
}

/// The CRD as YAML, as it is kept in `crds/`.
pub fn crd_yaml() -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&ChronikCluster::crd())
}

//! `ChronikTopic`: a topic of a cluster, kept as it is written here. Kubernetes only.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt as _, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A topic of a Chronik cluster.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "chronik.io",
    version = "v1alpha1",
    kind = "ChronikTopic",
    plural = "chroniktopics",
    shortname = "ctp",
    namespaced,
    cel,
    status = "TopicStatus",
    doc = "A topic of a Chronik cluster.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster"),
    printcolumn(name = "Topic", type_ = "string", json_path = ".status.topicName"),
    printcolumn(name = "Partitions", type_ = "integer", json_path = ".status.partitions"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("has(self.spec.topicName) || self.metadata.name.size() <= 249")
        .message("a topic's name has at most 249 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.topicName) == has(oldSelf.topicName) && (!has(self.topicName) || self.topicName == oldSelf.topicName)")
    .message("a topic cannot be renamed"))]
pub struct ChronikTopicSpec {
    /// The `ChronikCluster` that has the topic; in the same namespace.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("a topic cannot move to another cluster"))]
    pub cluster: String,
    /// The topic's name; the object's own name if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    #[x_kube(validation = Rule::new("self.matches('^[a-zA-Z0-9._-]+$') && self != '.' && self != '..'")
        .message("a topic's name has letters, digits, '.', '_' and '-', and is not '.' or '..'"))]
    #[x_kube(validation = Rule::new("!self.startsWith('__')")
        .message("topics whose names begin with '__' are the cluster's own"))]
    pub topic_name: Option<String>,
    /// How many partitions there are; they can only become more. If not given: the cluster's default
    /// for a new topic, and as many as there are afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 10000")
        .message("a topic has 1 to 10000 partitions"))]
    pub partitions: Option<i32>,
    /// Replicas of each partition, which cannot change. If not given: the cluster's default for a new
    /// topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000")
        .message("a partition has 1 to 1000 replicas"))]
    pub replicas: Option<i32>,
    /// Kafka's configs of topics, by name. They are kept so; one that is taken out here goes back to
    /// its default. Configs that were never named here are left alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.size() <= 100")
        .message("at most 100 configs are named"))]
    pub configs: BTreeMap<String, String>,
    /// What becomes of the topic and its records when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Also look after a topic of this name that exists and was not made by this object. Without it
    /// such a topic is left alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
}

/// What becomes of a topic when its `ChronikTopic` is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeletionPolicy {
    /// It stays, with its records.
    #[default]
    Retain,
    /// It goes, with its records.
    Delete,
}

/// The state of a topic as of the last pass.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// The generation of the manifest that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: the topic is there and as the manifest says. Degraded: something is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The topic's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub topic_name: String,
    /// The topic's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Its partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Replicas of each partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Names of configs that this object has set, or is about to: each goes back to its default when
    /// the manifest does not name it any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed_configs: Vec<String>,
    /// What the next step waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// What is not done, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// The CRD as YAML, as it is kept in `crds/`.
pub fn crd_yaml() -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&ChronikTopic::crd())
}

//! What a `ChronikCluster` says about itself. It holds no truth: it is written for people, and
//! nothing is decided by reading it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a cluster as of the last pass.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Brokers that are members.
    #[serde(default)]
    pub replicas: i32,
    /// The generation of the manifest that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: clients are served. Progressing: something is being done, or waited for. Degraded:
    /// something needs somebody. Quiesced: there is nothing left to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What selects the brokers' pods.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// The cluster's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Forming, Ready, Working or Degraded.
    #[serde(default)]
    pub phase: String,
    /// Where a Kafka client starts.
    #[serde(default)]
    pub bootstrap: String,
    /// The listeners, and where clients of each start. Kubernetes only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
    /// What it is busy with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What the next step waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    /// What is not done, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Calls that failed in the last pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Brokers that do not come up, in the platform's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// Some pods are as an earlier version of the operator made them; their next restart, for
    /// whatever reason the manifest gives, makes them anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub template_update_pending: bool,
    /// The certificates with which brokers and the operator know each other. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<CertificatesStatus>,
    /// Every broker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<BrokerStatus>,
}

/// A listener, as clients find it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Its name in `spec.listeners`.
    pub name: String,
    /// internal, nodePort or loadBalancer.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where a Kafka client starts; empty while that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bootstrap: String,
}

/// The state of a cluster's certificates.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CertificatesStatus {
    /// Settled, or while the authority is replaced: Spreading (brokers learn to trust the next one),
    /// then Reissuing (they get certificates of it).
    pub phase: String,
    /// Who is waited for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The serial number of the authority that signs; none while its key is lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authority: String,
    /// Until when that one is valid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authority_expires: String,
    /// When the first certificate of a broker or the operator expires; they are renewed long before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_expires: String,
}

/// The state of one broker.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStatus {
    /// Its id.
    pub id: u32,
    /// Starting, Waiting (for a cluster), Joining, Member, Leaving, Down, Stopped or Retired.
    pub state: String,
    /// Leader, Voter or Learner in `__meta`.
    pub role: String,
    /// Groups that it leads.
    pub leaders: u32,
    /// Replicas that it holds.
    pub groups: u32,
    /// Replicas that it is still filling, and how far the slowest is.
    pub catching_up: String,
    /// Where Kafka clients reach it.
    pub address: String,
    /// Where Kafka clients of the external listener reach it, as they are told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub external_address: String,
    /// The id of its data directory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// The version that it runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

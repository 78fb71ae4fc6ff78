//! Who may connect to a cluster's brokers, where the manifest asks for a policy.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

/// What every list of peers has to hold to.
fn some_peer() -> Rule {
    Rule::new("self.all(p, has(p.ipBlock) || has(p.podSelector) || has(p.namespaceSelector))")
        .message("a peer is a podSelector, a namespaceSelector, both of them, or an ipBlock")
}

/// As Kubernetes' own lists do.
fn block_alone() -> Rule {
    Rule::new("self.all(p, !has(p.ipBlock) || (!has(p.podSelector) && !has(p.namespaceSelector)))")
        .message("an ipBlock stands alone in its peer")
}

/// Who may connect to brokers. It takes a network that heeds policies.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Make a `NetworkPolicy`: only the cluster's own brokers and the operator reach the port of
    /// peers and the operator. Without it, or with `false`, there is none.
    #[serde(default)]
    pub enabled: bool,
    /// Who reaches the Kafka port; everybody if none are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = some_peer(), validation = block_alone())]
    pub kafka_from: Vec<NetworkPolicyPeer>,
    /// Who reaches the port of the external listener; everybody if none are named. What comes by way
    /// of a node or a load balancer may come from an address of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = some_peer(), validation = block_alone())]
    pub external_from: Vec<NetworkPolicyPeer>,
    /// Who reaches the port of metrics and health; everybody if none are named. Nodes probe their
    /// own pods whatever a policy says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = some_peer(), validation = block_alone())]
    pub monitoring_from: Vec<NetworkPolicyPeer>,
}

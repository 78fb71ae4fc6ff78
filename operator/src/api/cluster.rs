//! `ChronikCluster`: what a user may ask of a cluster. Every field has an effect. The rules are CEL:
//! the API server evaluates them, and so does `crate::validate` where there is none.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use kube::{CustomResource, CustomResourceExt as _, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use crate::api::broker::BrokerSettings;
use crate::api::external::ExternalListener;
use crate::api::network::NetworkPolicySpec;
use crate::api::pod::{PodTemplate, PullPolicy, Resources};
use crate::api::policy::{DisruptionBudget, Metrics, Rolling};
use crate::api::status::ClusterStatus;
use crate::api::storage::Storage;

/// A Kafka-compatible cluster in which every partition is a Raft group.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
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
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Brokers", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Doing", type_ = "string", json_path = ".status.operation"),
    printcolumn(name = "Bootstrap", type_ = "string", json_path = ".status.bootstrap"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("a cluster's name has at most 40 characters: broker names are made from it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("a cluster's name has lower case letters, digits and '-', begins with a letter \
                  and ends with a letter or digit"),
    validation = Rule::new("!has(self.spec.rack) || !has(self.spec.racks) || self.spec.racks.size() == 0")
        .message("racks come from spec.racks or from nodes (spec.rack), not from both")
)]
#[serde(rename_all = "camelCase")]
pub struct ChronikClusterSpec {
    /// How many brokers there are. Growing and shrinking move replicas first, and lose nothing.
    #[serde(default = "default_replicas")]
    #[x_kube(validation = Rule::new("self >= 1").message("a cluster has at least 1 broker"))]
    #[x_kube(validation = Rule::new("self <= 1000").message("a cluster has at most 1000 brokers"))]
    pub replicas: i32,
    /// The brokers' image; the operator's own choice if not given. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.size() > 0").message("an image has a name"))]
    pub image: Option<String>,
    /// When the image is pulled. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Where clients connect.
    #[serde(default)]
    pub listeners: Listeners,
    /// Where records are kept.
    #[serde(default)]
    pub storage: Storage,
    /// CPU and memory of each broker. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Settings of every broker. On Kubernetes a change restarts brokers, one after the other; on
    /// one machine it takes effect when a broker next starts.
    #[serde(default)]
    pub broker: BrokerSettings,
    /// What brokers' pods have beyond what the operator gives them. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Who may connect to brokers. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicySpec>,
    /// Leave everything as it is: look, and change nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Failure domains: broker 1 is in the first, broker 2 in the second, and round again. Replicas
    /// of a partition are spread over them. Takes effect as a change of `broker` does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = Rule::new("self.all(r, r.size() > 0)").message("a rack has a name"))]
    pub racks: Vec<String>,
    /// Failure domains by a label of nodes, in place of `racks`. It takes effect at once: nothing is
    /// restarted, and what is placed already stays where it is. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<RackFromNodes>,
    /// How brokers are restarted for a change. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// How replicas move to other brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<Moves>,
    /// What holds drains of nodes back. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudget>,
    /// How brokers' metrics are found. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
}

/// How replicas move to other brokers, or catch up on a new disk.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Moves {
    /// Bytes a second that each broker sends at most to replicas that are catching up. Replicas that
    /// acknowledge records are never slowed. It is the cluster's config
    /// `leader.replication.throttled.rate`, which is left as it is if `moves` is not given. It takes
    /// effect at once. One that is below what producers send is never caught up with.
    #[x_kube(validation = Rule::new("self >= 1").message("nothing would ever move"))]
    pub bytes_per_second: i64,
}

/// The rack of a broker is what a label of its pod's node says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RackFromNodes {
    /// The label, such as `topology.kubernetes.io/zone`. The operator needs the right to read nodes.
    #[schemars(length(min = 1, max = 316))]
    #[x_kube(validation = Rule::new("self.size() > 0").message("a label has a name"))]
    pub topology_key: String,
}

fn default_replicas() -> i32 {
    3
}

/// Where clients connect.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.external) || !has(self.external.port) \
         || self.external.port < self.kafka.port || self.external.port > self.kafka.port + 2")
    .message("the external port is taken: the Kafka port and the next two are brokers' own"))]
pub struct Listeners {
    /// The Kafka protocol.
    #[serde(default)]
    pub kafka: KafkaListener,
    /// The Kafka protocol, for clients outside Kubernetes' network. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalListener>,
}

/// Where Kafka clients connect.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaListener {
    /// The port for clients; the next two are for peers and the operator, and for metrics. On one
    /// machine these are broker 1's, and each further broker has its own 10 higher.
    #[serde(default = "default_port")]
    #[x_kube(validation = Rule::new("self >= 1024 && self <= 55000")
        .message("a port of brokers lies between 1024 and 55000"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("the port cannot change while brokers use it: stop the cluster first"))]
    pub port: i32,
    /// Serve clients within TLS, and only so. Kubernetes only. Setting or removing it restarts
    /// brokers; what is in the Secret may change at any time, and is taken over without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

/// With what clients are served within TLS.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// A Secret of type kubernetes.io/tls in the cluster's namespace: tls.crt, with the names that
    /// clients connect to, and tls.key. cert-manager, or you, keep it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("a Secret's name has lower case letters, digits, '-' and '.'"))]
    pub secret_name: String,
}

fn default_port() -> i32 {
    9092
}

impl Default for KafkaListener {
    fn default() -> Self {
        KafkaListener { port: default_port(), tls: None }
    }
}

/// The CRD as YAML, as it is kept in `crds/`. Kubernetes' own types come without their descriptions:
/// with them the API server would have to keep a CRD many times as large.
pub fn crd_yaml() -> Result<String, serde_yaml::Error> {
    let mut crd = serde_yaml::to_value(ChronikCluster::crd())?;
    let versions = crd.get_mut("spec").and_then(|spec| spec.get_mut("versions"));
    for version in versions.and_then(Value::as_sequence_mut).into_iter().flatten() {
        let spec = ["schema", "openAPIV3Schema", "properties", "spec", "properties"];
        let Some(spec) = spec.iter().try_fold(version, |at, key| at.get_mut(*key)) else {
            continue;
        };
        for embedding in ["podTemplate", "networkPolicy"] {
            let fields = spec.get_mut(embedding).and_then(|field| field.get_mut("properties"));
            for (_, field) in fields.and_then(Value::as_mapping_mut).into_iter().flatten() {
                keep_own_description(field);
            }
        }
    }
    serde_yaml::to_string(&crd)
}

fn keep_own_description(field: &mut Value) {
    let purpose = field.get("description").cloned();
    strip_descriptions(field);
    if let (Some(purpose), Some(field)) = (purpose, field.as_mapping_mut()) {
        field.insert("description".into(), purpose);
    }
}

fn strip_descriptions(schema: &mut Value) {
    match schema {
        Value::Mapping(map) => {
            // A property may have that name too; then it is no text.
            if map.get("description").is_some_and(Value::is_string) {
                map.remove("description");
            }
            map.iter_mut().for_each(|(_, inner)| strip_descriptions(inner));
        }
        Value::Sequence(list) => list.iter_mut().for_each(strip_descriptions),
        Value::Tagged(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

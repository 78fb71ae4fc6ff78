//! What the pods of a cluster are made from: the user's wishes, checked, and the operator's own
//! settings. Their hash tells whether a broker runs what is asked for; how they are rendered is no
//! part of it, so that another version of the operator restarts nobody.

use std::collections::BTreeMap;

use chronik_plan::{BrokerId, Refusal};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use serde_json::json;

use super::names::{CLUSTER_LABEL, Names};
use super::{quantity, within};
use crate::api::cluster::ChronikCluster;
use crate::api::external::ExternalListener;
use crate::api::network::NetworkPolicySpec;
use crate::api::pod::{PodTemplate, PullPolicy};
use crate::api::storage::WhenGone;
use crate::validate::Wanted;

/// The annotation of a `ChronikCluster` that asks for another authority of its certificates: whenever its
/// value is another one, once.
pub const ROTATE: &str = "chronik.io/rotate-ca";

/// A port of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Kafka clients.
    Kafka,
    /// Peers and the operator.
    Peer,
    /// Metrics and probes.
    Http,
    /// Kafka clients outside.
    External,
}

impl Port {
    /// Its name in pods and services.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Port::Kafka => "kafka",
            Port::Peer => "peer",
            Port::Http => "http",
            Port::External => "external",
        }
    }
}

/// The operator's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image of clusters that name none.
    pub broker_image: String,
    /// What DNS names of services end with.
    pub cluster_domain: String,
    /// The namespace that the operator itself runs in.
    pub namespace: String,
}

/// Everything that a cluster's objects are made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Names and addresses.
    pub names: Names,
    /// What both platforms need.
    pub wanted: Wanted,
    /// The image, and whether it was the operator's choice.
    pub image: (String, ImageFrom),
    /// When it is pulled.
    pub pull_policy: Option<PullPolicy>,
    /// The size of volumes.
    pub volume_size: String,
    /// Their class.
    pub volume_class: Option<String>,
    /// What becomes of volumes when the cluster is deleted.
    pub when_deleted: WhenGone,
    /// CPU and memory set aside.
    pub requests: BTreeMap<String, Quantity>,
    /// CPU and memory at most.
    pub limits: BTreeMap<String, Quantity>,
    /// What the user says about pods.
    pub pod: PodTemplate,
    /// Whether drains of nodes are held back.
    pub has_budget: bool,
    /// Whether the metrics of brokers have a service.
    pub has_metrics_service: bool,
    /// The listener for clients outside, if there is one.
    pub external: Option<ExternalListener>,
    /// The Secret with the certificate for Kafka clients, if they are served within TLS.
    pub kafka_tls: Option<String>,
    /// The request to replace the cluster's own authority, if there ever was one.
    pub rotate: Option<String>,
    /// Who may connect.
    pub network_policy: Option<NetworkPolicySpec>,
    /// The namespace that the operator itself runs in.
    pub operator_namespace: String,
}

/// Who chose the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFrom {
    /// The manifest.
    Manifest,
    /// The operator, when the cluster was made.
    Operator,
}

impl Inputs {
    /// Puts the inputs together. `pinned` is the image that the operator once chose for this
    /// cluster: a newer operator does not change it.
    pub fn new(
        cluster: &ChronikCluster,
        wanted: Wanted,
        settings: &Settings,
        pinned: Option<&str>,
    ) -> Result<Inputs, Vec<Refusal>> {
        let spec = &cluster.spec;
        let names = Names {
            cluster: cluster.name_any(),
            namespace: cluster.namespace().unwrap_or_default(),
            uid: cluster.uid().unwrap_or_default(),
            domain: settings.cluster_domain.clone(),
        };
        let image = match &spec.image {
            Some(image) => (image.clone(), ImageFrom::Manifest),
            None => (pinned.unwrap_or(&settings.broker_image).to_owned(), ImageFrom::Operator),
        };
        let resources = spec.resources.clone().unwrap_or_default();
        let mut refused = Vec::new();
        let requests = amounts("requests", resources.requests, &mut refused);
        let limits = amounts("limits", resources.limits, &mut refused);
        if !refused.is_empty() {
            return Err(refused);
        }
        Ok(Inputs {
            names,
            wanted,
            image,
            pull_policy: spec.image_pull_policy,
            volume_size: spec.storage.size.clone(),
            volume_class: spec.storage.class.clone(),
            when_deleted: spec.storage.when_deleted,
            requests,
            limits,
            pod: spec.pod_template.clone().unwrap_or_default(),
            has_budget: spec.disruption_budget.clone().unwrap_or_default().enabled,
            has_metrics_service: spec.metrics.clone().unwrap_or_default().service,
            external: spec.listeners.external.clone(),
            kafka_tls: spec.listeners.kafka.tls.as_ref().map(|tls| tls.secret_name.clone()),
            rotate: cluster.annotations().get(ROTATE).cloned(),
            network_policy: spec.network_policy.clone(),
            operator_namespace: settings.namespace.clone(),
        })
    }

    /// The ports that brokers listen on.
    pub fn ports(&self) -> impl Iterator<Item = Port> {
        let external = self.wanted.external_port.map(|_| Port::External);
        [Port::Kafka, Port::Peer, Port::Http].into_iter().chain(external)
    }

    /// The number of a port.
    #[must_use]
    pub fn port(&self, port: Port) -> u16 {
        // The manifest's port is at most 55000.
        match port {
            Port::Kafka => self.wanted.port,
            Port::Peer => self.wanted.port + 1,
            Port::Http => self.wanted.port + 2,
            // Nothing is made for it without the listener.
            Port::External => self.wanted.external_port.unwrap_or_default(),
        }
    }

    /// What selects the brokers' pods.
    #[must_use]
    pub fn pod_selector(&self) -> BTreeMap<String, String> {
        let component = ("app.kubernetes.io/component".to_owned(), "broker".to_owned());
        [component, (CLUSTER_LABEL.to_owned(), self.names.cluster.clone())].into()
    }

    /// The hash of what this broker's pod is made from.
    #[must_use]
    pub fn hash(&self, broker: BrokerId) -> String {
        let Inputs { names, wanted, image, pull_policy, requests, limits, pod, kafka_tls, .. } =
            self;
        let mut all = json!({
            "image": image.0,
            "pullPolicy": pull_policy,
            "port": wanted.port,
            "settings": wanted.settings,
            "rack": wanted.rack(broker),
            "requests": requests,
            "limits": limits,
            "pod": pod,
            "domain": names.domain,
        });
        // The name of the Secret: what is in it is taken over without a restart.
        if let Some(secret) = kafka_tls {
            all["kafkaTls"] = json!(secret);
        }
        // Nothing else of that listener is in the pod.
        if let Some(port) = wanted.external_port {
            all["externalPort"] = json!(port);
        }
        within::hash(&all)
    }
}

fn amounts(
    field: &str,
    given: BTreeMap<String, IntOrString>,
    refused: &mut Vec<Refusal>,
) -> BTreeMap<String, Quantity> {
    let mut amounts = BTreeMap::new();
    for (name, amount) in given {
        let text = match amount {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(text) => text,
        };
        if quantity::parse(&text).is_none_or(|amount| amount < 0) {
            refused.push(Refusal {
                field: format!("spec.resources.{field}.{name}"),
                value: text,
                reason: "is no quantity; write it like 500m, 2 or 4Gi".into(),
            });
            continue;
        }
        amounts.insert(name, Quantity(text));
    }
    amounts
}

//! Names, labels, owners and addresses of everything that belongs to one cluster. Existing objects
//! are found by these labels, never by what a template would say today.

use std::collections::BTreeMap;

use chronik_plan::BrokerId;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// The name under which every field that the operator writes is owned.
pub const FIELD_MANAGER: &str = "chronik-operator";
/// The label that names the cluster.
pub const CLUSTER_LABEL: &str = "chronik.io/cluster";
/// The label that names the broker.
pub const BROKER_LABEL: &str = "chronik.io/broker";
/// The label that names the listener that a service is for, where it is not the one inside.
pub const LISTENER_LABEL: (&str, &str) = ("chronik.io/listener", "external");
/// The label of all that this operator manages, in all namespaces.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", FIELD_MANAGER);

/// One cluster, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The cluster's name.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// The uid of its `ChronikCluster`.
    pub uid: String,
    /// What names of services end with.
    pub domain: String,
}

impl Names {
    /// The name of a broker's `StatefulSet`.
    #[must_use]
    pub fn set(&self, broker: BrokerId) -> String {
        format!("{}-{broker}", self.cluster)
    }

    /// The name of a broker's pod.
    #[must_use]
    pub fn pod(&self, broker: BrokerId) -> String {
        format!("{}-{broker}-0", self.cluster)
    }

    /// The name of a broker's volume claim, as the `StatefulSet` makes it.
    #[must_use]
    pub fn claim(&self, broker: BrokerId) -> String {
        format!("data-{}", self.pod(broker))
    }

    /// The name of the service that gives every broker a name of its own.
    #[must_use]
    pub fn headless(&self) -> String {
        format!("{}-brokers", self.cluster)
    }

    /// The name of the service where clients start.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("{}-bootstrap", self.cluster)
    }

    /// The name of a broker's service for clients outside.
    #[must_use]
    pub fn external(&self, broker: BrokerId) -> String {
        format!("{}-external", self.set(broker))
    }

    /// The name of the service where clients outside start.
    #[must_use]
    pub fn external_bootstrap(&self) -> String {
        format!("{}-external", self.bootstrap())
    }

    /// The name of the service of brokers' metrics.
    #[must_use]
    pub fn metrics(&self) -> String {
        format!("{}-metrics", self.cluster)
    }

    /// The name of the map that tells a new broker whom to ask for the cluster.
    #[must_use]
    pub fn seeds(&self) -> String {
        format!("{}-seeds", self.cluster)
    }

    /// The name of the Secret with the cluster's own authority.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}-ca", self.cluster)
    }

    /// The name of the Secret with a broker's certificate.
    #[must_use]
    pub fn certificate(&self, broker: BrokerId) -> String {
        format!("{}-{broker}-tls", self.cluster)
    }

    /// The name of the Secret with the operator's certificate.
    #[must_use]
    pub fn operator_certificate(&self) -> String {
        format!("{}-operator-tls", self.cluster)
    }

    /// The DNS name of a broker.
    #[must_use]
    pub fn host(&self, broker: BrokerId) -> String {
        let (pod, service) = (self.pod(broker), self.headless());
        format!("{pod}.{service}.{}.svc.{}", self.namespace, self.domain)
    }

    /// The DNS name where clients start.
    #[must_use]
    pub fn bootstrap_host(&self) -> String {
        format!("{}.{}.svc.{}", self.bootstrap(), self.namespace, self.domain)
    }

    /// What selects everything of this cluster.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("{CLUSTER_LABEL}={}", self.cluster)
    }

    /// The labels of everything of this cluster.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = [
            ("app.kubernetes.io/name", "chronik-broker"),
            ("app.kubernetes.io/instance", &self.cluster),
            MANAGED_BY,
            (CLUSTER_LABEL, &self.cluster),
        ];
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// The labels of what belongs to one broker.
    #[must_use]
    pub fn broker_labels(&self, broker: BrokerId) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert("app.kubernetes.io/component".into(), "broker".into());
        labels.insert(BROKER_LABEL.into(), broker.to_string());
        labels
    }

    /// By it, everything goes when the `ChronikCluster` does.
    #[must_use]
    pub fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: "chronik.io/v1alpha1".into(),
            kind: "ChronikCluster".into(),
            name: self.cluster.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// The metadata of an object that lives as long as the `ChronikCluster`.
    #[must_use]
    pub fn meta(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![self.owner()]),
            ..ObjectMeta::default()
        }
    }
}

/// The broker that an object belongs to, by its label.
#[must_use]
pub fn broker_of(meta: &ObjectMeta) -> Option<BrokerId> {
    let id = meta.labels.as_ref()?.get(BROKER_LABEL)?.parse().ok()?;
    (id > 0).then_some(id)
}

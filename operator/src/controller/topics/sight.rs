//! IO: what a pass over a `ChronikTopic` looks at: the object itself, the others that ask for the same
//! topic, the cluster's object, and the topic as its brokers have it.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::BrokerId;
use chronik_plan::topic::{ClusterSeen, TopicPolicy, TopicWanted};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use tonic::transport::Channel;

use super::{FINALIZER, Guarded, TopicPasses};
use crate::admin::proto::admin_client::AdminClient;
use crate::admin::topics;
use crate::api::cluster::ChronikCluster;
use crate::api::topic::{ChronikTopic, DeletionPolicy};
use crate::platform::kube::error::KubeError;
use crate::platform::kube::names::{CLUSTER_LABEL, broker_of};
use crate::platform::kube::objects::call;
use crate::reconcile::describe;

/// What was seen of the cluster, and whom to send orders to.
pub(super) struct Sight {
    pub(super) cluster: ClusterSeen,
    pub(super) client: Option<AdminClient<Channel>>,
}

/// What the object asks for.
pub(super) fn wanted(object: &ChronikTopic, others: &Store<Guarded>) -> TopicWanted {
    let spec = &object.spec;
    let count = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok());
    let claimed = object.status.as_ref().map(|status| status.claimed_configs.iter().cloned());
    TopicWanted {
        name: topic_name(object),
        owner: object.uid().unwrap_or_default(),
        partitions: count(spec.partitions),
        replicas: count(spec.replicas),
        configs: spec.configs.clone(),
        policy: match spec.deletion_policy {
            DeletionPolicy::Retain => TopicPolicy::Retain,
            DeletionPolicy::Delete => TopicPolicy::Delete,
        },
        adopt: spec.adopt,
        is_deleted: object.metadata.deletion_timestamp.is_some(),
        is_held: object.finalizers().iter().any(|finalizer| finalizer == FINALIZER),
        claimed: claimed.map(BTreeSet::from_iter).unwrap_or_default(),
        older: older(object, others),
    }
}

fn topic_name(object: &ChronikTopic) -> String {
    object.spec.topic_name.clone().unwrap_or_else(|| object.name_any())
}

/// The oldest of the objects before this one that ask for the same topic.
fn older(object: &ChronikTopic, others: &Store<Guarded>) -> Option<String> {
    let others = others.state();
    let others = others.iter().filter_map(|other| other.0.as_ref().ok());
    oldest_before(object, others)
}

fn oldest_before<'a>(
    object: &ChronikTopic,
    others: impl Iterator<Item = &'a ChronikTopic>,
) -> Option<String> {
    let age = |topic: &ChronikTopic| {
        (topic.creation_timestamp().map(|at| at.0), topic.uid().unwrap_or_default())
    };
    let same = |other: &&ChronikTopic| {
        other.namespace() == object.namespace()
            && other.spec.cluster == object.spec.cluster
            && topic_name(other) == topic_name(object)
            && age(other) < age(object)
    };
    others.filter(same).min_by_key(|other| age(other)).map(kube::ResourceExt::name_any)
}

impl TopicPasses {
    /// Looks at the cluster and asks it about the topic.
    pub(super) async fn look(
        &self,
        object: &ChronikTopic,
        wanted: &TopicWanted,
    ) -> Result<Sight, KubeError> {
        let nobody = |cluster| Ok(Sight { cluster, client: None });
        let (namespace, name) = (object.namespace().unwrap_or_default(), &object.spec.cluster);
        let api: Api<DeserializeGuard<ChronikCluster>> =
            Api::namespaced(self.client.clone(), &namespace);
        let what = || format!("read ChronikCluster {name}");
        let Some(DeserializeGuard(found)) = call(what, api.get_opt(name)).await? else {
            self.forget_cluster(&namespace, name);
            return nobody(ClusterSeen::Gone(format!("there is no ChronikCluster {name}")));
        };
        let cluster = match found {
            Ok(cluster) => cluster,
            Err(invalid) => {
                let why = format!("ChronikCluster {name} cannot be read: {}", invalid.error);
                return nobody(ClusterSeen::Silent(why));
            }
        };
        if cluster.metadata.deletion_timestamp.is_some() {
            let why = format!("ChronikCluster {name} is being deleted");
            return nobody(ClusterSeen::Gone(why));
        }
        if wanted.is_deleted && wanted.is_held && self.is_ending(&namespace).await? {
            return nobody(ClusterSeen::Gone(format!("namespace {namespace} is being deleted")));
        }
        if cluster.spec.paused {
            return nobody(ClusterSeen::Silent(format!("ChronikCluster {name} is paused")));
        }
        let brokers = self.addresses(&namespace, &cluster).await?;
        let clients = match self.clients(&namespace, name, &brokers) {
            Ok(clients) => clients,
            Err(error) => return nobody(ClusterSeen::Silent(describe(&error))),
        };
        match topics::describe(&clients, &wanted.name).await {
            Ok((topic, client)) => {
                Ok(Sight { cluster: ClusterSeen::Answers(topic), client: Some(client) })
            }
            Err(why) => nobody(ClusterSeen::Silent(format!("ChronikCluster {name}: {why}"))),
        }
    }

    /// Where the cluster's brokers can be asked, by their pods.
    async fn addresses(
        &self,
        namespace: &str,
        cluster: &ChronikCluster,
    ) -> Result<BTreeMap<BrokerId, String>, KubeError> {
        let name = cluster.name_any();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(&format!("{CLUSTER_LABEL}={name}"));
        let pods = call(|| format!("list Pods of {name}"), api.list(&params)).await?;
        let port = cluster.spec.listeners.kafka.port + 1;
        let address = |pod: &Pod| {
            let status = pod.status.as_ref()?;
            let ip = status.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
            let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
            Some((broker_of(&pod.metadata)?, format!("{host}:{port}")))
        };
        Ok(pods.items.iter().filter_map(address).collect())
    }

    async fn is_ending(&self, namespace: &str) -> Result<bool, KubeError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = call(|| format!("read Namespace {namespace}"), api.get_opt(namespace)).await?;
        Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, at: i64, named: Option<&str>, cluster: &str) -> ChronikTopic {
        let value = serde_json::json!({
            "apiVersion": "chronik.io/v1alpha1",
            "kind": "ChronikTopic",
            "metadata": {
                "name": name,
                "namespace": "n",
                "uid": format!("uid-of-{name}"),
                "creationTimestamp": format!("2026-01-01T00:00:{at:02}Z"),
            },
            "spec": {"cluster": cluster, "topicName": named},
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_oldest_of_those_that_ask_for_the_same_wins() {
        let all = [
            topic("t", 9, None, "demo"),
            topic("b", 5, Some("t"), "demo"),
            topic("a", 5, Some("t"), "demo"),
            topic("first", 1, Some("t"), "other"),
            topic("u", 1, None, "demo"),
        ];
        let found = |at: usize| oldest_before(&all[at], all.iter());
        assert_eq!(found(0).as_deref(), Some("a"));
        assert_eq!(found(1).as_deref(), Some("a"), "of the same second, by uid");
        assert_eq!((found(2), found(3), found(4)), (None, None, None));
    }
}

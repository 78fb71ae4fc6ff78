//! One `ChronikCluster` and its brokers, seen through Kubernetes and through the brokers themselves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::admin::{self, proto};
use crate::cluster::{Standing, meta_voters};
use crate::kube::certificates;
use crate::kube::kubectl::{Kubectl, text};
use crate::wait::{self, Look};

/// How long nothing may move before a test gives up. Pods start on a machine that is busy.
pub const STALL: Duration = Duration::from_secs(150);
/// The time between two looks: each runs `kubectl`, which takes as long on this processor.
pub const PACE: Duration = Duration::from_millis(300);

/// A `ChronikCluster`.
#[derive(Debug)]
pub struct KubeCluster {
    /// Its namespace.
    pub kubectl: Kubectl,
    name: String,
}

/// A broker's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// The broker's id.
    pub broker: u32,
    /// Its name.
    pub name: String,
    /// Which life of that name.
    pub uid: String,
    /// Where it runs.
    pub node: String,
    /// Its address, once it has one.
    pub ip: String,
    /// The image that it asks for.
    pub image: String,
    /// Whether it serves.
    pub is_ready: bool,
    /// How often its container was started again.
    pub restarts: u64,
    ports: Vec<(String, u64)>,
}

impl KubeCluster {
    /// The cluster of this name, which may not be there yet.
    #[must_use]
    pub fn new(kubectl: &Kubectl, name: &str) -> KubeCluster {
        KubeCluster { kubectl: kubectl.clone(), name: name.to_owned() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object.
    pub fn object(&self) -> Result<Value> {
        self.kubectl.get(&["chronikcluster", &self.name])
    }

    /// `kubectl scale`.
    pub fn scale(&self, replicas: u32) -> Result<()> {
        let (object, replicas) = (format!("chronikcluster/{}", self.name), replicas.to_string());
        self.kubectl.run(&["scale", &object, "--replicas", &replicas]).map(drop)
    }

    /// `kubectl patch`, as a merge.
    pub fn patch(&self, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        self.kubectl.run(&["patch", "chronikcluster", &self.name, "--type=merge", "-p", &patch])?;
        Ok(())
    }

    /// Its brokers' pods, by id.
    pub fn pods(&self) -> Result<Vec<Pod>> {
        let label = format!("chronik.io/cluster={}", self.name);
        let mut pods: Vec<Pod> =
            self.kubectl.list(&["pods", "-l", &label])?.iter().filter_map(pod).collect();
        pods.sort_by_key(|pod| pod.broker);
        Ok(pods)
    }

    /// The pod of one broker.
    pub fn pod(&self, broker: u32) -> Result<Pod> {
        let pods = self.pods()?;
        let found = pods.into_iter().find(|pod| pod.broker == broker);
        found.with_context(|| format!("broker {broker} has no pod"))
    }

    /// The names of its volume claims.
    pub fn claims(&self) -> Result<Vec<String>> {
        let label = format!("chronik.io/cluster={}", self.name);
        let claims = self.kubectl.list(&["persistentvolumeclaims", "-l", &label])?;
        let mut names: Vec<String> =
            claims.iter().map(|claim| text(claim, "/metadata/name").to_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// Where clients begin: the first three brokers' own names.
    pub fn bootstrap(&self) -> Result<String> {
        let pods = self.pods()?;
        let address = |pod: &Pod| {
            let (service, namespace) = (format!("{}-brokers", self.name), self.kubectl.namespace());
            let port = pod.port("kafka")?;
            Some(format!("{}.{service}.{namespace}.svc.cluster.local:{port}", pod.name))
        };
        let addresses: Vec<String> = pods.iter().filter_map(address).take(3).collect();
        Ok(addresses.join(","))
    }

    /// What every broker answers; those that do not answer are left out.
    pub fn describe(&self) -> Result<Vec<proto::DescribeResponse>> {
        let Some(operator) = certificates::operator(&self.kubectl, &self.name)? else {
            return Ok(Vec::new());
        };
        let pods = self.pods()?;
        let brokers = pods.iter().filter_map(|pod| Some((pod.broker, pod.peer_address()?)));
        let ask = |(broker, address): (u32, String)| {
            admin::describe_as(&address, broker, Arc::clone(&operator)).ok()
        };
        Ok(brokers.filter_map(ask).collect())
    }

    /// The identity of a broker's data: another one is another volume.
    pub fn directory(&self, broker: u32) -> Result<String> {
        let node = self.describe()?.into_iter().find(|node| node.broker == broker);
        node.map(|node| node.directory).with_context(|| format!("broker {broker} does not answer"))
    }

    /// The broker that leads `__meta`.
    pub fn meta_leader(&self) -> Result<u32> {
        let described = self.describe()?;
        let leads = |node: &&proto::DescribeResponse| {
            node.groups.iter().any(|group| group.topic == "__meta")
        };
        described.iter().find(leads).map(|node| node.broker).context("nobody leads __meta")
    }

    /// Waits until exactly `brokers` run, all are members with their replicas where they should be,
    /// and the object says so.
    pub fn wait_converged(&self, brokers: u32) -> Result<()> {
        self.wait_converged_for(brokers, STALL)
    }

    /// As [`KubeCluster::wait_converged`], with a limit of its own for how long nothing may move.
    pub fn wait_converged_for(&self, brokers: u32, stall: Duration) -> Result<()> {
        let voters = meta_voters(brokers);
        wait::until_every(PACE, &format!("{brokers} brokers at rest"), stall, || {
            let object = match self.object() {
                Ok(object) => object,
                Err(error) => return wait::at(error),
            };
            let (pods, described) = (self.pods()?, self.describe()?);
            let states: Vec<Standing> = described.iter().map(Standing::of).collect();
            let mut groups = described.iter().flat_map(|node| &node.groups);
            let meta = groups.find(|group| group.topic == "__meta");
            let members = meta.and_then(|group| admin::members(group).ok());
            let is_meta_right = members.as_ref().is_some_and(|members| {
                members.voters.len() == voters
                    && members.learners.len() == brokers as usize - voters
                    && !members.is_joint
            });
            let is_done = pods.len() == brokers as usize
                && pods.iter().all(|pod| pod.is_ready)
                && states.len() == pods.len()
                && is_meta_right
                && states.iter().all(|state| state.is_at_rest(brokers))
                && is_ready(&object);
            if is_done {
                return Ok(Look::Done(()));
            }
            let pods: Vec<(u32, bool)> =
                pods.iter().map(|pod| (pod.broker, pod.is_ready)).collect();
            wait::at((pods, states, members, summary(&object)))
        })
    }
}

impl Pod {
    /// Where its peers and the operator dial it, once it has an address.
    #[must_use]
    pub fn peer_address(&self) -> Option<String> {
        let port = self.port("peer").filter(|_| !self.ip.is_empty())?;
        Some(format!("{}:{port}", self.ip))
    }

    /// The number of a named port.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<u64> {
        self.ports.iter().find(|(found, _)| found == name).map(|(_, number)| *number)
    }
}

/// Whether the object says Ready, of the spec that it has now.
fn is_ready(object: &Value) -> bool {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    condition(object, "Ready") == Some("True") && generation == observed
}

/// The status of one of an object's conditions.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| text(condition, "/type") == kind)?;
    Some(text(found, "/status"))
}

/// What an object says of itself, in a line.
#[must_use]
pub fn summary(object: &Value) -> String {
    let list = |key: &str| object.pointer(&format!("/status/{key}")).cloned().unwrap_or_default();
    format!(
        "{} {} waiting {} refused {} errors {}",
        text(object, "/status/phase"),
        text(object, "/status/operation"),
        list("waiting"),
        list("refused"),
        list("errors")
    )
}

fn pod(object: &Value) -> Option<Pod> {
    let field = |path: &str| text(object, path).to_owned();
    let container = object.pointer("/spec/containers/0")?;
    let ports = container.get("ports").and_then(Value::as_array);
    let port =
        |port: &Value| Some((text(port, "/name").to_owned(), port.get("containerPort")?.as_u64()?));
    let status = object.pointer("/status/containerStatuses/0");
    Some(Pod {
        broker: text(object, "/metadata/labels/chronik.io~1broker").parse().ok()?,
        name: field("/metadata/name"),
        uid: field("/metadata/uid"),
        node: field("/spec/nodeName"),
        ip: field("/status/podIP"),
        image: text(container, "/image").to_owned(),
        is_ready: condition(object, "Ready") == Some("True"),
        restarts: status.and_then(|s| s.get("restartCount")?.as_u64()).unwrap_or(0),
        ports: ports.into_iter().flatten().filter_map(port).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_is_of_the_spec_that_there_is_now() {
        let object = |generation: i64, status: &str| {
            json!({
                "metadata": {"generation": generation},
                "status": {
                    "observedGeneration": 2,
                    "conditions": [{"type": "Degraded", "status": "True"}, {"type": "Ready", "status": status}],
                },
            })
        };
        assert!(is_ready(&object(2, "True")));
        assert!(!is_ready(&object(3, "True")), "the operator has not seen the edit");
        assert!(!is_ready(&object(2, "False")));
        assert!(!is_ready(&json!({})));
    }

    #[test]
    fn a_pod_is_read_with_its_ports() {
        let object = json!({
            "metadata": {"name": "demo-2-0", "uid": "u", "labels": {"chronik.io/broker": "2"}},
            "spec": {"nodeName": "node1", "containers": [{"image": "i:1", "ports": [{"name": "peer", "containerPort": 9093}]}]},
            "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let pod = pod(&object).unwrap();
        assert_eq!((pod.broker, pod.port("peer"), pod.port("kafka")), (2, Some(9093), None));
        assert!(pod.is_ready);
        assert_eq!(pod.restarts, 0);
    }
}

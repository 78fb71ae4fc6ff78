//! Topics as objects: made, grown, configured, refused, taken over, and deleted as their policy says.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Scenario, ensure};
use crate::admin::proto::Topic;
use crate::admin::topics;
use crate::kube::certificates;
use crate::kube::client::{self, RATE};
use crate::kube::cluster::{KubeCluster, PACE, STALL, condition};
use crate::kube::kubectl::{Kubectl, text};
use crate::kube::release;
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const OBJECTS: Scenario = Scenario {
    name: "topics",
    what: "ChronikTopics made, grown, refused, adopted and deleted, with Retain and with Delete",
    needs: &["exec"],
    is_short: true,
    run: objects,
};

pub(super) const NAMESPACE: Scenario = Scenario {
    name: "topics-namespace",
    what: "a namespace deleted with a cluster and a ChronikTopic of policy Delete in it: it ends",
    needs: &["exec"],
    is_short: false,
    run: namespace,
};

fn manifest(name: &str, spec: &Value) -> String {
    let object = json!({
        "apiVersion": "chronik.io/v1alpha1",
        "kind": "ChronikTopic",
        "metadata": {"name": name},
        "spec": spec,
    });
    object.to_string()
}

fn patch(kubectl: &Kubectl, name: &str, spec: &Value) -> Result<()> {
    let patch = json!({"spec": spec}).to_string();
    kubectl.run(&["patch", "chroniktopic", name, "--type=merge", "-p", &patch]).map(drop)
}

/// The topic as the cluster's leader has it.
fn there(cluster: &KubeCluster, name: &str) -> Result<Option<Topic>> {
    let leader = cluster.pod(cluster.meta_leader()?)?;
    let address = leader.peer_address().context("the leader's address")?;
    let operator = certificates::operator(&cluster.kubectl, cluster.name())?;
    let operator = operator.context("the operator's certificate")?;
    match topics::describe_as(&address, leader.broker, operator, name)? {
        Ok(topic) => Ok(Some(topic)),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => bail!("{status}"),
    }
}

/// Waits until the object says of its manifest as it is now that `kind` holds, and `words` with it.
fn wait_for(kubectl: &Kubectl, name: &str, kind: &str, words: &str) -> Result<Value> {
    wait::until_every(PACE, &format!("{name} {kind}"), STALL, || {
        let object = kubectl.get(&["chroniktopic", name])?;
        let status = object.get("status").cloned().unwrap_or_default();
        let is_of_now = object.pointer("/metadata/generation").and_then(Value::as_i64)
            == status.get("observedGeneration").and_then(Value::as_i64);
        let says = status.to_string();
        if is_of_now && condition(&object, kind) == Some("True") && says.contains(words) {
            return Ok(Look::Done(object));
        }
        wait::at(says)
    })
}

fn wait_gone(kubectl: &Kubectl, name: &str) -> Result<()> {
    kubectl.run(&["delete", "chroniktopic", name, "--wait=false"])?;
    wait::until_every(PACE, "the object's end", STALL, || {
        match kubectl.find("chroniktopic", name)? {
            None => Ok(Look::Done(())),
            Some(object) => wait::at(object.get("status")),
        }
    })
}

fn objects(world: &mut World) -> Result<()> {
    let name = format!("object-{}", std::process::id());
    let kubectl = world.kubectl.clone();
    let cluster = KubeCluster::new(&kubectl, world.cluster.name());
    let load = world.step("a topic made", None, |world| {
        let spec = json!({
            "cluster": cluster.name(), "partitions": 6, "replicas": 3,
            "configs": {"retention.ms": "86400000", "max.message.bytes": "2000000"},
        });
        kubectl.apply(&manifest(&name, &spec))?;
        let object = wait_for(&kubectl, &name, "Ready", "")?;
        let topic = there(&cluster, &name)?.context("the topic is there")?;
        ensure(text(&object, "/status/topicId") == topic.id, "status has another id")?;
        ensure(topic.partitions == 6 && topic.replicas == 3, format!("{topic:?}"))?;
        client::start(&world.cluster.bootstrap()?, &name, 3)
    })?;
    world.step("grown and configured", Some(&load), |_| {
        let configs = json!({"retention.ms": "3600000", "max.message.bytes": null});
        patch(&kubectl, &name, &json!({"partitions": 8, "configs": configs}))?;
        wait_for(&kubectl, &name, "Ready", "")?;
        let topic = there(&cluster, &name)?.context("the topic is there")?;
        let is_so = topic.partitions == 8
            && topic.configs.len() == 1
            && topic.configs.get("retention.ms").is_some_and(|value| value == "3600000");
        ensure(is_so, format!("{topic:?}"))
    })?;
    world.step("what cannot be is refused", Some(&load), |_| refused(&kubectl, &name))?;
    world.step("taken over, and the older object wins", Some(&load), |_| {
        adopted(&kubectl, &cluster, &name)
    })?;
    load.wait_for_more(RATE as usize, STALL)?;
    world.judge(load)?;
    world.step("deleted as the policy says", None, |_| deleted(&kubectl, &cluster, &name))?;
    world.cluster.wait_converged(3)
}

fn refused(kubectl: &Kubectl, name: &str) -> Result<()> {
    patch(kubectl, name, &json!({"partitions": 2}))?;
    wait_for(kubectl, name, "Degraded", "the topic has 8 partitions")?;
    patch(kubectl, name, &json!({"partitions": 8, "replicas": 1}))?;
    wait_for(kubectl, name, "Degraded", "the topic has 3 replicas a partition")?;
    patch(kubectl, name, &json!({"replicas": 3, "configs": {"retention.ms": "soon"}}))?;
    wait_for(kubectl, name, "Degraded", "retention.ms cannot be")?;
    patch(kubectl, name, &json!({"configs": {"retention.ms": "3600000"}}))?;
    wait_for(kubectl, name, "Ready", "")?;
    let renamed = r#"{"spec":{"topicName":"other"}}"#;
    let words = kubectl.refused(&["patch", "chroniktopic", name, "--type=merge", "-p", renamed])?;
    ensure(words.contains("cannot be renamed"), words)?;
    let events = kubectl.run(&["get", "events", "--field-selector=reason=Refused"])?;
    ensure(events.contains("spec.partitions"), format!("there is no Event of it: {events}"))?;
    let wide = format!("{name}-wide");
    let spec = json!({"cluster": "demo", "partitions": 1, "replicas": 4});
    kubectl.apply(&manifest(&wide, &spec))?;
    wait_for(kubectl, &wide, "Degraded", "4")?;
    wait_gone(kubectl, &wide)
}

fn adopted(kubectl: &Kubectl, cluster: &KubeCluster, name: &str) -> Result<()> {
    let second = format!("{name}-second");
    let spec = json!({"cluster": cluster.name(), "topicName": name, "partitions": 9});
    kubectl.apply(&manifest(&second, &spec))?;
    wait_for(kubectl, &second, "Degraded", "is older")?;
    let before = there(cluster, name)?.context("the topic is there")?;
    // Retain: the topic stays, and is a stranger to whoever comes next.
    wait_gone(kubectl, name)?;
    wait_for(kubectl, &second, "Degraded", "8 partitions, not 9")?;
    let left = there(cluster, name)?;
    ensure(left.as_ref() == Some(&before), format!("{before:?} became {left:?}"))?;
    patch(kubectl, &second, &json!({"adopt": true}))?;
    wait_for(kubectl, &second, "Ready", &before.id)?;
    let topic = there(cluster, name)?.context("the topic is there")?;
    ensure(topic.id == before.id && topic.partitions == 9, format!("{topic:?}"))
}

fn deleted(kubectl: &Kubectl, cluster: &KubeCluster, name: &str) -> Result<()> {
    let second = format!("{name}-second");
    let finalizers = || -> Result<usize> {
        let object = kubectl.get(&["chroniktopic", &second])?;
        Ok(object.pointer("/metadata/finalizers").and_then(Value::as_array).map_or(0, Vec::len))
    };
    for (policy, expected) in [("Delete", 1), ("Retain", 0), ("Delete", 1)] {
        patch(kubectl, &second, &json!({"deletionPolicy": policy}))?;
        wait_for(kubectl, &second, "Ready", "")?;
        let found = finalizers()?;
        ensure(found == expected, format!("{policy}: {found} finalizers"))?;
    }
    wait_gone(kubectl, &second)?;
    ensure(there(cluster, name)?.is_none(), "the topic outlived its object")
}

fn namespace(world: &mut World) -> Result<()> {
    let kubectl = Kubectl::new("chronik-e2e-topics");
    let cluster = KubeCluster::new(&kubectl, "gone");
    world.kubectl.apply(&release::namespace(kubectl.namespace()))?;
    world.step("a cluster and a topic in a namespace of their own", None, |_| {
        kubectl.apply(
            "apiVersion: chronik.io/v1alpha1\nkind: ChronikCluster\nmetadata:\n  name: gone\n\
             spec:\n  replicas: 1\n",
        )?;
        cluster.wait_converged(1)?;
        let spec = json!({"cluster": "gone", "replicas": 1, "deletionPolicy": "Delete"});
        kubectl.apply(&manifest("last", &spec))?;
        wait_for(&kubectl, "last", "Ready", "").map(drop)
    })?;
    world.step("the namespace deleted", None, |world| {
        world.kubectl.run(&["delete", "namespace", kubectl.namespace(), "--wait=false"])?;
        wait::until_every(PACE, "the end of the namespace", STALL, || {
            match world.kubectl.find("namespace", kubectl.namespace())? {
                None => Ok(Look::Done(())),
                Some(object) => wait::at(text(&object, "/status/phase")),
            }
        })
    })
}

//! Racks from labels of nodes: told to the brokers that run, and kept to when a topic is placed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use super::{Scenario, ensure};
use crate::kube::client;
use crate::kube::cluster::{KubeCluster, PACE, Pod, STALL};
use crate::kube::world::World;
use crate::wait::{self, Look};

/// Nobody waits for the next look at a cluster that rests, which may be 18 s away.
pub(super) const TOLD_WITHIN: Duration = Duration::from_secs(10);
const KEY: &str = "chronik.io/e2e-zone";

pub(super) const LABELS: Scenario = Scenario {
    name: "racks",
    what: "racks from a label of the nodes, another label, and none; a topic of two replicas is in two racks",
    needs: &["exec", "nodes"],
    is_short: false,
    run: labels,
};

fn labels(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.pods()?;
    let done = change_labels(world, &load);
    // Whatever came of it, the next scenario finds no racks.
    let taken_back = world.step("no racks", Some(&load), |world| {
        world.cluster.patch(&json!({"spec": {"rack": Value::Null}}))?;
        wait_for(&world.cluster, &BTreeMap::new())
    });
    for pod in &before {
        label(world, &pod.node, &format!("{KEY}-"))?;
    }
    done.and(taken_back)?;
    ensure(world.cluster.pods()? == before, "racks restart nobody")?;
    world.judge(load).map(drop)
}

fn change_labels(world: &mut World, load: &crate::workload::Workload) -> Result<()> {
    let pods = world.cluster.pods()?;
    // One broker alone in its rack: every partition of two replicas has one on it. After a node was lost,
    // two others may share one.
    let shares = |pod: &Pod| pods.iter().filter(|other| other.node == pod.node).count() > 1;
    let alone = pods.iter().find(|pod| !shares(pod)).context("no broker is alone on its node")?;
    let zone = |pod: &Pod| if pod.node == alone.node { "alone" } else { "together" };
    let mut racks: BTreeMap<u32, String> = BTreeMap::new();
    for pod in &pods {
        label(world, &pod.node, &format!("{KEY}={}", zone(pod)))?;
        racks.insert(pod.broker, zone(pod).to_owned());
    }
    world.step("racks from labels", Some(load), |world| {
        world.cluster.patch(&json!({"spec": {"rack": {"topologyKey": KEY}}}))?;
        wait_for(&world.cluster, &racks)
    })?;
    let topic = format!("two-racks-{}", std::process::id());
    let spread = client::start(&world.cluster.bootstrap()?, &topic, 2)?;
    let placed = replicas(&world.cluster.bootstrap()?, &topic);
    world.judge(spread)?;
    let (placed, alone_id) = (placed?, i32::try_from(alone.broker)?);
    ensure(
        !placed.is_empty() && placed.iter().all(|ids| ids.len() == 2 && ids.contains(&alone_id)),
        format!("broker {alone_id} is alone in its rack, and partitions are on {placed:?}"),
    )?;
    let moved = pods.iter().find(|pod| pod.node != alone.node).context("all on one node")?;
    for pod in pods.iter().filter(|pod| pod.node == moved.node) {
        racks.insert(pod.broker, "elsewhere".to_owned());
    }
    world.step("a node's label changes", Some(load), |world| {
        label(world, &moved.node, &format!("{KEY}=elsewhere"))?;
        wait_for(&world.cluster, &racks)
    })?;
    let took = world.steps.last().map(|step| step.took).unwrap_or_default();
    ensure(!world.is_strict || took <= TOLD_WITHIN, format!("told only after {took:?}"))
}

fn label(world: &World, node: &str, label: &str) -> Result<()> {
    world.kubectl.run(&["label", "node", node, label, "--overwrite"]).map(drop)
}

/// Waits until the brokers have been told these racks, and no others.
fn wait_for(cluster: &KubeCluster, racks: &BTreeMap<u32, String>) -> Result<()> {
    wait::until_every(PACE, "the brokers' racks", STALL, || {
        let described = cluster.describe()?;
        let metas = described.into_iter().filter_map(|node| node.meta);
        let Some(newest) = metas.max_by_key(|meta| meta.applied) else {
            return wait::at("nobody answers");
        };
        let told = newest.brokers.into_iter().filter_map(|b| Some((b.id, b.told_rack?)));
        let told: BTreeMap<u32, String> = told.collect();
        if told == *racks { Ok(Look::Done(())) } else { wait::at(told) }
    })
}

/// The replicas of each partition of a topic.
fn replicas(bootstrap: &str, topic: &str) -> Result<Vec<Vec<i32>>> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let metadata = client.fetch_metadata(Some(topic), STALL)?;
    let topic = metadata.topics().first().context("the topic is not there")?;
    Ok(topic.partitions().iter().map(|partition| partition.replicas().to_vec()).collect())
}

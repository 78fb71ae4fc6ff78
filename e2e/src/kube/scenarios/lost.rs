//! Nodes that never come back, with the volumes that were on them.

use anyhow::Result;
use serde_json::Value;

use super::faults::{delete, victim, wait_renewed};
use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{PACE, Pod, STALL, summary};
use crate::kube::kubectl::text;
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const FOR_GOOD: Scenario = Scenario {
    name: "node-lost",
    what: "a node powered off for good: its broker takes its place again elsewhere, with an empty volume",
    needs: &["exec", "kill", "wipe", "start"],
    is_short: false,
    run: for_good,
};

pub(super) const WHILE_SHRINKING: Scenario = Scenario {
    name: "node-lost-in-shrink",
    what: "a node powered off for good in the middle of 4 -> 3",
    needs: &["exec", "kill", "wipe", "start"],
    is_short: false,
    run: while_shrinking,
};

fn for_good(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let pod = victim(world)?;
    let (directory, claims) = (world.cluster.directory(pod.broker)?, world.cluster.claims()?);
    world.step("a node powered off", Some(&load), |world| {
        world.provider.run("kill", &[&pod.node])?;
        load.wait_for_more(RATE as usize * 10, STALL)
    })?;
    // Silence alone is never taken for a loss.
    ensure(
        world.cluster.claims()? == claims && world.cluster.pod(pod.broker)?.uid == pod.uid,
        "nothing is given up before somebody says that the node is gone",
    )?;
    world.step("its Node deleted, until all brokers serve", Some(&load), |world| {
        world.kubectl.run(&["delete", "node", &pod.node])?;
        world.cluster.wait_converged(3)
    })?;
    let (now, is_new) =
        (world.cluster.pod(pod.broker)?, world.cluster.directory(pod.broker)? != directory);
    ensure(now.node != pod.node, format!("broker {} runs on {}", pod.broker, now.node))?;
    ensure(is_new, format!("broker {} came back under its lost disk's identity", pod.broker))?;
    bring_back(world, &pod)?;
    world.judge(load).map(drop)
}

fn while_shrinking(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    world.step("every broker on a node of its own", Some(&load), |world| spread(world))?;
    world.step("3 -> 4", Some(&load), |world| {
        world.cluster.scale(4)?;
        world.cluster.wait_converged(4)
    })?;
    let pod = victim(world)?;
    let name = format!("4 -> 3, the node of broker {} powered off for good meanwhile", pod.broker);
    world.step(&name, Some(&load), |world| {
        world.cluster.scale(3)?;
        wait_leaving(world)?;
        world.provider.run("kill", &[&pod.node])?;
        world.kubectl.run(&["delete", "node", &pod.node])?;
        world.cluster.wait_converged(3)
    })?;
    bring_back(world, &pod)?;
    world.judge(load).map(drop)
}

/// Gives brokers that share a node (one was lost, or they came back to old volumes) new volumes, until none
/// do. Volumes of brokers that are no more go: the next ones would have to be where they are.
fn spread(world: &World) -> Result<()> {
    let pods = world.cluster.pods()?;
    let used: Vec<String> = pods.iter().map(|pod| format!("data-{}", pod.name)).collect();
    for claim in world.cluster.claims()?.iter().filter(|claim| !used.contains(claim)) {
        delete(world, "persistentvolumeclaim", &[claim])?;
    }
    for _ in 0..3 {
        let pods = world.cluster.pods()?;
        let shares = |pod: &&Pod| pods.iter().filter(|other| other.node == pod.node).count() > 1;
        let Some(pod) = pods.iter().rfind(shares) else { break };
        delete(world, "persistentvolumeclaim", &[&format!("data-{}", pod.name)])?;
        delete(world, "pod", &[&pod.name])?;
        wait_renewed(world, pod)?;
        world.cluster.wait_converged(3)?;
    }
    Ok(())
}

/// Waits until some broker leaves, or has left.
fn wait_leaving(world: &World) -> Result<()> {
    wait::until_every(PACE, "a broker that leaves", STALL, || {
        let object = world.cluster.object()?;
        let brokers = object.pointer("/status/brokers").and_then(Value::as_array);
        let brokers = brokers.map(Vec::as_slice).unwrap_or_default();
        let leaves = brokers.iter().any(|broker| text(broker, "/state") == "Leaving");
        let is_done = leaves || (!brokers.is_empty() && brokers.len() < 4);
        if is_done { Ok(Look::Done(())) } else { wait::at(summary(&object)) }
    })
}

/// A new node in place of the lost one, with nothing on it.
fn bring_back(world: &mut World, pod: &Pod) -> Result<()> {
    world.step("another node in its place", None, |world| {
        world.provider.run("wipe", &[&pod.node])?;
        world.provider.run("start", &[&pod.node])?;
        world.cluster.wait_converged(3)
    })
}

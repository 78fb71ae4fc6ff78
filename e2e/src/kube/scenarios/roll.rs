//! Brokers that are asked to be something else, one after the other.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{PACE, Pod, STALL, condition, summary};
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const CONFIG: Scenario = Scenario {
    name: "roll",
    what: "a changed setting reaches every broker, one restart each",
    needs: &["exec"],
    is_short: true,
    run: config,
};

pub(super) const BROKEN_IMAGE: Scenario = Scenario {
    name: "roll-broken-image",
    what: "an image that does not exist stops at the first broker, and the old one heals it",
    needs: &["exec"],
    is_short: false,
    run: broken_image,
};

pub(super) const DRAIN: Scenario = Scenario {
    name: "drain",
    what: "kubectl drain of each node in turn; the disruption budget lets one broker go at a time",
    needs: &["exec", "nodes"],
    is_short: false,
    run: drain,
};

fn config(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.pods()?;
    // Another value than the one of an earlier run on the same cluster.
    let object = world.cluster.object()?;
    let was = object.pointer("/spec/broker/cacheBytes").and_then(Value::as_u64);
    let bytes: u64 = if was == Some(64 << 20) { 48 << 20 } else { 64 << 20 };
    world.step("a changed setting", Some(&load), |world| {
        world.cluster.patch(&json!({"spec": {"broker": {"cacheBytes": bytes}}}))?;
        wait::until_every(PACE, "every broker anew", STALL, || {
            let pods = world.cluster.pods()?;
            let down = pods.iter().filter(|pod| !pod.is_ready).count() + (3 - pods.len().min(3));
            ensure(down <= 1, format!("{down} brokers are down at a time: {pods:?}"))?;
            if renewed(&before, &pods) == 3 { Ok(Look::Done(())) } else { wait::at(pods) }
        })?;
        world.cluster.wait_converged(3)
    })?;
    let after = world.cluster.pods()?;
    world.judge(load)?;
    ensure(world.cluster.pods()? == after, "a converged cluster restarts nobody")
}

fn broken_image(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.pods()?;
    world.step("a broken image, until the operator says so", Some(&load), |world| {
        world
            .cluster
            .patch(&json!({"spec": {"image": "localhost/chronik-broker:does-not-exist"}}))?;
        wait::until_every(PACE, "Degraded", STALL, || {
            let object = world.cluster.object()?;
            let is_degraded = condition(&object, "Degraded") == Some("True");
            if is_degraded { Ok(Look::Done(())) } else { wait::at(summary(&object)) }
        })
    })?;
    load.wait_for_more(RATE as usize * 10, STALL)?;
    let broken = world.cluster.pods()?;
    let changed = renewed(&before, &broken);
    ensure(changed == 1, format!("{changed} brokers were given the broken image: {broken:?}"))?;
    world.step("the old image again", Some(&load), |world| {
        world.cluster.patch(&json!({"spec": {"image": Value::Null}}))?;
        world.cluster.wait_converged(3)
    })?;
    world.judge(load).map(drop)
}

fn drain(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let nodes = world.provider.run("nodes", &[])?;
    for node in nodes.split_whitespace() {
        world.step(&format!("kubectl drain {node}, and uncordon"), Some(&load), |world| {
            // A broker's volume is on its node: it comes back when the node does.
            world.kubectl.run(&[
                "drain",
                node,
                "--ignore-daemonsets",
                "--delete-emptydir-data",
                "--force",
                "--timeout=150s",
            ])?;
            let down = world.cluster.pods()?.iter().filter(|pod| !pod.is_ready).count();
            ensure(down <= 1, format!("{down} brokers are down after one node was drained"))?;
            load.wait_for_more(RATE as usize * 5, STALL)?;
            world.kubectl.run(&["uncordon", node])?;
            world.cluster.wait_converged(3)
        })?;
    }
    world.judge(load).map(drop)
}

/// How many brokers have another pod than before.
fn renewed(before: &[Pod], now: &[Pod]) -> usize {
    let is_new = |pod: &&Pod| !before.iter().any(|old| old.uid == pod.uid);
    now.iter().filter(is_new).count()
}

//! Brokers that are asked to be something else, one after the other.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{PACE, Pod, STALL, condition, summary};
use crate::kube::world::World;
use crate::wait::{self, Look};
use crate::workload::Workload;

pub(super) const CONFIG: Scenario = Scenario {
    name: "roll",
    what: "a changed setting reaches every broker, one restart each",
    needs: &["exec"],
    is_short: true,
    run: config,
};

pub(super) const IMAGE: Scenario = Scenario {
    name: "roll-image",
    what: "another image reaches every broker, one restart each, and back",
    needs: &["exec"],
    is_short: false,
    run: image,
};

pub(super) const BROKEN_IMAGE: Scenario = Scenario {
    name: "roll-broken-image",
    what: "an image that does not exist stops at the first broker, another pod is deleted meanwhile, \
           and the old image heals it",
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
    change_a_setting(world, &load, "a changed setting")?;
    let after = world.cluster.pods()?;
    world.judge(load)?;
    ensure(world.cluster.pods()? == after, "a converged cluster restarts nobody")
}

/// One setting becomes another, and every broker restarts for it, one at a time.
pub(super) fn change_a_setting(world: &mut World, load: &Workload, name: &str) -> Result<()> {
    // Another value than the one of an earlier run on the same cluster.
    let object = world.cluster.object()?;
    let was = object.pointer("/spec/broker/cacheBytes").and_then(Value::as_u64);
    let bytes: u64 = if was == Some(64 << 20) { 48 << 20 } else { 64 << 20 };
    world.step(name, Some(load), |world| {
        roll_to(world, &json!({"spec": {"broker": {"cacheBytes": bytes}}}))
    })
}

fn image(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let next = world.next_broker_image.clone();
    let own = world.cluster.pod(1)?.image;
    world.step("another image", Some(&load), |world| {
        roll_to(world, &json!({"spec": {"image": next}}))
    })?;
    let images: Vec<String> = world.cluster.pods()?.into_iter().map(|pod| pod.image).collect();
    ensure(images.iter().all(|image| *image == next), format!("brokers run {images:?}"))?;
    world.step("the first image again", Some(&load), |world| {
        roll_to(world, &json!({"spec": {"image": Value::Null}}))
    })?;
    let images: Vec<String> = world.cluster.pods()?.into_iter().map(|pod| pod.image).collect();
    ensure(images.iter().all(|image| *image == own), format!("brokers run {images:?}"))?;
    world.judge(load).map(drop)
}

/// Asks for something else and waits until every broker was made anew for it, never two at a time.
pub(super) fn roll_to(world: &World, patch: &Value) -> Result<()> {
    let before = world.cluster.pods()?;
    world.cluster.patch(patch)?;
    wait::until_every(PACE, "every broker anew", STALL, || {
        let pods = world.cluster.pods()?;
        let down = pods.iter().filter(|pod| !pod.is_ready).count() + (3 - pods.len().min(3));
        ensure(down <= 1, format!("{down} brokers are down at a time: {pods:?}"))?;
        if renewed(&before, &pods) == 3 { Ok(Look::Done(())) } else { wait::at(pods) }
    })?;
    world.cluster.wait_converged(3)
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
    let healthy = broken.iter().find(|pod| pod.is_ready).context("a broker that serves")?.clone();
    // Two of three are down now: nothing is acknowledged until this one is back, with its own image.
    world.step("another broker's pod deleted meanwhile", Some(&load), |world| {
        world.kubectl.run(&["delete", "pod", &healthy.name, "--wait=false"])?;
        wait::until_every(PACE, "the pod anew", STALL, || {
            let pods = world.cluster.pods()?;
            let is_back =
                |pod: &Pod| pod.broker == healthy.broker && pod.uid != healthy.uid && pod.is_ready;
            if pods.iter().any(is_back) { Ok(Look::Done(())) } else { wait::at(pods) }
        })
    })?;
    let image = world.cluster.pod(healthy.broker)?.image;
    ensure(image == healthy.image, format!("the deleted pod came back with {image}"))?;
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

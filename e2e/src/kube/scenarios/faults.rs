//! Processes, pods, objects and nodes that go away.

use anyhow::{Context, Result};

use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{PACE, Pod, STALL};
use crate::kube::world::{NAMESPACE, World};
use crate::wait::{self, Look};

pub(super) const KILL_PROCESS: Scenario = Scenario {
    name: "kill-process",
    what: "kill -9 of each broker, the leader of __meta last",
    needs: &["exec", "kill-container"],
    is_short: false,
    run: kill_process,
};

pub(super) const DELETE_PODS: Scenario = Scenario {
    name: "delete-pods",
    what: "a pod deleted, two pods at once, a pod with its volume",
    needs: &["exec"],
    is_short: false,
    run: delete_pods,
};

pub(super) const DELETE_SETS: Scenario = Scenario {
    name: "delete-statefulset",
    what: "a StatefulSet deleted behind the operator's back",
    needs: &["exec"],
    is_short: false,
    run: delete_sets,
};

pub(super) const POWER_OFF: Scenario = Scenario {
    name: "power-off",
    what: "a node powered off, and on again",
    needs: &["exec", "kill", "start"],
    is_short: false,
    run: power_off,
};

pub(super) const CUT: Scenario = Scenario {
    name: "cut",
    what: "a node cut off the network for a minute of records",
    needs: &["exec", "cut", "heal"],
    is_short: false,
    run: cut,
};

fn kill_process(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let leader = world.cluster.meta_leader()?;
    for broker in (1..=3).filter(|id| *id != leader).chain([leader]) {
        let pod = world.cluster.pod(broker)?;
        world.step(&format!("kill -9 of broker {broker}"), Some(&load), |world| {
            world.provider.run("kill-container", &[NAMESPACE, &pod.name])?;
            wait::until_every(PACE, "another life of the container", STALL, || {
                let now = world.cluster.pod(broker)?;
                if now.restarts > pod.restarts { Ok(Look::Done(())) } else { wait::at(now) }
            })?;
            world.cluster.wait_converged(3)
        })?;
    }
    world.judge(load).map(drop)
}

fn delete_pods(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    for (name, brokers) in [("one pod", vec![1]), ("two pods at once", vec![2, 3])] {
        world.step(&format!("kubectl delete pod: {name}"), Some(&load), |world| {
            let pods =
                brokers.iter().map(|id| world.cluster.pod(*id)).collect::<Result<Vec<_>>>()?;
            delete(world, "pod", &pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>())?;
            for pod in pods {
                wait_renewed(world, &pod)?;
            }
            world.cluster.wait_converged(3)
        })?;
    }
    world.step("kubectl delete of a pod and its volume", Some(&load), |world| {
        let pod = world.cluster.pod(2)?;
        delete(world, "persistentvolumeclaim", &[&format!("data-{}", pod.name)])?;
        delete(world, "pod", &[&pod.name])?;
        wait_renewed(world, &pod)?;
        world.cluster.wait_converged(3)
    })?;
    world.judge(load).map(drop)
}

fn delete_sets(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let pod = world.cluster.pod(1)?;
    world.step("kubectl delete statefulset", Some(&load), |world| {
        let set = pod.name.strip_suffix("-0").context("the pod of a StatefulSet")?;
        delete(world, "statefulset", &[set])?;
        wait_renewed(world, &pod)?;
        world.cluster.wait_converged(3)
    })?;
    let claims = world.cluster.claims()?;
    ensure(claims.iter().any(|claim| claim.contains(&pod.name)), "the volume was kept")?;
    world.judge(load).map(drop)
}

fn power_off(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let pod = victim(world)?;
    world.step("a node powered off", Some(&load), |world| {
        world.provider.run("kill", &[&pod.node])?;
        load.wait_for_more(RATE as usize * 30, STALL)
    })?;
    world.step("the node is back", Some(&load), |world| {
        world.provider.run("start", &[&pod.node])?;
        world.cluster.wait_converged(3)
    })?;
    world.judge(load).map(drop)
}

fn cut(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let pod = victim(world)?;
    world.step("a node cut off", Some(&load), |world| {
        world.provider.run("cut", &[&pod.node])?;
        load.wait_for_more(RATE as usize * 60, STALL)
    })?;
    world.step("the node is back", Some(&load), |world| {
        world.provider.run("heal", &[&pod.node])?;
        world.cluster.wait_converged(3)
    })?;
    world.judge(load).map(drop)
}

/// A broker whose node carries no other broker and not the operator.
pub(super) fn victim(world: &World) -> Result<Pod> {
    let pods = world.cluster.pods()?;
    let mut busy = Vec::new();
    for name in world.release.pods()? {
        let node = world.release.kubectl.get(&["pod", &name])?;
        busy.push(node.pointer("/spec/nodeName").and_then(|n| n.as_str()).unwrap_or("").to_owned());
    }
    let alone = |pod: &&Pod| {
        pods.iter().filter(|other| other.node == pod.node).count() == 1 && !busy.contains(&pod.node)
    };
    pods.iter().find(alone).cloned().context("every node has two brokers or the operator")
}

pub(super) fn delete(world: &World, kind: &str, names: &[&str]) -> Result<()> {
    let arguments = [&["delete", kind, "--wait=false"], names].concat();
    world.kubectl.run(&arguments).map(drop)
}

/// Waits until the broker has another pod, which serves.
pub(super) fn wait_renewed(world: &World, old: &Pod) -> Result<()> {
    wait::until_every(PACE, &format!("broker {} anew", old.broker), STALL, || {
        let pods = world.cluster.pods()?;
        let is_new = |pod: &Pod| pod.broker == old.broker && pod.uid != old.uid && pod.is_ready;
        if pods.iter().any(is_new) { Ok(Look::Done(())) } else { wait::at(pods) }
    })
}

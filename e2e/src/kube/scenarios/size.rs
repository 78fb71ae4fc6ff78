//! More brokers and fewer, as `kubectl scale` asks for them.

use anyhow::Result;
use serde_json::Value;

use super::{Scenario, ensure};
use crate::kube::cluster::{KubeCluster, PACE, STALL, summary};
use crate::kube::kubectl::text;
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const UP_AND_DOWN: Scenario = Scenario {
    name: "size",
    what: "3 -> 5 -> 3 -> 4 -> 3 under load; removed brokers' volumes stay, their data does not come back",
    needs: &["exec"],
    is_short: true,
    run: up_and_down,
};

pub(super) const CANCELLED: Scenario = Scenario {
    name: "size-cancelled",
    what: "5 -> 3, taken back half-way",
    needs: &["exec"],
    is_short: false,
    run: cancelled,
};

pub(super) const ONE: Scenario = Scenario {
    name: "size-one",
    what: "another cluster 1 -> 3 -> 1 -> 3 -> 1 under load, and deleted",
    needs: &["exec"],
    is_short: false,
    run: one,
};

fn up_and_down(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    world.step("3 -> 5", Some(&load), |world| scale(world, 5))?;
    let directory = world.cluster.directory(4)?;
    world.step("5 -> 3", Some(&load), |world| scale(world, 3))?;
    let claims = world.cluster.claims()?;
    ensure(claims.len() == 5, format!("volumes are kept, but there are only {claims:?}"))?;
    world
        .step("3 -> 4 over the volume of a removed broker", Some(&load), |world| scale(world, 4))?;
    ensure(
        world.cluster.directory(4)? != directory,
        "broker 4 came back with the identity that was removed",
    )?;
    world.step("4 -> 3", Some(&load), |world| scale(world, 3))?;
    world.judge(load).map(drop)
}

fn scale(world: &mut World, to: u32) -> Result<()> {
    world.cluster.scale(to)?;
    world.cluster.wait_converged(to)
}

fn cancelled(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    world.step("3 -> 5", Some(&load), |world| scale(world, 5))?;
    world.step("5 -> 3, taken back when the first broker leaves", Some(&load), |world| {
        world.cluster.scale(3)?;
        wait::until_every(PACE, "a broker that leaves", STALL, || {
            let object = world.cluster.object()?;
            let brokers = object.pointer("/status/brokers").and_then(Value::as_array);
            let leaves = brokers.is_some_and(|brokers| {
                brokers.iter().any(|broker| text(broker, "/state") == "Leaving")
            });
            if leaves { Ok(Look::Done(())) } else { wait::at(summary(&object)) }
        })?;
        scale(world, 5)
    })?;
    world.step("5 -> 3", Some(&load), |world| scale(world, 3))?;
    world.judge(load).map(drop)
}

fn one(world: &mut World) -> Result<()> {
    let cluster = KubeCluster::new(&world.kubectl, "solo");
    let manifest = "apiVersion: chronik.io/v1alpha1\nkind: ChronikCluster\nmetadata:\n  name: solo\n\
                    spec:\n  replicas: 1\n  storage:\n    whenScaled: Delete\n    whenDeleted: Delete\n";
    world.step("a cluster of one", None, |world| {
        world.kubectl.apply(manifest)?;
        cluster.wait_converged(1)
    })?;
    // More replicas than one would forbid the way back.
    let load = world.load_on(&cluster, 1)?;
    for (name, to) in [("1 -> 3", 3), ("3 -> 1", 1), ("1 -> 3 again", 3), ("3 -> 1 again", 1)] {
        world.step(name, Some(&load), |_| {
            cluster.scale(to)?;
            cluster.wait_converged(to)
        })?;
    }
    world.judge(load)?;
    let claims = cluster.claims()?;
    ensure(claims.len() == 1, format!("the volumes of removed brokers are deleted: {claims:?}"))?;
    world.step("deleted with its volumes", None, |world| {
        world.kubectl.run(&["delete", "chronikcluster", "solo", "--wait=true"])?;
        wait::until_every(PACE, "nothing of it", STALL, || {
            let (pods, claims) = (cluster.pods()?.len(), cluster.claims()?);
            if pods == 0 && claims.is_empty() {
                Ok(Look::Done(()))
            } else {
                wait::at((pods, claims))
            }
        })
    })
}

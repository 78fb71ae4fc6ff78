//! Clusters that are deleted: made again over the volumes that were kept, and gone with their
//! namespace.

use anyhow::{Context, Result};

use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{KubeCluster, PACE, STALL};
use crate::kube::kubectl::{Kubectl, text};
use crate::kube::release;
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const RECREATED: Scenario = Scenario {
    name: "recreated",
    what: "the ChronikCluster deleted under load, and made again over its volumes",
    needs: &["exec"],
    is_short: false,
    run: recreated,
};

pub(super) const NAMESPACE: Scenario = Scenario {
    name: "namespace",
    what: "a namespace with a cluster in it deleted: it ends, with everything in it",
    needs: &["exec"],
    is_short: false,
    run: namespace,
};

fn recreated(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.claims()?;
    let id = cluster_id(&world.cluster)?;
    world.step("deleted, and made again", Some(&load), |world| {
        let name = world.cluster.name();
        world.kubectl.run(&["delete", "chronikcluster", name, "--wait=true"])?;
        wait::until_every(PACE, "the end of its pods", STALL, || {
            let pods = world.cluster.pods()?;
            if pods.is_empty() { Ok(Look::Done(())) } else { wait::at(pods) }
        })?;
        let left = world.cluster.claims()?;
        ensure(left == before, format!("volumes are kept: {before:?}, and there are {left:?}"))?;
        world.make_cluster()
    })?;
    let now = cluster_id(&world.cluster)?;
    ensure(now == id, format!("cluster {id} came back as {now}"))?;
    world.judge(load).map(drop)
}

fn cluster_id(cluster: &KubeCluster) -> Result<String> {
    Ok(text(&cluster.object()?, "/status/clusterId").to_owned())
}

fn namespace(world: &mut World) -> Result<()> {
    let kubectl = Kubectl::new("chronik-e2e-gone");
    let cluster = KubeCluster::new(&kubectl, "gone");
    world.kubectl.apply(&release::namespace(kubectl.namespace()))?;
    world.step("a cluster in a namespace of its own", None, |_| {
        kubectl.apply(
            "apiVersion: chronik.io/v1alpha1\nkind: ChronikCluster\nmetadata:\n  name: gone\n\
             spec:\n  replicas: 1\n",
        )?;
        cluster.wait_converged(1)
    })?;
    // Another cluster goes on meanwhile.
    let load = world.load(3)?;
    world.step("the namespace deleted", Some(&load), |world| {
        world.kubectl.run(&["delete", "namespace", kubectl.namespace(), "--wait=false"])?;
        wait::until_every(PACE, "the end of the namespace", STALL, || {
            let found = world.kubectl.find("namespace", kubectl.namespace());
            match found.context("looking for the namespace")? {
                None => Ok(Look::Done(())),
                Some(object) => wait::at((text(&object, "/status/phase"), kubectl_left(&kubectl))),
            }
        })
    })?;
    load.wait_for_more(RATE as usize, STALL)?;
    world.cluster.wait_converged(3)?;
    world.judge(load).map(drop)
}

/// What is still in it.
fn kubectl_left(kubectl: &Kubectl) -> String {
    kubectl.run(&["get", "all,persistentvolumeclaims", "-o", "name"]).unwrap_or_default()
}

//! The cluster's own authority replaced and lost: nobody is cut off, and no broker restarts.

use anyhow::{Context, Result};

use super::{Scenario, ensure};
use crate::kube::certificates;
use crate::kube::cluster::{PACE, Pod, STALL};
use crate::kube::kubectl::text;
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const ROTATED: Scenario = Scenario {
    name: "authority-rotated",
    what: "the authority of the certificates replaced on request",
    needs: &["exec"],
    is_short: false,
    run: rotated,
};

pub(super) const LOST: Scenario = Scenario {
    name: "authority-lost",
    what: "the Secret with the authority of the certificates deleted",
    needs: &["exec"],
    is_short: false,
    run: lost,
};

fn rotated(world: &mut World) -> Result<()> {
    replace(world, "the authority rotated", |world| {
        let name = format!("chronikcluster/{}", world.cluster.name());
        // Another value at every run: the same request twice is one.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let token = format!("chronik.io/rotate-ca=e2e-{}", now.as_secs());
        world.kubectl.run(&["annotate", "--overwrite", &name, &token]).map(drop)
    })
}

fn lost(world: &mut World) -> Result<()> {
    replace(world, "the authority's Secret deleted", |world| {
        let name = format!("{}-ca", world.cluster.name());
        world.kubectl.run(&["delete", "secret", &name]).map(drop)
    })
}

/// Does something that ends with another authority, under load, and waits until that is all in use.
fn replace(world: &mut World, what: &str, act: fn(&World) -> Result<()>) -> Result<()> {
    let load = world.load(3)?;
    let (pods, before) = (world.cluster.pods()?, state(world)?);
    ensure(before.phase == "Settled", format!("a rotation is under way: {before:?}"))?;
    world.step(what, Some(&load), |world| {
        act(world)?;
        wait::until_every(PACE, "another authority, settled", STALL, || {
            let now = state(world)?;
            let done = now.phase == "Settled"
                && !now.authority.is_empty()
                && now.authority != before.authority;
            if done { Ok(Look::Done(())) } else { wait::at(now) }
        })?;
        world.cluster.wait_converged(3)
    })?;
    let name = format!("{}-operator-tls", world.cluster.name());
    let secret = world.kubectl.find("secret", &name)?.context("the operator has a certificate")?;
    let trusted = String::from_utf8(certificates::decoded(&secret, "ca.crt")?)?;
    let authorities = trusted.matches("BEGIN CERTIFICATE").count();
    ensure(authorities == 1, format!("{authorities} authorities are trusted in the end"))?;
    let life = |pods: &[Pod]| -> Vec<(String, u64)> {
        pods.iter().map(|pod| (pod.uid.clone(), pod.restarts)).collect()
    };
    ensure(life(&pods) == life(&world.cluster.pods()?), "a broker was restarted")?;
    world.judge(load).map(drop)
}

/// What status says of the certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    phase: String,
    message: String,
    authority: String,
}

fn state(world: &World) -> Result<State> {
    let object = world.cluster.object()?;
    let field = |key: &str| text(&object, &format!("/status/certificates/{key}")).to_owned();
    Ok(State { phase: field("phase"), message: field("message"), authority: field("authority") })
}

//! A first cluster: the chart, a manifest, a producer and a consumer.

use std::time::Duration;

use anyhow::Result;

use super::{Scenario, ensure};
use crate::kube::cluster::STALL;
use crate::kube::kubectl::text;
use crate::kube::world::{MADE, RATE, World};

const READY_WITHIN: Duration = Duration::from_secs(60);

pub(super) const INSTALL: Scenario = Scenario {
    name: "install",
    what: "the chart, examples/three-brokers.yaml, a client",
    needs: &["exec"],
    is_short: true,
    run: install,
};

fn install(world: &mut World) -> Result<()> {
    // The runner has just made it, or this is a second run on the same cluster.
    if let Some(step) = world.steps.iter().find(|step| step.name == MADE) {
        ensure(
            !world.is_strict || step.took <= READY_WITHIN,
            format!("Ready after {:.1} s", step.took.as_secs_f64()),
        )?;
    }
    let load = world.load(&world.cluster, 3)?;
    load.wait_for_more(RATE as usize * 4, STALL)?;
    world.judge(load)?;
    let claims = world.cluster.claims()?;
    ensure(claims.len() == 3, format!("a volume for each of three brokers, not {claims:?}"))?;
    let name = world.cluster.name();
    for service in [format!("{name}-bootstrap"), format!("{name}-brokers")] {
        let found = world.kubectl.find("service", &service)?;
        ensure(found.is_some(), format!("there is no service {service}"))?;
    }
    let object = world.cluster.object()?;
    let bootstrap = text(&object, "/status/bootstrap");
    ensure(bootstrap.contains(':'), format!("status.bootstrap is {bootstrap:?}"))?;
    let shown = world.kubectl.run(&["get", "chronikclusters"])?;
    ensure(shown.contains("Ready"), format!("kubectl get shows:\n{shown}"))
}

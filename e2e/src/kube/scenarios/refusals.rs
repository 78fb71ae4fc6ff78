//! What is refused, where, with which words, and that nothing changes.

use anyhow::Result;

use super::{Scenario, ensure};
use crate::kube::world::World;

pub(super) const AT_THE_API: Scenario = Scenario {
    name: "refused-at-the-api",
    what: "edits that no operator should ever see",
    needs: &["exec"],
    is_short: true,
    run: at_the_api,
};

fn at_the_api(world: &mut World) -> Result<()> {
    let before = world.cluster.pods()?;
    let object = format!("chronikcluster/{}", world.cluster.name());
    let patch = |patch: &'static str| vec!["patch", &object, "--type=merge", "-p", patch];
    for (arguments, field, rule) in [
        (vec!["scale", &object, "--replicas=0"], "replicas", "a cluster has at least 1 broker"),
        (patch(r#"{"spec":{"replicas":-1}}"#), "spec.replicas", "a cluster has at least 1 broker"),
        (patch(r#"{"spec":{"storage":{"size":"1Mi"}}}"#), "spec.storage", "a volume cannot shrink"),
        (patch(r#"{"spec":{"listeners":{"kafka":{"port":9999}}}}"#), "port", "cannot change"),
    ] {
        let words = world.kubectl.refused(&arguments)?;
        ensure(words.contains(field), format!("{arguments:?} does not name {field}: {words}"))?;
        ensure(words.contains(rule), format!("{arguments:?} does not say {rule:?}: {words}"))?;
    }
    let long = "n".repeat(41);
    let name = format!(
        "apiVersion: chronik.io/v1alpha1\nkind: ChronikCluster\nmetadata:\n  name: {long}\nspec: {{}}\n"
    );
    let words = world.kubectl.apply(&name).expect_err("a name of 41 characters").to_string();
    ensure(words.contains("at most 40 characters"), words)?;
    world.cluster.wait_converged(3)?;
    ensure(world.cluster.pods()? == before, "a refused edit has changed the brokers")
}

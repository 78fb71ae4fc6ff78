//! What is refused, where, with which words, and that nothing changes.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{PACE, STALL, condition, summary};
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const AT_THE_API: Scenario = Scenario {
    name: "refused-at-the-api",
    what: "edits that no operator should ever see",
    needs: &["exec"],
    is_short: true,
    run: at_the_api,
};

pub(super) const IN_STATUS: Scenario = Scenario {
    name: "refused-in-status",
    what: "too few brokers for a topic, a Secret that is not there: told in status and an Event, and \
           nothing done",
    needs: &["exec"],
    is_short: false,
    run: in_status,
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
        (
            patch(r#"{"spec":{"listeners":{"kafka":{"tls":{"secretName":"No Secret"}}}}}"#),
            "secretName",
            "a Secret's name has lower case letters",
        ),
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

fn in_status(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.pods()?;
    world.step("3 -> 2 asked for and refused", Some(&load), |world| {
        world.cluster.scale(2)?;
        wait_refused(world, "spec.replicas")?;
        load.wait_for_more(RATE as usize * 10, STALL)
    })?;
    ensure(world.cluster.pods()? == before, "a refused size has changed the brokers")?;
    let events = world.kubectl.run(&["get", "events", "--field-selector=reason=Refused"])?;
    ensure(events.contains("spec.replicas"), format!("there is no Event of it: {events}"))?;
    world.step("3 again", Some(&load), |world| {
        world.cluster.scale(3)?;
        world.cluster.wait_converged(3)
    })?;
    world.step("TLS asked for with a Secret that is not there", Some(&load), |world| {
        let tls = |tls: Value| json!({"spec": {"listeners": {"kafka": {"tls": tls}}}});
        world.cluster.patch(&tls(json!({"secretName": "not-there"})))?;
        wait_refused(world, "there is no such Secret")?;
        load.wait_for_more(RATE as usize * 10, STALL)?;
        world.cluster.patch(&tls(Value::Null))?;
        world.cluster.wait_converged(3)
    })?;
    ensure(world.cluster.pods()? == before, "a withdrawn wish has changed the brokers")?;
    world.judge(load).map(drop)
}

/// Waits until status refuses something with these words, and the cluster is Degraded by it.
fn wait_refused(world: &World, words: &str) -> Result<()> {
    wait::until_every(PACE, "the refusal", STALL, || {
        let object = world.cluster.object()?;
        let refused = object.pointer("/status/refused").and_then(Value::as_array);
        let is_told = refused.is_some_and(|list| {
            list.iter().filter_map(Value::as_str).any(|text| text.contains(words))
        });
        if is_told && condition(&object, "Degraded") == Some("True") {
            Ok(Look::Done(()))
        } else {
            wait::at(summary(&object))
        }
    })
}

//! A first cluster: the chart, a manifest, a producer and a consumer.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::{Scenario, ensure};
use crate::kube::cluster::{PACE, STALL};
use crate::kube::kubectl::text;
use crate::kube::release;
use crate::kube::world::{MADE, NAMESPACE, World};
use crate::wait::{self, Look};
use crate::workspace;

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
    let load = world.load(3)?;
    world.judge(load)?;
    world.step("a client in a pod, by the bootstrap service", None, client_in_a_pod)?;
    operator_metrics(world)?;
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

/// The chart's alerts and its dashboard ask for metrics that the operator has.
fn operator_metrics(world: &World) -> Result<()> {
    let mut served = String::new();
    for pod in world.release.pods()? {
        let path =
            format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy/metrics", release::NAMESPACE);
        served += &world.kubectl.run(&["get", "--raw", &path])?;
    }
    let files = workspace::root().join("charts/chronik-operator/files");
    for file in ["dashboard.json", "rules.yaml"] {
        let text = std::fs::read_to_string(files.join(file))?;
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for metric in words.filter(|word| word.starts_with("chronik_operator_")) {
            // What counts errors is there once there was one.
            let is_there = served.contains(metric) || metric.contains("error");
            ensure(is_there, format!("{file} asks for {metric}, which the operator has not"))?;
        }
    }
    Ok(())
}

fn client_in_a_pod(world: &mut World) -> Result<()> {
    let (name, kubectl) = ("client", &world.kubectl);
    kubectl.run(&["delete", "pod", name, "--ignore-not-found"])?;
    let bootstrap = format!("{}-bootstrap.{NAMESPACE}.svc:9092", world.cluster.name());
    let topic = format!("pod-{}", std::process::id());
    kubectl.apply(&client_pod(name, &world.client_image, &[&bootstrap, &topic]))?;
    wait::until_every(PACE, "the client's end", STALL, || {
        let pod = kubectl.get(&["pod", name])?;
        match text(&pod, "/status/phase") {
            "Succeeded" => Ok(Look::Done(())),
            "Failed" => bail!("{}", kubectl.run(&["logs", name])?),
            phase => wait::at(phase),
        }
    })
}

/// A pod as the restricted Pod Security Standard wants it.
fn client_pod(name: &str, image: &str, arguments: &[&str]) -> String {
    let arguments = [&["client"], arguments].concat();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": name,
                "image": image,
                "args": arguments,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    });
    pod.to_string()
}

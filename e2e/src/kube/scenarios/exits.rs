//! An operator that ends after every n-th thing that it does, as if it had been killed between it and the
//! next: whatever it leaves half-done, the next life goes on from there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Scenario;
use super::roll::roll_to;
use crate::kube::cluster::PACE;
use crate::kube::kubectl::{Kubectl, text};
use crate::kube::world::World;
use crate::workload::Workload;

pub(super) const EXITS: Scenario = Scenario {
    name: "operator-exits",
    what: "the operator ends after every n-th thing that it does, throughout 3 -> 4 -> 3 \
           and another image",
    needs: &["exec"],
    is_short: false,
    run: exits,
};

/// Every n in turn: with n = 1 it never does two things in one life.
const EXIT_AFTER: [u32; 3] = [1, 2, 3];

fn exits(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let next = world.next_broker_image.clone();
    for n in EXIT_AFTER {
        world.release.set("env[0].name", "CHRONIK_EXIT_AFTER");
        world.release.set("env[0].value", &n.to_string());
        world.release.apply()?;
        for (name, to) in [("3 -> 4", 4), ("4 -> 3", 3)] {
            step(world, &load, &format!("{name}, the operator ends after {n}"), |world| {
                world.cluster.scale(to)?;
                world.cluster.wait_converged(to)
            })?;
        }
        let image = if n % 2 == 1 { Value::from(&*next) } else { Value::Null };
        step(world, &load, &format!("another image, the operator ends after {n}"), |world| {
            roll_to(world, &json!({"spec": {"image": image}}))
        })?;
    }
    world.release.unset("env[0].name");
    world.release.unset("env[0].value");
    world.release.apply()?;
    roll_to(world, &json!({"spec": {"image": Value::Null}}))?;
    world.judge(load).map(drop)
}

/// A step that sees to it that there is an operator meanwhile, and says how often one has ended.
fn step(
    world: &mut World,
    load: &Workload,
    name: &str,
    change: impl FnOnce(&World) -> Result<()>,
) -> Result<()> {
    let ends = world.step(name, Some(load), |world| {
        let (kubectl, is_over) = (&world.release.kubectl, AtomicBool::new(false));
        thread::scope(|scope| {
            let lives = scope.spawn(|| keep_alive(kubectl, &is_over));
            let changed = change(world);
            is_over.store(true, Ordering::Relaxed);
            let Ok(ends) = lives.join() else {
                bail!("whoever looks after the operator has panicked")
            };
            let ends = ends?;
            changed.map(|()| ends)
        })
    })?;
    if let Some(step) = world.steps.last_mut() {
        step.name = format!("{name}: {ends} ends");
    }
    Ok(())
}

/// Kubernetes starts a container that ended again at once, but only the first time; then ever later. So a
/// pod whose container has ended twice is deleted, and its Lease with it, which nobody else may take before
/// it has run out: the next life begins at once.
fn keep_alive(kubectl: &Kubectl, is_over: &AtomicBool) -> Result<u64> {
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        for pod in kubectl.list(&["pods", "-l", OPERATOR_PODS])? {
            let (uid, now) = (text(&pod, "/metadata/uid"), ends_of(&pod));
            let before = ends.insert(uid.to_owned(), now).unwrap_or_default();
            if now >= 2 && before < 2 {
                let name = text(&pod, "/metadata/name");
                kubectl.run(&["delete", "pod", name, "--wait=false", "--ignore-not-found"])?;
                kubectl.run(&["delete", "lease", "chronik-operator", "--ignore-not-found"])?;
            }
        }
        thread::sleep(PACE);
    }
    Ok(ends.values().sum())
}

const OPERATOR_PODS: &str = "app.kubernetes.io/name=chronik-operator";

/// How often a pod's container has ended.
fn ends_of(pod: &Value) -> u64 {
    let Some(status) = pod.pointer("/status/containerStatuses/0") else { return 0 };
    let restarts = status.pointer("/restartCount").and_then(Value::as_u64).unwrap_or_default();
    // One that waits to be started again has ended once more than it was started again.
    restarts + u64::from(status.pointer("/state/running").is_none() && has_ended(status))
}

fn has_ended(status: &Value) -> bool {
    status.pointer("/state/terminated").is_some()
        || status.pointer("/lastState/terminated").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_ends_of_a_container_are_counted_whether_it_runs_again_or_not() {
        let ended = json!({"terminated": {"exitCode": 137}});
        let waits = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let runs = json!({"running": {}});
        let of = |restarts: u32, state: &Value, last: &Value| {
            ends_of(&json!({"status": {"containerStatuses": [
                {"restartCount": restarts, "state": state, "lastState": last}
            ]}}))
        };
        let none = json!({});
        assert_eq!(of(0, &runs, &none), 0);
        assert_eq!(of(0, &json!({"waiting": {"reason": "ContainerCreating"}}), &none), 0);
        assert_eq!(of(0, &ended, &none), 1);
        assert_eq!(of(1, &runs, &ended), 1);
        assert_eq!(of(1, &ended, &ended), 2);
        assert_eq!(of(1, &waits, &ended), 2);
        assert_eq!(ends_of(&json!({})), 0);
    }
}

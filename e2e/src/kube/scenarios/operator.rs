//! The operator itself: gone, without an API server, and with nothing to do.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{PACE, STALL};
use crate::kube::kubectl::text;
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const REPLACED: Scenario = Scenario {
    name: "operator-replaced",
    what: "the operator's pod deleted in the middle of 3 -> 5 -> 3",
    needs: &["exec"],
    is_short: false,
    run: replaced,
};

pub(super) const TWO: Scenario = Scenario {
    name: "two-operators",
    what: "two operators, both active, throughout 3 -> 5 -> 3 and a roll",
    needs: &["exec"],
    is_short: false,
    run: two,
};

pub(super) const WIPED_STATUS: Scenario = Scenario {
    name: "status-wiped",
    what: "status emptied again and again throughout 3 -> 4 -> 3",
    needs: &["exec"],
    is_short: false,
    run: wiped_status,
};

pub(super) const UPGRADED: Scenario = Scenario {
    name: "operator-upgraded",
    what: "a chart with another default image: no broker restarts for it",
    needs: &["exec"],
    is_short: false,
    run: upgraded,
};

pub(super) const NO_API: Scenario = Scenario {
    name: "no-api",
    what: "the API server stopped for half a minute of records",
    needs: &["exec", "stop-api", "start-api"],
    is_short: false,
    run: no_api,
};

pub(super) const QUIET: Scenario = Scenario {
    name: "quiet",
    what: "a converged cluster under load causes no write of the operator's but its Lease",
    needs: &["exec", "audit"],
    is_short: false,
    run: quiet,
};

fn replaced(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    for (name, to) in [("3 -> 5", 5), ("5 -> 3", 3)] {
        world.step(&format!("{name}, the operator's pod deleted"), Some(&load), |world| {
            world.cluster.scale(to)?;
            load.wait_for_more(RATE as usize, STALL)?;
            for pod in world.release.pods()? {
                world.release.kubectl.run(&["delete", "pod", &pod, "--wait=false"])?;
            }
            world.cluster.wait_converged(to)
        })?;
    }
    world.judge(load).map(drop)
}

/// The second has a Lease of its own, so that neither knows of the other.
fn two(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let second = world.release.second();
    world.step("a second operator", Some(&load), |world| {
        second.apply()?;
        world.cluster.wait_converged(3)
    })?;
    for (name, to) in [("3 -> 5", 5), ("5 -> 3", 3)] {
        world.step(&format!("{name}, with two operators"), Some(&load), |world| {
            world.cluster.scale(to)?;
            world.cluster.wait_converged(to)
        })?;
    }
    super::roll::change_a_setting(world, &load, "a changed setting, with two operators")?;
    world.step("the second operator removed", Some(&load), |world| {
        second.uninstall()?;
        world.cluster.wait_converged(3)
    })?;
    world.judge(load).map(drop)
}

fn wiped_status(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    for (name, to) in [("3 -> 4", 4), ("4 -> 3", 3)] {
        world.step(&format!("{name}, status emptied all the time"), Some(&load), |world| {
            world.cluster.scale(to)?;
            for _ in 0..WIPES {
                wipe_status(world)?;
                load.wait_for_more(RATE as usize, STALL)?;
            }
            world.cluster.wait_converged(to)
        })?;
    }
    world.judge(load).map(drop)
}

/// How often, a second of records apart.
const WIPES: usize = 20;

fn wipe_status(world: &World) -> Result<()> {
    let name = world.cluster.name();
    let patch = r#"[{"op": "remove", "path": "/status"}]"#;
    let arguments =
        ["patch", "chronikcluster", name, "--subresource=status", "--type=json", "-p", patch];
    match world.kubectl.run(&arguments) {
        Ok(_) => Ok(()),
        // There was none.
        Err(error) if error.to_string().contains("remove") => Ok(()),
        Err(error) => Err(error),
    }
}

fn upgraded(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.pods()?;
    let tag = world.release.set("brokerImage.tag", "another");
    world.step("the chart with another image for brokers", Some(&load), |world| {
        world.release.apply()?;
        load.wait_for_more(RATE as usize * 30, STALL)?;
        world.cluster.wait_converged(3)
    })?;
    let after = world.cluster.pods()?;
    if let Some(tag) = tag {
        world.release.set("brokerImage.tag", &tag);
    }
    world.release.apply()?;
    world.cluster.wait_converged(3)?;
    ensure(after == before, format!("brokers changed with the operator: {before:?} {after:?}"))?;
    ensure(world.cluster.pods()? == before, "brokers changed with the operator's way back")?;
    world.judge(load).map(drop)
}

fn no_api(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.pods()?;
    world.step("no API server", Some(&load), |world| {
        world.provider.run("stop-api", &[])?;
        load.wait_for_more(RATE as usize * 30, STALL)
    })?;
    world.step("the API server is back", Some(&load), |world| {
        world.provider.run("start-api", &[])?;
        world.cluster.wait_converged(3)
    })?;
    let after = world.cluster.pods()?;
    ensure(after == before, format!("brokers changed meanwhile: {before:?} {after:?}"))?;
    world.judge(load).map(drop)
}

fn quiet(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    world.cluster.wait_converged(3)?;
    wait_told(world)?;
    let path = world.provider.run("audit", &[])?.trim().to_owned();
    let begin = std::fs::read_to_string(&path).context("the audit log")?.len();
    let minutes = if world.is_strict { 5 } else { 1 };
    world.step(&format!("{minutes} minutes of records"), Some(&load), |_| {
        load.wait_for_more(RATE as usize * 60 * minutes, STALL)
    })?;
    world.provider.run("audit", &[])?;
    let all = std::fs::read_to_string(&path)?;
    let writes = writes(all.get(begin..).context("the audit log was rotated")?);
    world.judge(load)?;
    ensure(writes.is_empty(), format!("the operator wrote: {writes:?}"))
}

/// Waits until status tells of the load's topic, and of who leads it: that is one write, and no more of them
/// are to come.
fn wait_told(world: &World) -> Result<()> {
    wait::until_every(PACE, "the new topic in status", STALL, || {
        let object = world.cluster.object()?;
        let brokers = object.pointer("/status/brokers").and_then(Value::as_array);
        let number = |broker: &Value, key: &str| broker.get(key).and_then(Value::as_u64);
        let line = |broker: &Value| {
            let (groups, leaders) = (number(broker, "groups")?, number(broker, "leaders")?);
            Some((number(broker, "id")?, groups, leaders))
        };
        let told: Vec<_> = brokers.into_iter().flatten().filter_map(line).collect();
        let nodes = world.cluster.describe()?;
        let mut seen = nodes.iter().map(|n| (n.broker.into(), n.replicas.into(), n.leaders.into()));
        let is_told = nodes.len() == 3 && seen.all(|line| told.contains(&line));
        if is_told { Ok(Look::Done(())) } else { wait::at((told, nodes.len())) }
    })
}

/// What the operator wrote besides its Lease, by verb and resource, out of the API server's log.
fn writes(log: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for line in log.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let user = text(&event, "/user/username");
        let resource = text(&event, "/objectRef/resource");
        if user.starts_with("system:serviceaccount:chronik-system:") && resource != "leases" {
            let name = text(&event, "/objectRef/name");
            *found.entry(format!("{} {resource} {name}", text(&event, "/verb"))).or_default() += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_own_writes_count_and_not_its_lease() {
        let line = |user: &str, resource: &str| {
            format!(
                r#"{{"verb":"patch","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}","name":"x"}}}}"#
            )
        };
        let operator = "system:serviceaccount:chronik-system:chronik-chronik-operator";
        let log = [
            line(operator, "leases"),
            line("system:node:node1", "pods"),
            line(operator, "statefulsets"),
            line(operator, "statefulsets"),
            "{ torn".to_owned(),
        ];
        let expected = BTreeMap::from([("patch statefulsets x".to_owned(), 2)]);
        assert_eq!(writes(&log.join("\n")), expected);
    }
}

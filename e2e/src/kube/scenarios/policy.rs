//! The `NetworkPolicy` of a cluster: the API server takes it, nobody is restarted or cut off for it, and it
//! goes with its field. Whether the network heeds it is written down, not judged: not every one does.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Scenario, ensure};
use crate::kube::client::RATE;
use crate::kube::cluster::{PACE, STALL, condition, summary};
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const POLICY: Scenario = Scenario {
    name: "network-policy",
    what: "a NetworkPolicy asked for under load, and taken back",
    needs: &["exec"],
    is_short: false,
    run: policy,
};

fn policy(world: &mut World) -> Result<()> {
    let load = world.load(3)?;
    let before = world.cluster.pods()?;
    let door = before.first().and_then(|pod| pod.peer_address()).context("a broker's address")?;
    let door: SocketAddr = door.parse()?;
    ensure(opens(&door), format!("{door} is not reached without a policy"))?;
    // The load comes from outside of pods, so the Kafka port stays everybody's.
    let wanted = json!({"enabled": true, "monitoringFrom": [{"podSelector": {}}]});
    world.step("a NetworkPolicy asked for", Some(&load), |world| {
        world.cluster.patch(&json!({"spec": {"networkPolicy": wanted}}))?;
        wait_for(world, true)?;
        load.wait_for_more(RATE as usize * 10, STALL)
    })?;
    let heeded = match opens(&door) {
        true => "this network heeds no policies",
        false => "this network heeds it",
    };
    let taken_back = format!("taken back ({heeded}: the port for peers, from outside)");
    world.step(&taken_back, Some(&load), |world| {
        world.cluster.patch(&json!({"spec": {"networkPolicy": Value::Null}}))?;
        wait_for(world, false)?;
        world.cluster.wait_converged(3)
    })?;
    ensure(world.cluster.pods()? == before, "a policy restarts nobody")?;
    world.judge(load).map(drop)
}

fn opens(door: &SocketAddr) -> bool {
    TcpStream::connect_timeout(door, Duration::from_secs(3)).is_ok()
}

/// Waits until the policy is there as it was asked for, or is not there, and the operator rests. Brokers
/// are not asked: only the operator may reach their port for that.
fn wait_for(world: &World, is_wanted: bool) -> Result<()> {
    let name = world.cluster.name();
    wait::until_every(PACE, "the NetworkPolicy", STALL, || {
        let object = world.cluster.object()?;
        let policy = world.kubectl.find("networkpolicy", name)?;
        let is_so = match &policy {
            Some(policy) => {
                is_wanted && ports(policy, name) == ["peer: 2", "kafka: all", "http: 1"]
            }
            None => !is_wanted,
        };
        if is_so && condition(&object, "Quiesced") == Some("True") {
            return Ok(Look::Done(()));
        }
        wait::at((policy.map(|policy| ports(&policy, name)), summary(&object)))
    })
}

/// The ports of the brokers that a policy opens, each with to how many peers.
fn ports(policy: &Value, cluster: &str) -> Vec<String> {
    let selected = policy.pointer("/spec/podSelector/matchLabels/chronik.io~1cluster");
    if selected.and_then(Value::as_str) != Some(cluster) {
        return Vec::new();
    }
    let rules = policy.pointer("/spec/ingress").and_then(Value::as_array);
    let rule = |rule: &Value| {
        let port = rule.pointer("/ports/0/port").and_then(Value::as_str).unwrap_or("?").to_owned();
        match rule.pointer("/from").and_then(Value::as_array) {
            Some(peers) => format!("{port}: {}", peers.len()),
            None => format!("{port}: all"),
        }
    };
    rules.into_iter().flatten().map(rule).collect()
}

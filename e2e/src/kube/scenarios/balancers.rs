//! Clients outside by load balancers. The test is the cloud: it gives the Services of type LoadBalancer
//! their addresses, takes one back for another, and leads them to a node, as a cloud's own controller does.

use anyhow::Result;
use serde_json::{Value, json};

use super::listeners::{
    addresses, bootstrap, brokers_of, check_told, services, set, shrink_and_remove, wait_for,
};
use super::racks::TOLD_WITHIN;
use super::{Scenario, ensure};
use crate::kube::client;
use crate::kube::cluster::{PACE, STALL, summary};
use crate::kube::kubectl::text;
use crate::kube::world::World;
use crate::wait::{self, Look};

pub(super) const BALANCED: Scenario = Scenario {
    name: "load-balancers",
    what: "a listener by load balancers, which get their addresses late, one of them another one; 3 -> 4 -> 3",
    needs: &["exec", "nodes", "route"],
    is_short: false,
    run: balanced,
};

/// Where clients start; brokers are at this number and their id. No machine has such addresses (RFC 5737).
const NET: &str = "203.0.113";
const START: u32 = 100;
/// What broker 1 gets later.
const OTHER: u32 = 201;

fn balanced(world: &mut World) -> Result<()> {
    let inside = world.load(3)?;
    world.step("load balancers asked for", Some(&inside), |world| {
        set(world, &json!({"type": "loadBalancer"}))?;
        wait_without(world, &["broker 1", "broker 2", "broker 3", "demo-bootstrap-external"])
    })?;
    world.step("their addresses come", Some(&inside), |world| {
        give(world, "bootstrap", START)?;
        (1..=3).try_for_each(|id| give(world, &id.to_string(), START + id))?;
        wait_for(world, 3, true)
    })?;
    let start = bootstrap(world)?;
    ensure(
        start.starts_with(&format!("{}:", address(START))),
        format!("clients start at {start}"),
    )?;
    check_told(world, &start)?;
    let before = world.cluster.pods()?;
    let topic = format!("balanced-{}", std::process::id());
    let load = client::start(&start, &topic, 3)?;
    world.step("the one of broker 1 gets another address", Some(&load), |world| {
        give(world, "1", OTHER)?;
        wait_told(world, 1, OTHER)?;
        check_told(world, &start)
    })?;
    let took = world.steps.last().map(|step| step.took).unwrap_or_default();
    ensure(!world.is_strict || took <= TOLD_WITHIN, format!("told only after {took:?}"))?;
    ensure(world.cluster.pods()? == before, "another address restarts nobody")?;
    world.step("3 -> 4, without an address for broker 4 yet", Some(&load), |world| {
        world.cluster.scale(4)?;
        wait_without(world, &["broker 4"])?;
        world.cluster.wait_converged(4)?;
        let told: Vec<u64> = brokers_of(&start)?.into_iter().map(|(id, _)| id).collect();
        ensure(told == [1, 2, 3], format!("without an address, and clients are told {told:?}"))
    })?;
    world.step("broker 4 gets it", Some(&load), |world| {
        give(world, "4", START + 4)?;
        wait_for(world, 4, true)?;
        check_told(world, &start)
    })?;
    shrink_and_remove(world, load, &inside)?;
    for number in (START..=START + 4).chain([OTHER]) {
        world.provider.run("unroute", &[&address(number)])?;
    }
    world.judge(inside).map(drop)
}

fn address(number: u32) -> String {
    format!("{NET}.{number}")
}

/// What a cloud does once the load balancer of a Service is there.
fn give(world: &World, of: &str, number: u32) -> Result<()> {
    let (name, address) = (format!("{}-{of}-external", world.cluster.name()), address(number));
    let nodes = world.provider.run("nodes", &[])?;
    let nodes: Vec<&str> = nodes.split_whitespace().collect();
    // Any node leads to any broker, and here they share the work.
    if let Some(node) = nodes.get(number as usize % nodes.len().max(1)) {
        world.provider.run("route", &[&address, node])?;
    }
    let patch = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}).to_string();
    let arguments =
        ["patch", "service", &name, "--subresource=status", "--type=merge", "-p", &patch];
    world.kubectl.run(&arguments).map(drop)
}

/// Waits until all brokers were made with the listener, and status waits for the load balancers of these,
/// and of no other.
fn wait_without(world: &World, these: &[&str]) -> Result<()> {
    wait::until_every(PACE, "load balancers that are waited for", STALL, || {
        let object = world.cluster.object()?;
        let waiting = object.pointer("/status/waiting").and_then(Value::as_array);
        let waiting = waiting.into_iter().flatten().filter_map(Value::as_str);
        let waiting: Vec<&str> = waiting.filter(|text| text.contains("load balancer")).collect();
        let named = these.iter().all(|this| waiting.iter().any(|text| text.contains(this)));
        let listens = world.cluster.pods()?.iter().all(|pod| pod.port("external").is_some());
        let kinds = kinds(world)?;
        let balanced = kinds.iter().all(|kind| kind == "LoadBalancer");
        if named && waiting.len() == these.len() && listens && balanced {
            return Ok(Look::Done(()));
        }
        wait::at((services(world)?, kinds, summary(&object)))
    })
}

/// The types of the Services for clients outside.
fn kinds(world: &World) -> Result<Vec<String>> {
    let kind = |name: &String| {
        let service = world.kubectl.get(&["service", name])?;
        Ok(text(&service, "/spec/type").to_owned())
    };
    services(world)?.iter().map(kind).collect()
}

/// Waits until status says that clients outside find this broker there.
fn wait_told(world: &World, broker: u64, number: u32) -> Result<()> {
    let expected = format!("{}:", address(number));
    wait::until_every(PACE, "the other address", STALL, || {
        let says = addresses(&world.cluster.object()?);
        let is_there = says.iter().any(|(id, at)| *id == broker && at.starts_with(&expected));
        if is_there { Ok(Look::Done(())) } else { wait::at(says) }
    })
}

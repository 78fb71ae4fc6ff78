//! Clients outside: a NodePort listener that comes, is used from outside of pods without any of their
//! names, follows the number of brokers, and goes.

use anyhow::{Context, Result};
use kafka_protocol::messages::{ApiKey, DescribeClusterRequest, DescribeClusterResponse};
use serde_json::{Value, json};

use super::{Scenario, ensure};
use crate::kube::client;
use crate::kube::cluster::{PACE, STALL, summary};
use crate::kube::kubectl::text;
use crate::kube::world::World;
use crate::raw::Connection;
use crate::wait::{self, Look};
use crate::workload::Workload;

pub(super) const OUTSIDE: Scenario = Scenario {
    name: "listeners",
    what: "a NodePort listener added under load, used by addresses of nodes alone, 3 -> 4 -> 3, removed",
    needs: &["exec"],
    is_short: false,
    run: outside,
};

fn outside(world: &mut World) -> Result<()> {
    let inside = world.load(3)?;
    world.step("a listener for clients outside", Some(&inside), |world| {
        set(world, &json!({"type": "nodePort"}))?;
        wait_for(world, 3, true)
    })?;
    let bootstrap = bootstrap(world)?;
    check_told(world, &bootstrap)?;
    let topic = format!("outside-{}", std::process::id());
    let load = client::start(&bootstrap, &topic, 3)?;
    world.step("3 -> 4 under a client outside", Some(&load), |world| {
        world.cluster.scale(4)?;
        wait_for(world, 4, true)
    })?;
    check_told(world, &bootstrap)?;
    shrink_and_remove(world, load, &inside)?;
    world.judge(inside).map(drop)
}

/// 4 -> 3 under the load from outside, and then no listener for clients outside any more.
pub(super) fn shrink_and_remove(
    world: &mut World,
    outside: Workload,
    inside: &Workload,
) -> Result<()> {
    world.step("4 -> 3 under a client outside", Some(&outside), |world| {
        world.cluster.scale(3)?;
        wait_for(world, 3, true)
    })?;
    world.judge(outside)?;
    world.step("the listener removed", Some(inside), |world| {
        set(world, &Value::Null)?;
        wait_for(world, 3, false)
    })?;
    let pods = world.cluster.pods()?;
    let left: Vec<&str> =
        pods.iter().filter(|pod| pod.port("external").is_some()).map(|p| p.name.as_str()).collect();
    ensure(left.is_empty(), format!("{left:?} still listen for clients outside"))
}

pub(super) fn set(world: &World, listener: &Value) -> Result<()> {
    world.cluster.patch(&json!({"spec": {"listeners": {"external": listener}}}))
}

/// Waits until `brokers` are at rest, and each has a Service and an address outside, or none has.
pub(super) fn wait_for(world: &World, brokers: u32, listens: bool) -> Result<()> {
    let name = world.cluster.name();
    let mut expected: Vec<String> = Vec::new();
    if listens {
        expected.extend((1..=brokers).map(|id| format!("{name}-{id}-external")));
        expected.push(format!("{name}-bootstrap-external"));
    }
    wait::until_every(PACE, "Services and addresses for clients outside", STALL, || {
        let object = world.cluster.object()?;
        let (services, addresses) = (services(world)?, addresses(&object));
        let told = addresses.iter().filter(|(_, at)| !at.is_empty()).count();
        let listens_all =
            world.cluster.pods()?.iter().all(|p| p.port("external").is_some() == listens);
        let all_told = told == if listens { brokers as usize } else { 0 };
        if services == expected && all_told && listens_all {
            return Ok(Look::Done(()));
        }
        wait::at((services, addresses, summary(&object)))
    })?;
    world.cluster.wait_converged(brokers)
}

/// The names of the Services for clients outside.
pub(super) fn services(world: &World) -> Result<Vec<String>> {
    let label = format!("chronik.io/cluster={},chronik.io/listener=external", world.cluster.name());
    let services = world.kubectl.list(&["services", "-l", &label])?;
    let mut names: Vec<String> =
        services.iter().map(|service| text(service, "/metadata/name").to_owned()).collect();
    names.sort();
    Ok(names)
}

/// What status says of where clients outside find each broker.
pub(super) fn addresses(object: &Value) -> Vec<(u64, String)> {
    let brokers = object.pointer("/status/brokers").and_then(Value::as_array);
    let address = |broker: &Value| {
        Some((broker.get("id")?.as_u64()?, text(broker, "/externalAddress").to_owned()))
    };
    brokers.into_iter().flatten().filter_map(address).collect()
}

/// Where status says that clients outside start.
pub(super) fn bootstrap(world: &World) -> Result<String> {
    let object = world.cluster.object()?;
    let listeners = object.pointer("/status/listeners").and_then(Value::as_array);
    let mut listeners = listeners.into_iter().flatten();
    let external = listeners.find(|listener| text(listener, "/name") == "external");
    let bootstrap = text(external.context("status.listeners has no external")?, "/bootstrap");
    ensure(bootstrap.contains(':'), format!("status says that clients start at {bootstrap:?}"))?;
    Ok(bootstrap.to_owned())
}

/// A client outside is told what status says, and that is no name of a pod; one inside is told those.
pub(super) fn check_told(world: &World, bootstrap: &str) -> Result<()> {
    let told = wait::until_every(PACE, "what clients outside are told", STALL, || {
        let mut says = addresses(&world.cluster.object()?);
        // A broker that was removed and has left its volume is listed too.
        says.retain(|(_, at)| !at.is_empty());
        says.sort();
        // The Service where clients start, and each broker's own: each broker has to know by itself.
        let starts = bootstrap.split(',').map(str::to_owned);
        let doors: Vec<String> = starts.chain(says.iter().map(|(_, at)| at.clone())).collect();
        for door in doors {
            let told = brokers_of(&door)?;
            if told != says {
                return wait::at((door, told, says));
            }
        }
        Ok(Look::Done(says))
    })?;
    let nodes = |at: &String| {
        at.split(':').next().is_some_and(|host| host.parse::<std::net::Ipv4Addr>().is_ok())
    };
    ensure(
        told.iter().all(|(_, at)| nodes(at)),
        format!("these are no addresses of nodes: {told:?}"),
    )?;
    let pod = world.cluster.pod(1)?;
    let inside = brokers_of(&format!("{}:{}", pod.ip, pod.port("kafka").context("a Kafka port")?))?;
    let names = inside.iter().all(|(_, at)| at.contains(".svc."));
    ensure(names, format!("clients inside are told {inside:?}"))
}

/// The brokers as one of them tells whoever comes this way.
pub(super) fn brokers_of(address: &str) -> Result<Vec<(u64, String)>> {
    let request = DescribeClusterRequest::default();
    let answer: DescribeClusterResponse =
        Connection::open(address)?.call(ApiKey::DescribeCluster, 1, &request)?;
    let mut brokers = Vec::new();
    for broker in &answer.brokers {
        let address = format!("{}:{}", broker.host, broker.port);
        brokers.push((u64::try_from(broker.broker_id.0)?, address));
    }
    brokers.sort();
    Ok(brokers)
}

//! A rack that the operator sets: every broker tells clients of it at once, also after a restart.

use std::collections::BTreeMap;

use chronik_core::admin::{AdminError, AdminRequest};
use chronik_core::ids::{BrokerId, Uuid};
use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages as m;

use crate::cluster::Cluster;
use crate::kafka::Client;
use crate::membership::three;

const THIRD: BrokerId = BrokerId(3);

fn order(cluster: &mut Cluster, rack: Option<&str>) -> Result<(), AdminError> {
    let directory = Uuid::from_u128(103);
    let rack = rack.map(str::to_owned);
    let request = AdminRequest::SetRack { broker: THIRD, directory, rack };
    let to = cluster.controller();
    let answer = cluster.order(to, request).map(drop);
    cluster.run(1_000);
    answer
}

/// What each broker's Metadata says of racks.
fn check(mut cluster: Cluster, expected: &[(i32, Option<&str>)]) -> Cluster {
    for id in 1..=3 {
        let mut client = Client::of(cluster, BrokerId(id));
        let request = m::MetadataRequest::default().with_topics(Some(Vec::new()));
        let answer: m::MetadataResponse = client.ask(ApiKey::Metadata, 12, &request);
        let racks: BTreeMap<i32, Option<String>> = answer
            .brokers
            .iter()
            .map(|broker| (broker.node_id.0, broker.rack.as_ref().map(ToString::to_string)))
            .collect();
        let wanted = expected.iter().map(|(id, rack)| (*id, rack.map(str::to_owned))).collect();
        assert_eq!(racks, wanted, "as broker {id} has it");
        cluster = client.cluster;
    }
    cluster
}

#[test]
fn every_broker_knows_it_and_keeps_it() {
    let mut cluster = three();
    order(&mut cluster, Some("zone-b")).unwrap();
    let with = [(1, None), (2, None), (3, Some("zone-b"))];
    let mut cluster = check(cluster, &with);
    let disk = cluster.kill(THIRD);
    cluster.start(THIRD, disk);
    cluster.run(5_000);
    let mut cluster = check(cluster, &with);
    let leader = cluster.controller();
    let brokers = cluster.describe(leader).meta.unwrap().brokers;
    let told: Vec<Option<&str>> = brokers.iter().map(|b| b.told_rack.as_deref()).collect();
    assert_eq!(told, [None, None, Some("zone-b")]);
    order(&mut cluster, None).unwrap();
    check(cluster, &[(1, None), (2, None), (3, None)]);
}

#[test]
fn a_name_that_is_none_is_refused() {
    let mut cluster = three();
    let refused = order(&mut cluster, Some("")).unwrap_err();
    let why = "a rack's name has 1 to 255 bytes, not 0";
    assert_eq!(refused, AdminError::Invalid(why.into()));
    assert!(order(&mut cluster, Some(&"x".repeat(256))).is_err());
}

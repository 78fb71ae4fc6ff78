//! The Services of the listener for clients outside: how they are rendered, and that they come and go
//! with their field and their brokers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chronik_operator::platform::Tended;
use chronik_operator::platform::kube::external::{services, tend};
use chronik_operator::platform::kube::objects::Objects;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::api_server::{Api, serve};
use crate::kube::{inputs, yaml};

const PORTS: &str = "spec: {listeners: {external: {type: nodePort}}}";
const PINNED: &str = "
spec:
  listeners:
    external:
      type: nodePort
      port: 9100
      bootstrap: {nodePort: 30000, annotations: {only: start}}
      annotations: {all: of them}
      brokers: [{id: 2, host: kafka-2.example, port: 443, nodePort: 30002, annotations: {only: two}}]
";
const BALANCED: &str = "
spec:
  listeners:
    external:
      type: loadBalancer
      loadBalancerClass: example.com/internal
      loadBalancerSourceRanges: [10.0.0.0/8]
      allocateLoadBalancerNodePorts: false
";

/// The Services of this manifest for brokers 1 to `brokers`.
fn rendered(spec: &str, brokers: u32) -> Vec<Service> {
    let inputs = inputs(spec);
    let external = inputs.external.as_ref().unwrap();
    let each = (1..=brokers).map(|id| services::broker(&inputs, external, id));
    [services::bootstrap(&inputs, external)].into_iter().chain(each).collect()
}

#[test]
fn a_service_for_each_broker_and_one_to_start_at() {
    let all = [PORTS, PINNED, BALANCED].map(|spec| rendered(spec, 2));
    let all: Vec<String> = all.iter().flatten().map(yaml).collect();
    insta::assert_snapshot!(all.join("---\n"));
}

/// What an API server holds, as a look at it would list it.
fn listed(api: &Mutex<Api>) -> BTreeMap<String, Service> {
    let kept = api.lock().unwrap().kept.clone();
    let of = |(name, object): (String, Value)| (name, serde_json::from_value(object).unwrap());
    kept.into_iter().map(of).collect()
}

/// One look after these Services: what was done, and what was refused.
async fn look(
    objects: &Objects,
    api: &Mutex<Api>,
    wanted: &[Service],
) -> (Vec<String>, Vec<String>) {
    let mut tended = Tended::default();
    tend(objects, "0f5e-uid", &listed(api), wanted, &mut tended).await.unwrap();
    (tended.done, tended.refused.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn they_come_and_go_with_their_field_and_brokers_and_are_written_only_to_change_something() {
    let api = Arc::new(Mutex::new(Api::default()));
    let objects = serve(Arc::clone(&api)).await;
    let apply = |name: &str| format!("apply Service demo-{name}-external");
    let delete = |name: &str| format!("delete Service demo-{name}-external");
    for (wanted, expected) in [
        (vec![], vec![]),
        (rendered(PORTS, 2), vec![apply("bootstrap"), apply("1"), apply("2")]),
        (rendered(PORTS, 2), vec![]),
        (rendered(PORTS, 3), vec![apply("3")]),
        (rendered(PORTS, 1), vec![delete("2"), delete("3")]),
        (rendered(BALANCED, 1), vec![apply("bootstrap"), apply("1")]),
        (vec![], vec![delete("1"), delete("bootstrap")]),
        (vec![], vec![]),
    ] {
        let (done, refused) = look(&objects, &api, &wanted).await;
        assert_eq!((done, refused), (expected, Vec::new()));
    }
    assert_eq!(api.lock().unwrap().kept, BTreeMap::new());
}

#[tokio::test]
async fn one_that_somebody_else_made_stays() {
    let api = Arc::new(Mutex::new(Api::default()));
    let theirs = json!({"metadata": {"name": "theirs", "labels": {"chronik.io/cluster": "demo"}}});
    api.lock().unwrap().kept.insert("theirs".into(), theirs);
    let objects = serve(Arc::clone(&api)).await;
    assert_eq!(look(&objects, &api, &[]).await, (Vec::new(), Vec::new()));
    assert!(api.lock().unwrap().kept.contains_key("theirs"));
}

#[tokio::test]
async fn a_node_port_that_is_taken_is_told_and_keeps_no_other_from_being_made() {
    let invalid = Some("demo-1-external".to_owned());
    let api = Arc::new(Mutex::new(Api { invalid, ..Api::default() }));
    let objects = serve(Arc::clone(&api)).await;
    let (done, refused) = look(&objects, &api, &rendered(PORTS, 2)).await;
    assert_eq!(done, ["apply Service demo-bootstrap-external", "apply Service demo-2-external"]);
    assert_eq!(refused.len(), 1);
    let expected = "spec.listeners.external demo-1-external: could not apply Service";
    assert!(refused[0].starts_with(expected), "{refused:?}");
}

//! The `NetworkPolicy`: what it allows, and that it comes and goes with its field.

use std::sync::{Arc, Mutex};

use chronik_operator::platform::Tended;
use chronik_operator::platform::kube::objects::Objects;
use chronik_operator::platform::kube::policy;
use serde_json::json;

use crate::api_server::{Api, serve};
use crate::kube::{inputs, yaml};

const OPEN: &str = "spec: {networkPolicy: {enabled: true}}";
const NARROW: &str = "
spec:
  networkPolicy:
    enabled: true
    kafkaFrom: [{namespaceSelector: {matchLabels: {team: streams}}}, {ipBlock: {cidr: 10.1.0.0/16}}]
    monitoringFrom: [{podSelector: {matchLabels: {app: prometheus}}}]
";
const OUTSIDE: &str = "
spec:
  listeners: {external: {type: nodePort}}
  networkPolicy: {enabled: true, externalFrom: [{ipBlock: {cidr: 10.2.0.0/16}}]}
";
const NONE: &str = "spec: {replicas: 3}";
const DISABLED: &str = "spec: {networkPolicy: {enabled: false}}";

#[test]
fn it_says_who_reaches_which_port() {
    let rendered = [OPEN, NARROW, OUTSIDE].map(|spec| yaml(&policy::build(&inputs(spec)).unwrap()));
    insta::assert_snapshot!(rendered.join("---\n"));
    assert_eq!(policy::build(&inputs(NONE)), None);
    assert_eq!(policy::build(&inputs(DISABLED)), None);
}

/// One look after the policy: what was done, and what was refused.
async fn tend(objects: &Objects, spec: &str) -> (Vec<String>, Vec<String>) {
    let mut tended = Tended::default();
    policy::tend(objects, &inputs(spec), &mut tended).await.unwrap();
    (tended.done, tended.refused.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn it_comes_and_goes_with_its_field_and_is_written_only_to_change_something() {
    let api = Arc::new(Mutex::new(Api::default()));
    let objects = serve(Arc::clone(&api)).await;
    for (spec, expected, there) in [
        (NONE, None, false),
        (OPEN, Some("apply NetworkPolicy demo"), true),
        (OPEN, None, true),
        (NARROW, Some("apply NetworkPolicy demo"), true),
        (OPEN, Some("apply NetworkPolicy demo"), true),
        (DISABLED, Some("delete NetworkPolicy demo"), false),
        (DISABLED, None, false),
        (NARROW, Some("apply NetworkPolicy demo"), true),
        (NONE, Some("delete NetworkPolicy demo"), false),
    ] {
        let (done, refused) = tend(&objects, spec).await;
        assert_eq!(done, Vec::from_iter(expected), "{spec}");
        assert_eq!(refused, [""; 0]);
        assert_eq!(api.lock().unwrap().kept.contains_key("demo"), there, "{spec}");
    }
    assert_eq!(api.lock().unwrap().writes, 6);
}

#[tokio::test]
async fn one_that_somebody_else_made_stays() {
    let api = Arc::new(Mutex::new(Api::default()));
    let theirs = json!({"metadata": {"name": "theirs", "labels": {"chronik.io/cluster": "demo"}}});
    api.lock().unwrap().kept.insert("theirs".into(), theirs);
    let objects = serve(Arc::clone(&api)).await;
    assert_eq!(tend(&objects, NONE).await, (Vec::new(), Vec::new()));
    assert!(api.lock().unwrap().kept.contains_key("theirs"));
}

#[tokio::test]
async fn an_operator_without_the_right_says_so_only_when_a_policy_is_wanted() {
    let api = Arc::new(Mutex::new(Api { refuse: Some(403), ..Api::default() }));
    let objects = serve(api).await;
    assert_eq!(tend(&objects, NONE).await, (Vec::new(), Vec::new()));
    let (done, refused) = tend(&objects, OPEN).await;
    assert_eq!(done, [""; 0]);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("spec.networkPolicy"), "{refused:?}");
    assert!(refused[0].contains("could not read NetworkPolicy demo"), "{refused:?}");
}

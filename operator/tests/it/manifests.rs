//! What a manifest may say, and how it is refused: field, value, reason.

use std::path::Path;

use chronik_operator::manifest::parse;
use chronik_operator::validate::validate;

fn manifest(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: chronik.io/v1alpha1\nkind: ChronikCluster\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

fn refusals(name: &str, spec: &str, before: Option<&str>) -> Vec<String> {
    let cluster = parse(&manifest(name, spec)).unwrap();
    let before = before.map(|spec| parse(&manifest(name, spec)).unwrap());
    match validate(&cluster, before.as_ref()) {
        Ok(_) => Vec::new(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_examples_are_accepted() {
    for (file, brokers) in [("three-brokers.yaml", 3), ("one-broker.yaml", 1)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
        let cluster = parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        let wanted = validate(&cluster, None).unwrap();
        assert_eq!((wanted.brokers, wanted.port), (brokers, 9092));
    }
}

#[test]
fn defaults_are_three_brokers_on_kafkas_port() {
    let wanted = validate(&parse(&manifest("a", "{}")).unwrap(), None).unwrap();
    assert_eq!((wanted.brokers, wanted.port, wanted.segment_bytes), (3, 9092, None));
}

#[test]
fn a_wrong_value_is_named_with_its_field_and_the_reason() {
    let check = |spec, expected: &str| {
        let found = refusals("a", spec, None);
        assert_eq!(found, [expected], "{spec}");
    };
    check("{replicas: 0}", "spec.replicas 0: a cluster has at least 1 broker");
    check("{replicas: -3}", "spec.replicas -3: a cluster has at least 1 broker");
    check(
        "{listeners: {kafka: {port: 80}}}",
        "spec.listeners.kafka.port 80: a port of brokers lies between 1024 and 55000",
    );
    check(
        "{storage: {segmentBytes: 10}}",
        "spec.storage.segmentBytes 10: a segment has at least 1048576 bytes",
    );
    check(
        "{replicas: 900, listeners: {kafka: {port: 58000}}}",
        "spec.listeners.kafka.port 58000: a port of brokers lies between 1024 and 55000",
    );
    assert_eq!(refusals(&"a".repeat(41), "{}", None).len(), 1);
    assert_eq!(refusals("Under_score", "{}", None).len(), 1);
}

#[test]
fn ports_are_not_moved_under_running_brokers() {
    let (old, new) = ("{listeners: {kafka: {port: 9092}}}", "{listeners: {kafka: {port: 9192}}}");
    assert_eq!(refusals("a", old, Some(old)), Vec::<String>::new());
    let found = refusals("a", new, Some(old));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("spec.listeners.kafka.port 9192: the port cannot change"));
}

#[test]
fn a_field_that_nobody_reads_is_refused_with_its_path() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    let found = error(&manifest("a", "{storage: {segmentByte: 3}}"));
    assert!(found.starts_with("spec.storage.segmentByte: no such field"), "{found}");
    let found = error(&manifest("a", "{replica: 3}"));
    assert!(found.starts_with("spec.replica: no such field"), "{found}");
    let found = error(&(manifest("a", "{}") + "sepc: {}\n"));
    assert!(found.starts_with("sepc: no such field"), "{found}");
    let found = error(&manifest("a", "{replicas: many}"));
    assert!(found.contains("replicas"), "{found}");
    let found = error("apiVersion: apps/v1\nkind: Deployment\n");
    assert!(found.contains("chronik.io/v1alpha1"), "{found}");
}

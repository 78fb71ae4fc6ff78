//! The rules that a `ChronikTopic` has to keep, as the API server evaluates them.

use std::path::Path;

use chronik_operator::api::topic::{ChronikTopic, DeletionPolicy};

fn topic(name: &str, spec: &str) -> ChronikTopic {
    let text = format!(
        "apiVersion: chronik.io/v1alpha1\nkind: ChronikTopic\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    serde_yaml::from_str(&text).unwrap()
}

fn check(spec: &str, refused: &str) {
    match topic("t", spec).validate_cel() {
        Ok(()) => assert_eq!(refused, "", "{spec} is accepted"),
        Err(errors) => {
            let told = format!("{errors:?}");
            assert!(!refused.is_empty() && told.contains(refused), "{spec}: {told}");
        }
    }
}

#[test]
fn the_example_is_accepted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/topic.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let example: ChronikTopic = serde_yaml::from_str(&text).unwrap();
    assert!(example.validate_cel().is_ok());
    assert_eq!(example.spec.deletion_policy, DeletionPolicy::Retain);
}

#[test]
fn rules_of_one_manifest() {
    check("{cluster: demo}", "");
    check("{cluster: demo, topicName: Orders_v1.2, partitions: 6, replicas: 3}", "");
    check("{cluster: demo, partitions: 0}", "1 to 10000 partitions");
    check("{cluster: demo, replicas: 0}", "1 to 1000 replicas");
    check("{cluster: demo, topicName: __consumer_offsets}", "the cluster's own");
    check("{cluster: demo, topicName: 'a b'}", "letters, digits");
    check("{cluster: demo, topicName: ..}", "letters, digits");
    let long = topic(&"n".repeat(250), "{cluster: demo}");
    assert!(format!("{:?}", long.validate_cel()).contains("at most 249"));
}

#[test]
fn rules_of_a_change() {
    let check = |old: &str, new: &str, refused: &str| {
        let told = format!("{:?}", topic("t", new).validate_cel_update(&topic("t", old)));
        assert_eq!(told.starts_with("Ok"), refused.is_empty(), "{old} -> {new}: {told}");
        assert!(told.contains(refused), "{old} -> {new}: {told}");
    };
    check("{cluster: a, partitions: 3}", "{cluster: a, partitions: 1, adopt: true}", "");
    check("{cluster: a}", "{cluster: b}", "cannot move to another cluster");
    check("{cluster: a, topicName: x}", "{cluster: a, topicName: y}", "cannot be renamed");
    check("{cluster: a}", "{cluster: a, topicName: y}", "cannot be renamed");
}

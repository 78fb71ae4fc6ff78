//! The CRDs in `crds/` are those that the code prints, and small enough for the API server.

use std::path::Path;

use chronik_operator::api::{cluster, topic};

fn check_file(kind: &str, printed: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crds/{kind}.yaml"));
    assert!(printed.len() < 200 * 1024);
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, printed,
        "crds/{kind}.yaml is out of date; \
         run: cargo run -p chronik-operator -- crd {kind} > crds/{kind}.yaml"
    );
}

#[test]
fn the_files_are_what_the_code_prints() {
    check_file("chronikclusters", &cluster::crd_yaml().unwrap());
    check_file("chroniktopics", &topic::crd_yaml().unwrap());
}

#[test]
fn a_cluster_has_what_kubectl_needs() {
    let printed = cluster::crd_yaml().unwrap();
    for needed in [
        "- ccl",
        "specReplicasPath: .spec.replicas",
        "statusReplicasPath: .status.replicas",
        "status: {}",
        "x-kubernetes-validations",
        "a cluster has at least 1 broker",
        "name: Bootstrap",
    ] {
        assert!(printed.contains(needed), "{needed} is missing");
    }
}

#[test]
fn a_topic_has_what_kubectl_needs() {
    let printed = topic::crd_yaml().unwrap();
    for needed in [
        "- ctp",
        "status: {}",
        "a topic cannot move to another cluster",
        "a topic cannot be renamed",
        "default: Retain",
        "name: Partitions",
    ] {
        assert!(printed.contains(needed), "{needed} is missing");
    }
}

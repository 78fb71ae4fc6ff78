//! The CRD in `crds/` is the one that the code prints, and small enough for the API server.

use std::path::Path;

use chronik_operator::api::cluster::crd_yaml;

#[test]
fn the_file_is_what_the_code_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/chronikclusters.yaml");
    let printed = crd_yaml().unwrap();
    assert!(printed.len() < 200 * 1024);
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, printed,
        "crds/chronikclusters.yaml is out of date; \
         run: cargo run -p chronik-operator -- crd > crds/chronikclusters.yaml"
    );
}

#[test]
fn it_has_what_kubectl_needs() {
    let printed = crd_yaml().unwrap();
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

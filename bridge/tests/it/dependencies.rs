//! `cargo tree`, checked: which prost, which raft, and that nobody else names prost 0.11.

use std::collections::BTreeSet;
use std::process::Command;

/// One line per package, without the drawing: `name vX.Y.Z ...`.
fn tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix", "none", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(arguments)
        .output()
        .expect("cargo runs, it has just built this test");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree {arguments:?} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn name_and_version(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_bridge_has_raft_0_7_0_and_prost_0_11() {
    let packages: BTreeSet<String> =
        tree(&["-p", "chronik-raft-bridge", "-e", "normal", "--depth", "1"])
            .iter()
            .map(|line| name_and_version(line))
            .collect();
    assert!(packages.contains("raft v0.7.0"), "{packages:?}");
    let prosts: Vec<_> = packages.iter().filter(|package| package.starts_with("prost ")).collect();
    assert_eq!(prosts.len(), 1, "{packages:?}");
    assert!(prosts[0].starts_with("prost v0.11."), "{packages:?}");
}

#[test]
fn only_the_bridge_and_raft_use_prost_0_11() {
    // The build script of raft-proto generates its types with the same generation of crates.
    let allowed =
        ["chronik-raft-bridge", "raft-proto", "prost-build", "prost-types", "protobuf-build"];
    let users: BTreeSet<String> =
        tree(&["--workspace", "-e", "normal,build", "--depth", "1", "-i", "prost@0.11"])
            .iter()
            .filter(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .filter(|name| name != "prost")
            .collect();
    assert!(users.contains("chronik-raft-bridge"), "{users:?}");
    assert!(users.contains("raft-proto"), "{users:?}");
    for user in &users {
        assert!(allowed.contains(&user.as_str()), "{user} uses prost 0.11; only the bridge may");
    }
}

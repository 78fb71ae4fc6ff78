//! The Helm chart: what it renders for three sets of values, that its CRDs are the repository's, and
//! that values which mean nothing are refused. What it does in a cluster is tested there (`e2e/kube`).

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]
#![allow(clippy::print_stdout, reason = "a test that cannot run says so")]

use std::path::PathBuf;
use std::process::{Command, Output};

use chronik_e2e::kube::release;
use chronik_e2e::workspace;

/// Without a cluster to ask, helm takes the word of this.
const TEMPLATE: [&str; 5] =
    ["template", "chronik", "--namespace=chronik-system", "--kube-version=1.34.0", "--skip-tests"];
const SETS: [&str; 3] = ["defaults", "namespaced", "monitored"];

fn chart() -> PathBuf {
    workspace::root().join("charts/chronik-operator")
}

fn values(set: &str) -> PathBuf {
    chart().join(format!("ci/{set}-values.yaml"))
}

/// Runs helm, unless there is none and none can be built.
fn helm(arguments: &[&str]) -> Option<Output> {
    let program = match release::helm() {
        Ok(program) => program,
        Err(error) => {
            println!("LEFT OUT: chart: {error:#}");
            return None;
        }
    };
    let mut command = Command::new(program);
    Some(command.args(arguments).arg(chart()).output().unwrap())
}

fn text(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn render(set: &str) -> Option<String> {
    let file = values(set).display().to_string();
    Some(text(&helm(&[&TEMPLATE[..], &["-f", &file]].concat())?))
}

/// The documents of a rendering, without those of a kind.
fn without(kind: &str, rendering: &str) -> String {
    let line = format!("\nkind: {kind}\n");
    let kept = rendering.split("\n---\n").filter(|document| !document.contains(&line));
    kept.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn renderings_are_what_they_were() {
    for set in SETS {
        let Some(rendering) = render(set) else { return };
        // CRDs have a test of their own, and the dashboard is a file as it is.
        let rendering = without("CustomResourceDefinition", &rendering);
        insta::assert_snapshot!(set, without("ConfigMap", &rendering));
    }
}

#[test]
fn the_crds_are_the_repositorys_and_survive_the_release() {
    let (Some(kept), Some(left_out), Some(owned)) =
        (render("defaults"), render("namespaced"), render("monitored"))
    else {
        return;
    };
    let keep = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n";
    for entry in std::fs::read_dir(workspace::root().join("crds")).unwrap() {
        let crd = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(owned.contains(&crd), "the chart's CRD is not the one in crds/");
        let crd = crd.replacen("metadata:\n", keep, 1);
        assert!(kept.contains(&crd), "the chart's CRD is not the one in crds/, with its policy");
        // Twice this is what a cluster can store, and helm keeps a copy in its Secret.
        assert!(crd.len() < 200 << 10, "a CRD has {} bytes", crd.len());
    }
    assert!(!left_out.contains("kind: CustomResourceDefinition"));
}

#[test]
fn lint_has_nothing_to_say() {
    for set in SETS {
        let file = values(set).display().to_string();
        let Some(output) =
            helm(&["lint", "--strict", "--quiet", "--kube-version=1.34.0", "-f", &file])
        else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{set}: {said}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (value, named) in [
        ("image.repositry=x", "repositry"),
        ("replicas=many", "replicas"),
        ("log.format=xml", "format"),
        ("watchNamespaces={Not_A_Name}", "watchNamespaces"),
        ("serviceAccount.create=false", "serviceAccount.name"),
    ] {
        let Some(output) = helm(&[&TEMPLATE[..], &["--set", value]].concat()) else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} is taken");
        assert!(said.contains(named), "{value}: {said}");
    }
}

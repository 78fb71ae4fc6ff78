//! The chart, installed and upgraded with helm, in a namespace that admits only what the restricted
//! Pod Security Standard allows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

use crate::kube::kubectl::Kubectl;
use crate::workspace;

/// Where the operator runs.
pub const NAMESPACE: &str = "chronik-system";
/// Where a second one runs, which is also its release's name.
const SECOND_NAMESPACE: &str = "chronik-second";
/// What is built when there is no `helm`, in the version that `e2e/devcluster/go.mod` names: it is made
/// of much the same packages as the devcluster.
const HELM: &str = "helm.sh/helm/v3/cmd/helm";

/// The installed chart.
#[derive(Debug)]
pub struct Release {
    helm: PathBuf,
    values: BTreeMap<String, String>,
    has_crds: bool,
    /// The operator's namespace.
    pub kubectl: Kubectl,
}

impl Release {
    /// Nothing is installed yet. `images` are the operator's and the brokers'.
    pub fn new(operator: &str, broker: &str) -> Result<Release> {
        let mut values = BTreeMap::new();
        for (key, image) in [("image", operator), ("brokerImage", broker)] {
            let (repository, tag) = image.rsplit_once(':').context("an image has a tag")?;
            values.insert(format!("{key}.repository"), repository.to_owned());
            values.insert(format!("{key}.tag"), tag.to_owned());
        }
        Ok(Release { helm: helm()?, values, has_crds: true, kubectl: Kubectl::new(NAMESPACE) })
    }

    /// The same chart a second time, in a namespace of its own, with a Lease of its own: its operator
    /// knows nothing of the first one and acts as well.
    #[must_use]
    pub fn second(&self) -> Release {
        let (helm, values) = (self.helm.clone(), self.values.clone());
        Release { helm, values, has_crds: false, kubectl: Kubectl::new(SECOND_NAMESPACE) }
    }

    /// Removes it and its namespace; CRDs and clusters stay.
    pub fn uninstall(&self) -> Result<()> {
        let namespace = self.kubectl.namespace();
        let mut command = Command::new(&self.helm);
        command.args(["uninstall", namespace, "--namespace", namespace, "--wait"]);
        finish(command, "uninstall")?;
        self.kubectl.run(&["delete", "namespace", namespace]).map(drop)
    }

    /// Installs the chart, or upgrades it with what [`Release::set`] has changed, and waits until
    /// the operator runs.
    pub fn apply(&self) -> Result<()> {
        let own = self.kubectl.namespace();
        self.kubectl.apply(&namespace(own))?;
        let chart = workspace::root().join("charts/chronik-operator");
        let mut command = Command::new(&self.helm);
        let name = if self.has_crds { "chronik" } else { own };
        command.args(["upgrade", "--install", name, "--namespace", own]);
        command.args(["--wait", "--timeout", "3m"]).arg(chart);
        command.arg("--set").arg(format!("crds.install={}", self.has_crds));
        for (key, value) in &self.values {
            command.arg("--set-string").arg(format!("{key}={value}"));
        }
        finish(command, "upgrade")
    }

    /// A value that the next [`Release::apply`] sets, as text; what it was, if it was set.
    pub fn set(&mut self, key: &str, value: &str) -> Option<String> {
        self.values.insert(key.to_owned(), value.to_owned())
    }

    /// Back to the chart's own.
    pub fn unset(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// The operator's pods.
    pub fn pods(&self) -> Result<Vec<String>> {
        let pods = self.kubectl.list(&["pods", "-l", "app.kubernetes.io/name=chronik-operator"])?;
        let name = |pod: &serde_json::Value| {
            pod.pointer("/metadata/name").and_then(|name| Some(name.as_str()?.to_owned()))
        };
        Ok(pods.iter().filter_map(name).collect())
    }
}

fn finish(mut command: Command, verb: &str) -> Result<()> {
    let output = command.output().context("cannot run helm")?;
    if !output.status.success() {
        bail!("helm {verb} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The `helm` of this machine, or one that Go builds: once, whoever asks at the same time.
pub fn helm() -> Result<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")));
    found.clone().map_err(|error| anyhow!(error))
}

fn find_or_build() -> Result<PathBuf> {
    let is_there = Command::new("helm").arg("version").output().is_ok_and(|o| o.status.success());
    if is_there {
        return Ok("helm".into());
    }
    let built = workspace::target().join("tools").join("helm");
    // With the flags of the devcluster's own build, whose compiled packages these then are.
    let mut command = Command::new("go");
    command.args(["build", "-ldflags", "-s -w", "-o"]).arg(&built).arg(HELM);
    command.current_dir(workspace::root().join("e2e/devcluster")).env("CGO_ENABLED", "0");
    let output = command.output().context("there is no helm, and no Go to build it with")?;
    if !output.status.success() {
        bail!("cannot build helm: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(built)
}

/// A namespace that admits no pod with more rights than it needs.
#[must_use]
pub fn namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    )
}

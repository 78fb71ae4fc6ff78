//! Kubernetes as a user handles it: `kubectl`, with its output read as JSON.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// `kubectl` in one namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    namespace: String,
}

impl Kubectl {
    /// In this namespace.
    #[must_use]
    pub fn new(namespace: &str) -> Kubectl {
        Kubectl { namespace: namespace.to_owned() }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its output, or an error with what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        finish(self.command(arguments).output().context("cannot run kubectl")?, arguments)
    }

    /// The words with which it refuses; an error if it does not.
    pub fn refused(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output().context("cannot run kubectl")?;
        if output.status.success() {
            bail!("kubectl {} was not refused", arguments.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// An object or a list of them.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let all = [&["get", "-o", "json"], arguments].concat();
        serde_json::from_str(&self.run(&all)?).context("kubectl printed no JSON")
    }

    /// The items of a list.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        match self.get(arguments)?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("kubectl get {} gave no list", arguments.join(" ")),
        }
    }

    /// An object, unless there is none.
    pub fn find(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let text = self.run(&["get", "-o", "json", "--ignore-not-found", kind, name])?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&text).context("kubectl printed no JSON")?))
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        let arguments = ["apply", "-f", "-"];
        let mut child = self.command(&arguments).stdin(Stdio::piped()).spawn()?;
        // The handle is dropped at the end of the statement: kubectl sees the end of its input.
        child.stdin.take().context("kubectl reads")?.write_all(manifest.as_bytes())?;
        finish(child.wait_with_output()?, &arguments)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.args(["--namespace", &self.namespace, "--request-timeout=20s"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn finish(output: Output, arguments: &[&str]) -> Result<String> {
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("kubectl {} failed: {}", arguments.join(" "), error.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The text at a path of an object, like `/status/phase`; empty if there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

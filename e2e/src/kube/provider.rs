//! What only the machine below a Kubernetes can do, through `e2e/provider`. Not every one can do
//! everything; a scenario names what it needs and is left out, plainly, where that is missing.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The Kubernetes of this run.
#[derive(Debug)]
pub struct Provider {
    verbs: BTreeSet<String>,
}

impl Provider {
    /// The one that the environment names (`PROVIDER`).
    pub fn open() -> Result<Provider> {
        let verbs = call("can", &[])?.split_whitespace().map(str::to_owned).collect();
        Ok(Provider { verbs })
    }

    /// Which of these it cannot do.
    #[must_use]
    pub fn lacks(&self, needs: &[&str]) -> Vec<String> {
        let missing = needs.iter().filter(|need| !self.verbs.contains(**need));
        missing.map(|need| (*need).to_owned()).collect()
    }

    /// Does it; what it printed.
    pub fn run(&self, verb: &str, arguments: &[&str]) -> Result<String> {
        call(verb, arguments)
    }
}

fn call(verb: &str, arguments: &[&str]) -> Result<String> {
    let program = workspace::root().join("e2e/provider");
    let output = Command::new(&program)
        .arg(verb)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("e2e/provider {verb} {arguments:?} failed: {}", error.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

//! Where things lie in this repository, and Chronik's binaries, freshly built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo builds; downloads of the tests lie beside it.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// How the binaries are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As `make up` and the tests do.
    Dev,
    /// As the benchmark does.
    Release,
}

/// Builds operator and broker and copies them into `dir`, so that a later build cannot pull them
/// from under a running test.
pub fn build_binaries(profile: Profile, dir: &Path) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    let sub = match profile {
        // With the features of the whole workspace's tests, which are built already.
        Profile::Dev => {
            command.args(["test", "--quiet", "--locked", "--workspace", "--no-run"]);
            "debug"
        }
        Profile::Release => {
            // With the features that `make bench` has built them with; others would build all again.
            command.args(["build", "--quiet", "--locked", "--release", "-p", "chronik-e2e"]);
            command.args(["-p", "chronik-broker", "-p", "chronik-operator", "--bins"]);
            "release"
        }
    };
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo build of the broker and the operator failed: {status}");
    }
    std::fs::create_dir_all(dir)?;
    for name in ["chronik-broker", "chronik-operator"] {
        let from = target().join(sub).join(name);
        std::fs::copy(&from, dir.join(name))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

//! Data directories on file systems of a few megabytes. They are mounted in a namespace of the
//! cluster's own, so that they are gone with its last process, however that ends.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;

/// Whether this user may mount file systems at all.
pub fn are_possible() -> bool {
    let mounted = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/tmp"])
        .output();
    mounted.is_ok_and(|output| output.status.success())
}

/// Gives each of a cluster's brokers a disk of this size. Before the operator is started.
pub fn prepare(cluster: &mut Cluster, brokers: u32, mebibytes: u32) -> Result<()> {
    for dir in data_dirs(cluster, brokers) {
        std::fs::create_dir_all(dir)?;
    }
    // Mounts what is named up to `--`, and becomes the command behind it.
    let script = "size=$1; shift; \
                  while [ \"$1\" != -- ]; do \
                      mount -t tmpfs -o \"size=${size}m\" none \"$1\" || exit 1; shift; \
                  done; shift; exec \"$@\"";
    let mut launcher: Vec<String> =
        ["unshare", "-m", "sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    launcher.push(mebibytes.to_string());
    for dir in data_dirs(cluster, brokers) {
        launcher.push(dir.to_str().context("a path in UTF-8")?.to_owned());
    }
    launcher.push("--".to_owned());
    cluster.launch_with(launcher);
    Ok(())
}

/// Makes all of them this large, while they are in use.
pub fn resize(cluster: &mut Cluster, brokers: u32, mebibytes: u32) -> Result<()> {
    let inside = cluster.operator()?.pid().to_string();
    let option = format!("remount,size={mebibytes}m");
    for dir in data_dirs(cluster, brokers) {
        let mut command = Command::new("nsenter");
        command.args(["-t", &inside, "-m", "mount", "-o", &option]).arg(&dir);
        let output = command.output().context("cannot start nsenter")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("cannot make {} larger: {said}", dir.display());
        }
    }
    Ok(())
}

fn data_dirs(cluster: &Cluster, brokers: u32) -> Vec<PathBuf> {
    (1..=brokers).map(|id| cluster.data_dir(id)).collect()
}

//! The manifest of a test's cluster, as a user would write and edit it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A manifest file whose size is edited while the operator watches it.
#[derive(Debug)]
pub struct Manifest {
    path: PathBuf,
    name: String,
    kafka_port: u16,
}

impl Manifest {
    /// Writes a manifest for `replicas` brokers whose first Kafka port is `kafka_port`.
    pub fn create(dir: &Path, name: &str, replicas: u32, kafka_port: u16) -> Result<Manifest> {
        let manifest =
            Manifest { path: dir.join(format!("{name}.yaml")), name: name.to_owned(), kafka_port };
        manifest.set_replicas(replicas)?;
        Ok(manifest)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Edits the size, in one step as an editor does: a new file renamed over the old one.
    pub fn set_replicas(&self, replicas: u32) -> Result<()> {
        self.write(&format!(
            "apiVersion: chronik.io/v1alpha1\n\
             kind: ChronikCluster\n\
             metadata:\n  name: {}\n\
             spec:\n  replicas: {replicas}\n  listeners:\n    kafka:\n      port: {}\n",
            self.name, self.kafka_port
        ))
    }

    /// Replaces the whole text.
    pub fn write(&self, text: &str) -> Result<()> {
        let new = self.path.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

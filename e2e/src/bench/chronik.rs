//! Chronik: three brokers of the release build, run by the operator as `make up` does.

use anyhow::{Context, Result};

use crate::bench::system::{Node, System};
use crate::cluster::Cluster;
use crate::workspace::{self, Profile};

/// Three brokers and their operator.
#[derive(Debug)]
pub struct Chronik {
    cluster: Cluster,
    _binaries: tempfile::TempDir,
}

impl Chronik {
    /// Builds the release binaries and writes the manifest.
    pub fn prepare() -> Result<Chronik> {
        let binaries = tempfile::TempDir::with_prefix("chronik-bench-bin-")?;
        workspace::build_binaries(Profile::Release, binaries.path())?;
        let cluster = Cluster::prepare(3, binaries.path().to_owned())?;
        Ok(Chronik { cluster, _binaries: binaries })
    }
}

impl System for Chronik {
    fn name(&self) -> &'static str {
        "Chronik"
    }

    fn start(&mut self) -> Result<()> {
        self.cluster.start_operator(None)
    }

    fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    fn nodes(&self) -> Vec<Node> {
        let brokers = self.cluster.brokers();
        let node = |id: u32, pid| Some(Node { id: i32::try_from(id).ok()?, pid });
        brokers.iter().filter_map(|broker| node(broker.id, broker.pid)).collect()
    }

    fn kill(&mut self, id: i32) -> Result<()> {
        self.cluster.kill_broker(u32::try_from(id).context("a negative broker id")?)
    }

    fn stop(&mut self) -> Result<()> {
        self.cluster.stop()
    }
}

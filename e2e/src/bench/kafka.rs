//! Apache Kafka: three combined KRaft nodes with the settings that it ships with.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::bench::system::{Node, System};
use crate::java::Jars;
use crate::process::Process;

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const NODES: u16 = 3;

/// Three combined KRaft nodes.
#[derive(Debug)]
pub struct Kafka {
    dir: TempDir,
    jars: Jars,
    port: u16,
    nodes: Vec<(i32, Process)>,
}

impl Kafka {
    /// Writes the settings and formats the storage; ports from `port` on.
    pub fn prepare(jars: Jars, port: u16) -> Result<Kafka> {
        let dir = TempDir::with_prefix("chronik-bench-kafka-")?;
        let kafka = Kafka { dir, jars, port, nodes: Vec::new() };
        for id in 1..=NODES {
            let properties = kafka.write_properties(id)?;
            let mut format = kafka.jars.command("256m", "kafka.tools.StorageTool");
            format.args(["format", "-t", CLUSTER_ID, "-c"]).arg(properties);
            let output = format.output().context("cannot run java")?;
            if !output.status.success() {
                bail!("formatting failed: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(kafka)
    }

    fn write_properties(&self, id: u16) -> Result<PathBuf> {
        let controller = |id: u16| self.port + 100 + id;
        let voters: Vec<String> =
            (1..=NODES).map(|id| format!("{id}@127.0.0.1:{}", controller(id))).collect();
        let client = self.client_port(id);
        let text = format!(
            "process.roles=broker,controller\n\
             node.id={id}\n\
             listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{client}\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.voters={}\n\
             log.dirs={}\n\
             num.partitions=6\n\
             default.replication.factor=3\n\
             offsets.topic.replication.factor=3\n\
             transaction.state.log.replication.factor=3\n\
             min.insync.replicas=2\n",
            controller(id),
            voters.join(","),
            self.dir.path().join(format!("data-{id}")).display(),
        );
        let path = self.dir.path().join(format!("server-{id}.properties"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    fn client_port(&self, id: u16) -> u16 {
        self.port + id
    }
}

impl System for Kafka {
    fn name(&self) -> &'static str {
        "Kafka"
    }

    fn start(&mut self) -> Result<()> {
        for id in 1..=NODES {
            let id_number = i32::from(id);
            if self.nodes.iter().any(|(running, _)| *running == id_number) {
                continue;
            }
            let mut command = self.jars.command("1g", "kafka.Kafka");
            command.arg(self.dir.path().join(format!("server-{id}.properties")));
            let log = self.dir.path().join(format!("server-{id}.log"));
            let process = Process::spawn(&format!("Kafka node {id}"), &mut command, &log)?;
            self.nodes.push((id_number, process));
        }
        Ok(())
    }

    fn bootstrap(&self) -> String {
        let addresses: Vec<String> =
            (1..=NODES).map(|id| format!("127.0.0.1:{}", self.client_port(id))).collect();
        addresses.join(",")
    }

    fn nodes(&self) -> Vec<Node> {
        self.nodes.iter().map(|(id, process)| Node { id: *id, pid: process.pid() }).collect()
    }

    fn kill(&mut self, id: i32) -> Result<()> {
        let at = self.nodes.iter().position(|(running, _)| *running == id);
        let at = at.with_context(|| format!("Kafka node {id} does not run"))?;
        // Dropping a process kills it.
        drop(self.nodes.remove(at));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        for (_, mut process) in self.nodes.drain(..) {
            // A node that cannot hand over any more waits for its peers; it has had its time.
            if process.stop(Duration::from_secs(20)).is_err() {
                process.kill();
            }
        }
        Ok(())
    }
}

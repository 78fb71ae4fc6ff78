//! What a scenario acts on: the installed chart, one cluster, and a load that runs throughout.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::kube::client::{self, RATE};
use crate::kube::cluster::{KubeCluster, STALL};
use crate::kube::kubectl::Kubectl;
use crate::kube::provider::Provider;
use crate::kube::release::{self, Release};
use crate::pauses::Pause;
use crate::workload::{Summary, Workload};
use crate::workspace;

/// The step in which the first cluster was made.
pub const MADE: &str = "from the manifest to Ready";
/// Where clusters of these tests live.
pub const NAMESPACE: &str = "chronik-e2e";

/// One step of a scenario, as it is reported.
#[derive(Debug, Clone)]
pub struct Step {
    /// Of which scenario.
    pub scenario: &'static str,
    /// What was done.
    pub name: String,
    /// How long it took until everything was at rest.
    pub took: Duration,
    /// The longest times without an acknowledgement in it.
    pub pause: Option<Pause>,
}

/// Everything that a scenario acts on.
#[derive(Debug)]
pub struct World {
    /// The machine below.
    pub provider: Provider,
    /// The chart.
    pub release: Release,
    /// `kubectl` where the clusters are.
    pub kubectl: Kubectl,
    /// The cluster `demo` of examples/three-brokers.yaml.
    pub cluster: KubeCluster,
    /// The image with the client that runs in a pod.
    pub client_image: String,
    /// The brokers' image under another name, as a new version would have.
    pub next_broker_image: String,
    /// Whether figures are judged too, not only that nothing is lost.
    pub is_strict: bool,
    /// What was done so far.
    pub steps: Vec<Step>,
    /// The scenario that runs.
    pub scenario: &'static str,
}

impl World {
    /// Nothing is installed yet.
    pub fn new(operator: &str, broker: &str, client: &str, is_strict: bool) -> Result<World> {
        let kubectl = Kubectl::new(NAMESPACE);
        Ok(World {
            provider: Provider::open()?,
            release: Release::new(operator, broker)?,
            cluster: KubeCluster::new(&kubectl, "demo"),
            kubectl,
            client_image: client.to_owned(),
            next_broker_image: format!("{broker}-next"),
            is_strict,
            steps: Vec::new(),
            scenario: "",
        })
    }

    /// Installs the chart and makes the cluster of `examples/three-brokers.yaml`, unless that was
    /// done.
    pub fn ensure_cluster(&mut self) -> Result<()> {
        if self.kubectl.find("namespace", NAMESPACE)?.is_some() {
            return Ok(());
        }
        self.release.apply()?;
        self.kubectl.apply(&release::namespace(NAMESPACE))?;
        self.step(MADE, None, |world| world.make_cluster())
    }

    /// Applies `examples/three-brokers.yaml` and waits until it is so.
    pub fn make_cluster(&self) -> Result<()> {
        let manifest = workspace::root().join("examples/three-brokers.yaml");
        self.kubectl.apply(&std::fs::read_to_string(manifest)?)?;
        self.cluster.wait_converged(3)
    }

    /// Does one step under load and writes down how long it took and what the producer noticed.
    pub fn step<T>(
        &mut self,
        name: &str,
        load: Option<&Workload>,
        act: impl FnOnce(&mut World) -> Result<T>,
    ) -> Result<T> {
        if let Some(load) = load {
            load.take_pause();
        }
        let start = Instant::now();
        let value = act(self).with_context(|| name.to_owned())?;
        let took = start.elapsed();
        if let Some(load) = load {
            // Whatever was done, records go on being acknowledged.
            load.wait_for_more(RATE as usize, STALL).with_context(|| format!("after {name}"))?;
        }
        let pause = load.map(Workload::take_pause);
        let (scenario, name) = (self.scenario, name.to_owned());
        self.steps.push(Step { scenario, name, took, pause });
        Ok(value)
    }

    /// A topic of its own with a producer and a checking consumer on it.
    pub fn load(&mut self, replicas: i32) -> Result<Workload> {
        let cluster = KubeCluster::new(&self.kubectl, self.cluster.name());
        self.load_on(&cluster, replicas)
    }

    /// As [`World::load`], on another cluster.
    pub fn load_on(&mut self, cluster: &KubeCluster, replicas: i32) -> Result<Workload> {
        let topic = format!("{}-{}", self.scenario, std::process::id());
        let start = Instant::now();
        let load = client::start(&cluster.bootstrap()?, &topic, replicas)?;
        let (name, pause) = ("a new topic's first records".to_owned(), load.take_pause());
        let (scenario, took) = (self.scenario, start.elapsed());
        self.steps.push(Step { scenario, name, took, pause: Some(pause) });
        Ok(load)
    }

    /// Ends the load, and fails if any promise was broken. Its topic goes, or each scenario would have
    /// more to move than the one before.
    pub fn judge(&mut self, load: Workload) -> Result<Summary> {
        let rest = load.take_pause();
        if rest.partition > Duration::from_secs(1) {
            let name = "after the last step".to_owned();
            let (scenario, took) = (self.scenario, Duration::ZERO);
            self.steps.push(Step { scenario, name, took, pause: Some(rest) });
        }
        let (bootstrap, topic) = load.place();
        let summary = load.finish(STALL)?;
        client::delete_topic(&bootstrap, &topic)?;
        let name = format!("{} records acknowledged, all there, once and in order", summary.acked);
        let pause =
            Some(Pause { whole: summary.longest_pause, partition: summary.partition_pause });
        self.steps.push(Step { scenario: self.scenario, name, took: Duration::ZERO, pause });
        Ok(summary)
    }
}

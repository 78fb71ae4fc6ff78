//! What a scenario acts on: the installed chart, one cluster, and a load that runs throughout.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;

use crate::kube::cluster::{KubeCluster, STALL};
use crate::kube::kubectl::Kubectl;
use crate::kube::provider::Provider;
use crate::kube::release::{self, Release};
use crate::wait::{self, Look};
use crate::workload::{Plan, Summary, Workload};
use crate::workspace;

/// Records a second.
pub const RATE: u32 = 500;
const PARTITIONS: i32 = 6;
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
    /// The longest time without an acknowledgement in it.
    pub pause: Option<Duration>,
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
    /// Whether figures are judged too, not only that nothing is lost.
    pub is_strict: bool,
    /// What was done so far.
    pub steps: Vec<Step>,
    /// The scenario that runs.
    pub scenario: &'static str,
}

impl World {
    /// Nothing is installed yet.
    pub fn new(operator: &str, broker: &str, is_strict: bool) -> Result<World> {
        let kubectl = Kubectl::new(NAMESPACE);
        Ok(World {
            provider: Provider::open()?,
            release: Release::new(operator, broker)?,
            cluster: KubeCluster::new(&kubectl, "demo"),
            kubectl,
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
        let manifest = workspace::root().join("examples/three-brokers.yaml");
        let manifest = std::fs::read_to_string(manifest)?;
        self.step(MADE, None, |world| {
            world.kubectl.apply(&manifest)?;
            world.cluster.wait_converged(3)
        })
    }

    /// Does one step under load and writes down how long it took and what the producer noticed.
    pub fn step<T>(
        &mut self,
        name: &str,
        load: Option<&Workload>,
        act: impl FnOnce(&mut World) -> Result<T>,
    ) -> Result<T> {
        if let Some(load) = load {
            load.take_longest_pause();
        }
        let start = Instant::now();
        let value = act(self).with_context(|| name.to_owned())?;
        let took = start.elapsed();
        if let Some(load) = load {
            // Whatever was done, records go on being acknowledged.
            load.wait_for_more(RATE as usize, STALL).with_context(|| format!("after {name}"))?;
        }
        let pause = load.map(Workload::take_longest_pause);
        let (scenario, name) = (self.scenario, name.to_owned());
        self.steps.push(Step { scenario, name, took, pause });
        Ok(value)
    }

    /// A topic of its own with a producer and a checking consumer on it.
    pub fn load(&self, cluster: &KubeCluster, replicas: i32) -> Result<Workload> {
        let topic = format!("{}-{}", self.scenario, std::process::id());
        let bootstrap = cluster.bootstrap()?;
        create_topic(&bootstrap, &topic, replicas)?;
        let load = Workload::start(Plan {
            bootstrap,
            topic,
            partitions: PARTITIONS,
            rate: RATE,
            value_bytes: 200,
        })?;
        load.wait_for_more(RATE as usize, STALL)?;
        Ok(load)
    }

    /// Ends the load, and fails if any promise was broken.
    pub fn judge(&mut self, load: Workload) -> Result<Summary> {
        let summary = load.finish(STALL)?;
        let name = format!("{} records acknowledged, all there, once and in order", summary.acked);
        let pause = Some(summary.longest_pause);
        self.steps.push(Step { scenario: self.scenario, name, took: Duration::ZERO, pause });
        Ok(summary)
    }
}

fn create_topic(bootstrap: &str, topic: &str, replicas: i32) -> Result<()> {
    let admin: AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().context("no client")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let timeout = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    wait::until("the topic", STALL, || {
        let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(replicas));
        let answers = match runtime.block_on(admin.create_topics(&[new], &timeout)) {
            Ok(answers) => answers,
            Err(error) => return wait::at(error),
        };
        match answers.into_iter().next() {
            // A first try may have done it although its answer was lost.
            Some(Ok(_) | Err((_, rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists))) => {
                Ok(Look::Done(()))
            }
            Some(Err((_, code))) => wait::at(code),
            None => bail!("no answer for topic {topic}"),
        }
    })
}

//! A cluster of real processes in a directory of its own, run by the real operator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::admin::{self, Members, proto};
use crate::manifest::Manifest;
use crate::ports;
use crate::process::{self, Process, Seen, signal};
use crate::wait::{self, Look};
use crate::workspace::{self, Profile};

/// How long nothing may move before a test gives up. Builds of other things may run beside it.
pub const STALL: Duration = Duration::from_secs(90);

/// A broker process, found by its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: u32,
    /// Its process.
    pub pid: u32,
    /// Kafka's port.
    pub kafka: String,
    /// The admin and peer services.
    pub peer: String,
    /// Metrics and health.
    pub http: String,
    /// Its data directory.
    pub data: PathBuf,
}

/// A cluster of real processes; all of them die with it.
#[derive(Debug)]
pub struct Cluster {
    dir: Option<TempDir>,
    manifest: Manifest,
    binaries: PathBuf,
    operator: Option<Process>,
    kafka_port: u16,
    /// What brokers find in their environment, which is the operator's.
    environment: Vec<(String, String)>,
    /// A command that starts the command behind it, as `sudo` does.
    launcher: Vec<String>,
}

impl Cluster {
    /// Builds Chronik, starts the operator on a new manifest and waits until all brokers serve.
    pub fn start(replicas: u32) -> Result<Cluster> {
        let mut cluster = Cluster::prepare(replicas, dev_binaries()?)?;
        cluster.start_operator(None)?;
        cluster.wait_converged(replicas)?;
        Ok(cluster)
    }

    /// A directory and a manifest; nothing runs yet.
    pub fn prepare(replicas: u32, binaries: PathBuf) -> Result<Cluster> {
        let dir = TempDir::with_prefix("chronik-e2e-")?;
        let kafka_port = ports::block()?;
        let manifest = Manifest::create(dir.path(), "e2e", replicas, kafka_port)?;
        Ok(Cluster {
            dir: Some(dir),
            manifest,
            binaries,
            operator: None,
            kafka_port,
            environment: Vec::new(),
            launcher: Vec::new(),
        })
    }

    /// Sets a flag of all brokers that are started from now on, by its environment variable.
    pub fn set_broker_flag(&mut self, variable: &str, value: impl std::fmt::Display) {
        self.environment.push((variable.to_owned(), value.to_string()));
    }

    /// Starts the next operator, and with it the brokers, by another command.
    pub fn launch_with(&mut self, launcher: Vec<String>) {
        self.launcher = launcher;
    }

    /// Starts the operator; with a number, it kills itself after that many side effects.
    pub fn start_operator(&mut self, exit_after: Option<u32>) -> Result<()> {
        let operator = self.binaries.join("chronik-operator");
        let mut command = match self.launcher.split_first() {
            None => Command::new(operator),
            Some((launcher, arguments)) => {
                let mut command = Command::new(launcher);
                command.args(arguments).arg(operator);
                command
            }
        };
        command.current_dir(self.path()).args(["run", "--platform", "local"]);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.arg(self.manifest.path());
        if let Some(effects) = exit_after {
            command.env("CHRONIK_EXIT_AFTER", effects.to_string());
        }
        let log = self.path().join("operator.log");
        self.operator = Some(Process::spawn("the operator", &mut command, &log)?);
        Ok(())
    }

    /// The operator's process.
    pub fn operator(&mut self) -> Result<&mut Process> {
        self.operator.as_mut().context("no operator was started")
    }

    /// kill -9; the brokers go on.
    pub fn kill_operator(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            operator.kill();
        }
    }

    /// Ctrl-C, as far as the operator can tell: everything stops cleanly.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut operator) = self.operator.take() else { bail!("no operator was started") };
        let status = operator.stop(Duration::from_secs(90))?;
        if !status.success() {
            bail!("the operator ended with {status}:\n{}", operator.output());
        }
        match self.brokers().as_slice() {
            [] => Ok(()),
            left => bail!("the operator has ended and left brokers running: {left:?}"),
        }
    }

    /// The directory that everything of this cluster lies in.
    pub fn path(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new("/nonexistent"), TempDir::path)
    }

    /// The manifest, to edit.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The first three brokers' addresses, for clients to begin with.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = (1..=3).map(|id| self.kafka_address(id)).collect();
        addresses.join(",")
    }

    /// Where a broker's Kafka port is, whether it runs or not.
    pub fn kafka_address(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.kafka_port + (id - 1) * ports::BROKER_STEP)
    }

    /// Where a broker's data is, or will be.
    pub fn data_dir(&self, id: u32) -> PathBuf {
        self.path().join(".chronik").join(self.manifest.name()).join(format!("broker-{id}"))
    }

    /// What a broker has printed, in all its runs.
    pub fn broker_log(&self, id: u32) -> String {
        std::fs::read_to_string(self.data_dir(id).with_extension("log")).unwrap_or_default()
    }

    /// The broker processes that run now, by id.
    pub fn brokers(&self) -> Vec<Broker> {
        let mut brokers: Vec<Broker> =
            process::all().iter().filter_map(|seen| broker(seen, self.path())).collect();
        brokers.sort_by_key(|broker| broker.id);
        brokers
    }

    /// The process of one broker.
    pub fn broker(&self, id: u32) -> Result<Broker> {
        let found = self.brokers().into_iter().find(|broker| broker.id == id);
        found.with_context(|| format!("broker {id} does not run"))
    }

    /// kill -9 of one broker.
    pub fn kill_broker(&self, id: u32) -> Result<()> {
        signal(self.broker(id)?.pid, Signal::KILL)
    }

    /// What every running broker answers; those that do not answer are left out.
    pub fn describe(&self) -> Vec<proto::DescribeResponse> {
        let brokers = self.brokers();
        brokers.iter().filter_map(|broker| admin::describe(&broker.peer).ok()).collect()
    }

    /// The members of `__meta`, as its leader has them.
    pub fn meta_members(&self) -> Result<Members> {
        let described = self.describe();
        let mut groups = described.iter().flat_map(|node| &node.groups);
        let group = groups.find(|group| group.topic == "__meta");
        admin::members(group.context("no reachable broker leads __meta")?)
    }

    /// The broker that leads `__meta`, by the word of most.
    pub fn meta_leader(&self) -> Result<u32> {
        let described = self.describe();
        let leader = described.iter().find_map(|node| {
            node.groups.iter().any(|group| group.topic == "__meta").then_some(node.broker)
        });
        leader.context("no reachable broker leads __meta")
    }

    /// Waits until exactly `brokers` run, all are members, and nothing is left to move.
    pub fn wait_converged(&mut self, brokers: u32) -> Result<()> {
        let voters = meta_voters(brokers);
        wait::until(&format!("{brokers} brokers at rest"), STALL, || {
            if let Some(operator) = &mut self.operator {
                operator.must_run()?;
            }
            let processes = self.brokers().len();
            let described = self.describe();
            let states: Vec<Standing> = described.iter().map(Standing::of).collect();
            let members = self.meta_members().ok();
            let is_meta_right = members.as_ref().is_some_and(|members| {
                members.voters.len() == voters
                    && members.learners.len() == brokers as usize - voters
                    && !members.is_joint
            });
            let is_done = processes == brokers as usize
                && states.len() == processes
                && is_meta_right
                && states.iter().all(|state| state.is_at_rest(brokers));
            if is_done {
                return Ok(Look::Done(()));
            }
            wait::at((processes, states, members))
        })
    }

    /// Fails if any log of this cluster holds a panic.
    pub fn check_logs(&self) -> Result<()> {
        for (path, text) in logs(self.path()) {
            for line in text.lines() {
                if line.contains("not implemented") || line.contains("panicked at") {
                    bail!("{}: {line}", path.display());
                }
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_operator();
        for broker in self.brokers() {
            // Gone in between is fine.
            let _ = signal(broker.pid, Signal::KILL);
        }
        if std::thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            eprintln!("the cluster's directory is kept: {}", dir.keep().display());
        }
    }
}

/// How many voters `__meta` has with so many brokers: the largest odd number up to five.
pub fn meta_voters(brokers: u32) -> usize {
    let most = brokers.min(5) as usize;
    if most % 2 == 1 { most } else { most.saturating_sub(1) }
}

/// Before the id of the process that uses them.
const BINARIES: &str = "chronik-e2e-bin-";

/// The binaries that tests use, built once a process.
pub fn dev_binaries() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(dir) = BUILT.get() {
        return Ok(dir.clone());
    }
    let dir = std::env::temp_dir().join(format!("{BINARIES}{}", std::process::id()));
    remove_binaries_of_the_dead()?;
    workspace::build_binaries(Profile::Dev, &dir)?;
    Ok(BUILT.get_or_init(|| dir).clone())
}

/// A test process cannot remove its own at its end: nothing runs after the last test.
fn remove_binaries_of_the_dead() -> Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let owner = name.as_deref().and_then(|name| name.strip_prefix(BINARIES));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// What matters of a broker's description while waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    broker: u32,
    state: i32,
    members: usize,
    fenced: usize,
    off_target: u32,
    offline: usize,
    is_open: bool,
    applied_by_percent: Vec<u32>,
}

impl Standing {
    pub(crate) fn of(node: &proto::DescribeResponse) -> Standing {
        let meta = node.meta.clone().unwrap_or_default();
        let progress = node.groups.iter().flat_map(|group| &group.progress);
        Standing {
            broker: node.broker,
            state: node.state,
            members: meta.brokers.len(),
            fenced: meta.brokers.iter().filter(|broker| broker.fenced).count(),
            off_target: meta.off_target,
            offline: node.offline.len(),
            is_open: meta.open,
            applied_by_percent: progress.map(|progress| progress.percent).collect(),
        }
    }

    pub(crate) fn is_at_rest(&self, brokers: u32) -> bool {
        self.state == proto::NodeState::Member as i32
            && self.members == brokers as usize
            && self.fenced == 0
            && self.off_target == 0
            && self.offline == 0
            && self.is_open
    }
}

fn broker(seen: &Seen, dir: &Path) -> Option<Broker> {
    let data = PathBuf::from(seen.flag("--data-dir")?);
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", seen.pid)).ok()?;
    let data = cwd.join(data);
    if !data.starts_with(dir) {
        return None;
    }
    Some(Broker {
        id: seen.flag("--broker-id")?.parse().ok()?,
        pid: seen.pid,
        kafka: seen.flag("--kafka-listen")?.to_owned(),
        peer: seen.flag("--peer-listen")?.to_owned(),
        http: seen.flag("--http-listen").unwrap_or_default().to_owned(),
        data,
    })
}

/// Every log file below a directory, with its text.
fn logs(dir: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|extension| extension == "log") {
            // Segments are `.log` files too; whatever is in them is not what a process printed.
            let is_segment = path.file_stem().is_some_and(|stem| {
                stem.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())
            });
            if !is_segment {
                let bytes = std::fs::read(&path).unwrap_or_default();
                found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_has_an_odd_number_of_voters_up_to_five() {
        let voters: Vec<usize> = (1..=7).map(meta_voters).collect();
        assert_eq!(voters, [1, 1, 3, 3, 5, 5, 5]);
    }
}

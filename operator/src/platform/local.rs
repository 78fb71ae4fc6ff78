//! Brokers as processes of this machine. They outlive the operator, and the next one adopts them:
//! what runs is read from the process table, not from memory.
//!
//! Under `.chronik/<cluster>/`: `cluster.id`, `formed`, `operator.lock`, and for each broker its data
//! `broker-<id>/`, its log `broker-<id>.log` and, for people and tests, `broker-<id>.pid`.

pub mod process;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chronik_plan::{BrokerId, Process, Step};

use super::{Addresses, Outcome, Platform};
use crate::validate::Wanted;
use process::{Running, StartSpec, Starts, spawn};

/// How long a broker may take to hand over and end before it is killed.
const GRACE: Duration = Duration::from_secs(60);

/// Why the local platform could not do something.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum LocalError {
    #[error("{what} {path}")]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("another operator runs this cluster (it holds {0}); stop that one first")]
    Locked(PathBuf),
    #[error("broker {broker} could not be started with {binary}")]
    Spawn { broker: BrokerId, binary: PathBuf, source: io::Error },
    #[error("broker {broker} (process {pid}) could not be sent a signal")]
    Signal { broker: BrokerId, pid: u32, source: io::Error },
    #[error("the process table could not be read")]
    ProcessTable(#[source] io::Error),
    #[error("{0} is not a step of the platform")]
    NotMine(String),
    #[error("this operator only looks")]
    OnlyLooking,
    #[error("broker {broker} runs; its data is not deleted")]
    StillRuns { broker: BrokerId },
}

/// This machine.
#[derive(Debug)]
pub struct Local {
    root: PathBuf,
    binary: PathBuf,
    wanted: Wanted,
    running: BTreeMap<BrokerId, Running>,
    starts: BTreeMap<BrokerId, Starts>,
    stopping: BTreeMap<BrokerId, Instant>,
    /// Held while this operator runs the cluster; without it, nothing is changed.
    lock: Option<File>,
}

impl Local {
    /// Takes the cluster's directory; fails if another operator has it.
    pub fn open(state: &Path, binary: &Path, wanted: &Wanted) -> Result<Local, LocalError> {
        let root = state.join(&wanted.name);
        let file = |what, path: &Path| {
            let path = path.to_path_buf();
            move |source| LocalError::File { what, path, source }
        };
        fs::create_dir_all(&root).map_err(file("could not make directory", &root))?;
        let root = root.canonicalize().map_err(file("could not resolve", &root))?;
        let path = root.join("operator.lock");
        let lock = File::create(&path).map_err(file("could not create", &path))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| LocalError::Locked(path))?;
        let path = root.join("operator.pid");
        fs::write(&path, format!("{}\n", std::process::id()))
            .map_err(file("could not write", &path))?;
        let mut local = Local::at(root, wanted);
        local.binary = binary.to_path_buf();
        local.lock = Some(lock);
        local.refresh()?;
        Ok(local)
    }

    /// Only looks, also while an operator runs the cluster. Every step is refused.
    pub fn look(state: &Path, wanted: &Wanted) -> Result<Local, LocalError> {
        let root = state.join(&wanted.name);
        let root = root.canonicalize().unwrap_or(root);
        let mut local = Local::at(root, wanted);
        local.refresh()?;
        Ok(local)
    }

    fn at(root: PathBuf, wanted: &Wanted) -> Local {
        Local {
            root,
            binary: PathBuf::new(),
            wanted: wanted.clone(),
            running: BTreeMap::new(),
            starts: BTreeMap::new(),
            stopping: BTreeMap::new(),
            lock: None,
        }
    }

    /// Whether a broker that ran at the last pass does not any more.
    #[must_use]
    pub fn lost_one(&self) -> bool {
        self.running.values().any(|r| !r.exists())
    }

    /// Where the cluster's files are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Stops every broker cleanly; data stays.
    pub async fn shutdown(&mut self) -> Result<(), LocalError> {
        loop {
            self.refresh()?;
            let ids: Vec<BrokerId> = self.running.keys().copied().collect();
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                self.stop(id)?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn data_dir(&self, id: BrokerId) -> PathBuf {
        self.root.join(format!("broker-{id}"))
    }

    /// Brings `running` up to date with the process table.
    fn refresh(&mut self) -> Result<(), LocalError> {
        for (id, running) in &mut self.running {
            if let Some(code) = running.reap() {
                self.starts.entry(*id).or_default().ended(code, Instant::now());
            }
        }
        let found = process::find(&self.root).map_err(LocalError::ProcessTable)?;
        self.running.retain(|id, r| found.get(id).is_some_and(|f| f.pid == r.pid));
        for (id, running) in found {
            self.running.entry(id).or_insert(running);
        }
        self.stopping.retain(|id, _| self.running.contains_key(id));
        Ok(())
    }

    fn start(&mut self, id: BrokerId) -> Result<Outcome, LocalError> {
        self.refresh()?;
        if self.running.contains_key(&id) {
            return Ok(Outcome::Later("it runs already".into()));
        }
        let log = self.root.join(format!("broker-{id}.log"));
        if let Err(wait) = self.starts.entry(id).or_default().may_start(Instant::now()) {
            let last = process::last_line(&log);
            return Ok(Outcome::Later(format!(
                "broker {id} ended soon after its start; next try in {:.1} s{}",
                wait.as_secs_f32(),
                last.map(|l| format!("; its last words: {l}")).unwrap_or_default()
            )));
        }
        let peers = (1..=self.wanted.brokers).chain(self.running.keys().copied());
        let seeds = peers.filter(|p| *p != id).map(|p| (p, self.addresses(p).peer)).collect();
        let spec = StartSpec {
            id,
            data_dir: self.data_dir(id),
            addresses: self.addresses(id),
            seeds,
            rack: self.wanted.rack(id).map(str::to_owned),
            settings: self.wanted.settings.clone(),
        };
        let running = spawn(&self.binary, &spec, &log).map_err(|source| LocalError::Spawn {
            broker: id,
            binary: self.binary.clone(),
            source,
        })?;
        let pid_file = self.root.join(format!("broker-{id}.pid"));
        let pid = running.pid;
        self.running.insert(id, running);
        fs::write(&pid_file, format!("{pid}\n")).map_err(|source| LocalError::File {
            what: "could not write",
            path: pid_file,
            source,
        })?;
        Ok(Outcome::Done)
    }

    /// Asks a broker to end, once, and kills it when the grace is over.
    fn stop(&mut self, id: BrokerId) -> Result<Outcome, LocalError> {
        self.refresh()?;
        let Some(running) = self.running.get(&id) else { return Ok(Outcome::Done) };
        let asked = self.stopping.get(&id).copied();
        let signal = match asked {
            None => rustix::process::Signal::TERM,
            Some(since) if since.elapsed() > GRACE => rustix::process::Signal::KILL,
            Some(_) => return Ok(Outcome::Later(format!("broker {id} is stopping"))),
        };
        running.signal(signal).map_err(|source| LocalError::Signal {
            broker: id,
            pid: running.pid,
            source,
        })?;
        self.stopping.entry(id).or_insert_with(Instant::now);
        Ok(Outcome::Done)
    }

    fn delete_volume(&mut self, id: BrokerId) -> Result<Outcome, LocalError> {
        self.refresh()?;
        if self.running.contains_key(&id) {
            return Err(LocalError::StillRuns { broker: id });
        }
        let path = self.data_dir(id);
        let doomed = self.root.join(format!("broker-{id}.deleted"));
        let file =
            |source| LocalError::File { what: "could not delete", path: self.data_dir(id), source };
        // Renamed first: half a data directory must never be found under its name.
        if doomed.exists() {
            fs::remove_dir_all(&doomed).map_err(file)?;
        }
        fs::rename(&path, &doomed).map_err(file)?;
        fs::remove_dir_all(&doomed).map_err(file)?;
        Ok(Outcome::Done)
    }

    /// Writes a small file so that it is there after a crash, or was never there.
    fn write_once(&self, name: &str, text: &str) -> Result<(), LocalError> {
        let path = self.root.join(name);
        let temporary = self.root.join(format!("{name}.new"));
        let write = || {
            let mut file = File::create(&temporary)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.root)?.sync_all()
        };
        write().map_err(|source| LocalError::File { what: "could not write", path, source })
    }

    fn read_line(&self, name: &str) -> Result<Option<String>, LocalError> {
        let path = self.root.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_string()).filter(|t| !t.is_empty())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LocalError::File { what: "could not read", path, source }),
        }
    }
}

impl Platform for Local {
    type Error = LocalError;

    async fn observe(&mut self) -> Result<BTreeMap<BrokerId, Process>, LocalError> {
        self.refresh()?;
        let mut seen: BTreeMap<BrokerId, Process> = BTreeMap::new();
        for id in process::volumes(&self.root).map_err(|source| LocalError::File {
            what: "could not list",
            path: self.root.clone(),
            source,
        })? {
            seen.entry(id).or_default().volume = true;
        }
        for id in self.running.keys() {
            seen.entry(*id).or_default().running = true;
        }
        Ok(seen)
    }

    fn addresses(&self, broker: BrokerId) -> Addresses {
        if let Some(running) = self.running.get(&broker) {
            return running.addresses.clone();
        }
        let kafka = u32::from(self.wanted.port) + 10 * (broker - 1);
        let at = |port: u32| format!("127.0.0.1:{port}");
        Addresses { kafka: at(kafka), peer: at(kafka + 1), http: at(kafka + 2) }
    }

    fn configure(&mut self, wanted: &Wanted) {
        self.wanted = wanted.clone();
    }

    async fn execute(&mut self, step: &Step) -> Result<Outcome, LocalError> {
        if self.lock.is_none() {
            return Err(LocalError::OnlyLooking);
        }
        match step {
            Step::Start(id) => self.start(*id),
            Step::Stop(id) => self.stop(*id),
            Step::DeleteVolume(id) => self.delete_volume(*id),
            // Nobody says here that a volume is lost: its directory is there or it is not.
            Step::Update(_)
            | Step::Replace(_)
            | Step::Initialize { .. }
            | Step::ChangeMembership { .. }
            | Step::TransferLeadership { .. }
            | Step::Cordon { .. }
            | Step::Uncordon { .. }
            | Step::Drain { .. }
            | Step::Rebalance { .. }
            | Step::SetRack { .. }
            | Step::SetAdvertised { .. }
            | Step::SetCatchUpRate { .. }
            | Step::RemoveBroker { .. }
            | Step::Wipe { .. } => Err(LocalError::NotMine(step.to_string())),
        }
    }

    fn cluster_id(&mut self) -> Result<String, LocalError> {
        if let Some(id) = self.read_line("cluster.id")? {
            return Ok(id);
        }
        let id = uuid::Uuid::new_v4().to_string();
        if self.lock.is_none() {
            return Ok(id);
        }
        self.write_once("cluster.id", &id)?;
        Ok(id)
    }

    fn formed(&self) -> bool {
        self.root.join("formed").exists()
    }

    fn set_formed(&mut self, cluster_id: &str) -> Result<(), LocalError> {
        if self.lock.is_none() {
            return Ok(());
        }
        if self.read_line("cluster.id")?.as_deref() != Some(cluster_id) {
            self.write_once("cluster.id", cluster_id)?;
        }
        if !self.formed() {
            self.write_once("formed", cluster_id)?;
        }
        Ok(())
    }
}

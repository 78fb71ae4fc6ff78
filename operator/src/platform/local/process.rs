//! One broker process: starting it apart from the operator's own group, finding it again in the
//! process table by its data directory, and how soon a broken one is started again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chronik_plan::BrokerId;
use rustix::process::{Pid, Signal, kill_process};

use crate::platform::Addresses;

/// A broker that ran this long was well.
const WELL_AFTER: Duration = Duration::from_secs(20);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Everything that a broker is started with.
#[derive(Debug)]
pub(crate) struct StartSpec {
    pub(crate) id: BrokerId,
    pub(crate) data_dir: PathBuf,
    pub(crate) addresses: Addresses,
    pub(crate) seeds: Vec<(BrokerId, String)>,
    pub(crate) rack: Option<String>,
    pub(crate) settings: Vec<(&'static str, u64)>,
}

/// A broker process that exists.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) addresses: Addresses,
    /// Only if this operator started it.
    child: Option<Child>,
}

impl Running {
    /// The exit code, if it was our child and has ended.
    pub(crate) fn reap(&mut self) -> Option<Option<i32>> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.code())
    }

    /// Whether it has not ended; one that waits to be reaped has.
    pub(crate) fn exists(&self) -> bool {
        fs::read(format!("/proc/{}/cmdline", self.pid)).is_ok_and(|a| !a.is_empty())
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Starts a broker in a process group of its own, so that neither Ctrl-C nor the operator's death
/// reaches it.
pub(crate) fn spawn(binary: &Path, spec: &StartSpec, log: &Path) -> io::Result<Running> {
    fs::create_dir_all(&spec.data_dir)?;
    let out = OpenOptions::new().create(true).append(true).open(log)?;
    let Addresses { kafka, peer, http } = &spec.addresses;
    let mut command = Command::new(binary);
    command.arg("--broker-id").arg(spec.id.to_string());
    command.arg("--data-dir").arg(&spec.data_dir);
    for (flag, value) in [
        ("--kafka-listen", kafka),
        ("--kafka-advertised", kafka),
        ("--peer-listen", peer),
        ("--peer-advertised", peer),
        ("--http-listen", http),
    ] {
        command.arg(flag).arg(value);
    }
    for (id, address) in &spec.seeds {
        command.arg("--seed-broker").arg(format!("{id}={address}"));
    }
    if let Some(rack) = &spec.rack {
        command.arg("--rack").arg(rack);
    }
    for (flag, value) in &spec.settings {
        command.arg(flag).arg(value.to_string());
    }
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
    let child = command.spawn()?;
    Ok(Running { pid: child.id(), addresses: spec.addresses.clone(), child: Some(child) })
}

/// All brokers of the cluster that run, whoever started them. A broker is known by the data
/// directory that it was started with: a pid alone may belong to anyone by now.
pub(crate) fn find(root: &Path) -> io::Result<BTreeMap<BrokerId, Running>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while we look; one that is only a leftover (zombie) has no arguments.
        let Ok(arguments) = fs::read(entry.path().join("cmdline")) else { continue };
        let arguments: Vec<&str> =
            arguments.split(|b| *b == 0).map(|a| std::str::from_utf8(a).unwrap_or("")).collect();
        if let Some((id, addresses)) = recognize(root, &arguments) {
            found.insert(id, Running { pid, addresses, child: None });
        }
    }
    Ok(found)
}

fn recognize(root: &Path, arguments: &[&str]) -> Option<(BrokerId, Addresses)> {
    let value = |flag: &str| {
        let at = arguments.iter().position(|a| *a == flag)?;
        arguments.get(at + 1).map(ToString::to_string)
    };
    let data_dir = value("--data-dir")?;
    let id: BrokerId = value("--broker-id")?.parse().ok()?;
    (Path::new(&data_dir) == root.join(format!("broker-{id}"))).then_some(())?;
    let kafka = value("--kafka-advertised")?;
    let peer = value("--peer-advertised")?;
    Some((id, Addresses { kafka, peer, http: value("--http-listen")? }))
}

/// The brokers that have a data directory.
pub(crate) fn volumes(root: &Path) -> io::Result<Vec<BrokerId>> {
    let mut ids = Vec::new();
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(ids),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|n| n.strip_prefix("broker-")?.parse::<BrokerId>().ok());
        if let Some(id) = id.filter(|id| *id > 0)
            && entry.file_type()?.is_dir()
        {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The end of a log, for people.
pub(crate) fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(2048))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().rev().find(|l| !l.trim().is_empty())?;
    Some(line.chars().take(300).collect())
}

/// How often a broker was started lately. The first restart is at once, further ones wait longer
/// each time.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    last: Option<Instant>,
    failures: u32,
}

impl Starts {
    /// A child ended. A broker that was wiped ends with code 3, in order to come back.
    pub(crate) fn ended(&mut self, code: Option<i32>, now: Instant) {
        let was_well = self.last.is_none_or(|at| now.duration_since(at) > WELL_AFTER);
        self.failures = if was_well || code == Some(3) { 0 } else { self.failures + 1 };
    }

    /// Counts a start, or says how long to wait.
    pub(crate) fn may_start(&mut self, now: Instant) -> Result<(), Duration> {
        let backoff = match self.failures {
            0 | 1 => Duration::ZERO,
            n => Duration::from_millis(250 << n.min(6)).min(BACKOFF_MAX),
        };
        let due = self.last.map_or(now, |last| last + backoff);
        if due > now {
            return Err(due - now);
        }
        self.last = Some(now);
        Ok(())
    }
}

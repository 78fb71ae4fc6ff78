//! Processes: our own with a log each, and those of this machine as `/proc` shows them.
//!
//! Brokers are children of the operator and outlive it, so they are found by what their command
//! line says, never by a name alone: only a process that works inside the test's own directory is
//! ever signalled.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A child process whose output goes to a file; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with its output added to the file `log`.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Process> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open the log {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        Ok(Process { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// An error with the end of its output, if it is gone.
    pub fn must_run(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, tail(&self.output())),
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        // It may be gone already, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and an error if it takes longer than `grace`.
    pub fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        signal(self.pid(), Signal::TERM)?;
        self.wait(grace)
    }

    /// Waits until it ends by itself, and is an error if that takes longer than `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                bail!("{} still runs after {limit:?}:\n{}", self.name, tail(&self.output()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Sends a signal to a process that is known by its id.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process has this id")?;
    kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to {pid:?}"))
}

/// A process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its process id.
    pub pid: u32,
    /// Its command line.
    pub arguments: Vec<String>,
}

impl Seen {
    /// The value of `--name VALUE` or `--name=VALUE`.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == name {
                return arguments.next().map(String::as_str);
            }
            if let Some(value) = argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('='))
            {
                return Some(value);
            }
        }
        None
    }
}

/// All processes of this machine that have not ended (a zombie has no command line).
pub fn all() -> Vec<Seen> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut seen: Vec<Seen> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let arguments: Vec<String> = line
                .split(|byte| *byte == 0)
                .filter(|argument| !argument.is_empty())
                .map(|argument| String::from_utf8_lossy(argument).into_owned())
                .collect();
            (!arguments.is_empty()).then_some(Seen { pid, arguments })
        })
        .collect();
    seen.sort_by_key(|process| process.pid);
    seen
}

/// Resident memory in bytes; `None` once the process is gone.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// CPU time used so far, in user and kernel mode.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the fields after it are counted from `state`.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // USER_HZ is 100 on every Linux that we run on.
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_both_spellings() {
        let arguments = ["broker", "--broker-id", "3", "--data-dir=/x"];
        let seen = Seen { pid: 1, arguments: arguments.map(str::to_owned).to_vec() };
        assert_eq!(seen.flag("--broker-id"), Some("3"));
        assert_eq!(seen.flag("--data-dir"), Some("/x"));
        assert_eq!(seen.flag("--data"), None);
    }

    #[test]
    fn we_see_ourselves() {
        let pid = std::process::id();
        assert!(all().iter().any(|seen| seen.pid == pid));
        assert!(resident_bytes(pid).unwrap() > 0);
        assert!(cpu_time(pid).is_some());
        assert!(cpu_time(u32::MAX).is_none());
    }
}

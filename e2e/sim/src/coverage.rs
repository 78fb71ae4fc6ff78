//! What the runs really went through. A simulator that never elects, truncates or loses a disk
//! proves nothing; so it counts, and a test demands that the counts are above zero.

use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// What the continuous runs have to reach.
    pub const REQUIRED: &'static [&'static str] = &[
        "acks",
        "acks before the sync",
        "acks of the leader alone",
        "batches behind others",
        "bits flipped",
        "calls of step",
        "catch-up rates set",
        "catch-up rates wanted",
        "catching up at its rate",
        "checkpoint syncs",
        "clock-step",
        "clog",
        "clusters formed",
        "configs described",
        "configs set",
        "consumers behind the start",
        "checkpoints cut",
        "deaths in a sync",
        "deaths in recovery",
        "disk-full",
        "elections",
        "entries committed",
        "generations",
        "kill",
        "late orders",
        "lose-disk",
        "lost disks replaced",
        "lost volumes given up",
        "joint changes",
        "membership changes",
        "members fenced",
        "members that died",
        "members that left",
        "messages lost",
        "offsets committed",
        "offsets fetched",
        "one-way",
        "operator deaths",
        "operator passes",
        "partition",
        "partitions added",
        "pause",
        "power-loss",
        "records deleted",
        "records read",
        "retries",
        "rolling restarts",
        "shutdown",
        "shrunk",
        "grown",
        "snapshots lost",
        "snapshots sent",
        "stray orders",
        "stream breaks",
        "topics deleted",
        "topics made again",
        "truncations",
        "volumes deleted",
    ];

    /// It happened once more.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// It happened so many times more.
    pub fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    /// How often it happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Takes the counts of another run in.
    pub fn merge(&mut self, other: &Coverage) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// What has to happen and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        Coverage::REQUIRED.iter().copied().filter(|what| self.of(what) == 0).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.0 {
            writeln!(f, "{times:>12}  {what}")?;
        }
        Ok(())
    }
}

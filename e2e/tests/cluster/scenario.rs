//! Many checks on one cluster: each is named and timed, and one that fails does not hide the next.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use chronik_e2e::bench::kafka::Kafka;
use chronik_e2e::bench::system::System;
use chronik_e2e::cluster::Cluster;
use chronik_e2e::java::Jars;
use chronik_e2e::{ports, wait};

use crate::target::Target;

/// A check and its name.
pub(crate) type Check = (&'static str, fn(&Target) -> Result<()>);

/// What the checks run on; it ends with this value.
enum Subject {
    /// Somebody else's.
    External(Target),
    /// Apache Kafka, to check the checks.
    Reference(Target, #[expect(dead_code, reason = "ends when it is dropped")] Kafka),
    /// Three brokers of ours.
    Chronik(Target, Cluster),
}

impl Subject {
    fn start() -> Result<Subject> {
        if let Some(target) = Target::external() {
            return Ok(Subject::External(target));
        }
        if std::env::var_os("CHRONIK_E2E_REFERENCE").is_some() {
            let mut kafka = Kafka::prepare(Jars::fetch()?, ports::block()?)?;
            kafka.start()?;
            let target = Target::new(&kafka.bootstrap());
            wait::until_true("three Kafka brokers", Duration::from_secs(60), || {
                target.metadata(9, None, false).is_ok_and(|answer| answer.brokers.len() == 3)
            })?;
            return Ok(Subject::Reference(target, kafka));
        }
        let cluster = Cluster::start(3)?;
        Ok(Subject::Chronik(Target::new(&cluster.bootstrap()), cluster))
    }

    fn target(&self) -> &Target {
        match self {
            Subject::External(target)
            | Subject::Reference(target, _)
            | Subject::Chronik(target, _) => target,
        }
    }
}

/// Runs all checks on a cluster of three: ours, the one that `CHRONIK_E2E_BOOTSTRAP` names, or with
/// `CHRONIK_E2E_REFERENCE=1` Apache Kafka, which has to pass them too.
pub(crate) fn run(title: &str, checks: &[Check]) {
    let start = Instant::now();
    let subject = Subject::start().expect("a cluster starts");
    let target = subject.target();
    println!("  {title}: three brokers after {:.1} s", start.elapsed().as_secs_f64());
    let mut failures = Vec::new();
    for (name, check) in checks {
        let start = Instant::now();
        let result = check(target);
        let mark = if result.is_ok() { "ok" } else { "FAILED" };
        println!("  {title}: {name}: {mark} ({:.1} s)", start.elapsed().as_secs_f64());
        if let Err(error) = result {
            println!("    {error:#}");
            failures.push(format!("{name}: {error:#}"));
        }
    }
    match subject {
        Subject::External(_) | Subject::Reference(_, _) => {}
        Subject::Chronik(_, cluster) => cluster.check_logs().expect("no process panicked"),
    }
    assert!(failures.is_empty(), "{} checks failed:\n{}", failures.len(), failures.join("\n"));
}

/// An error unless it holds.
pub(crate) fn ensure(holds: bool, what: impl Into<String>) -> Result<()> {
    if holds { Ok(()) } else { Err(anyhow!(what.into())) }
}

/// An error unless both are equal.
#[allow(clippy::needless_pass_by_value, reason = "callers compare values that they have just made")]
pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
) -> Result<()> {
    ensure(found == expected, format!("{what}: found {found:?}, expected {expected:?}"))
}

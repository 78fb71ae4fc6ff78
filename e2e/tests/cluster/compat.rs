//! The test suites of other projects, run against a cluster of ours: rdkafka's and rskafka's.
//!
//! Their sources are in the registry, unpacked by cargo when it fetched our own dependencies. They
//! are copied to `target/compat` and built there, each as a workspace of its own, with the versions
//! of the lock files beside this file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chronik_e2e::cluster::dev_binaries;
use chronik_e2e::java::Jars;
use chronik_e2e::process::Process;
use chronik_e2e::wait::{self, Look};
use chronik_e2e::{admin, ports, workspace};
use tempfile::TempDir;

use crate::scenario;
use crate::target::Target;

#[test]
fn suites_of_other_projects() {
    scenario::run("compat", &[("rskafka 0.6's own tests", rskafka)]);
}

/// Tests of theirs that cannot pass yet, each with its reason.
const RDKAFKA_LEFT_OUT: &[(&str, &str)] = &[
    ("test_transaction_abort", "transactions are not there yet"),
    ("test_transaction_commit", "transactions are not there yet"),
    (
        "test_base_producer_timeout",
        "it wants a topic that is made on first use not to be there within 100 ms; ours is",
    ),
];
/// Tests of theirs that fail now and then for a reason of their own, against Apache Kafka too: each
/// is run alone, and has to pass once in [`TRIES`].
const RDKAFKA_RACY: &[(&str, &str)] = &[(
    "test_produce_consume_message_queue_nonempty_callback",
    "librdkafka starts to fetch after `assign` has returned and puts a mark into the queue, which \
     the test counts as a record if its callback is set by then",
)];
const TRIES: usize = 4;

fn rskafka(target: &Target) -> Result<()> {
    let bootstrap = target.bootstrap();
    // What its authors run it on makes no topics by itself.
    configure(&bootstrap, "auto.create.topics.enable=false")?;
    let environment =
        &[("TEST_INTEGRATION", "1"), ("TEST_BROKER_IMPL", "kafka"), ("KAFKA_CONNECT", &bootstrap)];
    Suite::unpack("rskafka", "0.6.0", environment)?.run(&[], &[])
}

/// rdkafka's tests are written for one broker whose id is 0 and whose port is 9092.
#[test]
fn rdkafkas_own_tests() {
    const KAFKA: &str = "127.0.0.1:9092";
    let result = (|| -> Result<()> {
        let dir = TempDir::with_prefix("chronik-e2e-rdkafka-")?;
        let port = ports::block()?;
        let peer = format!("127.0.0.1:{}", port + 1);
        let mut command = Command::new(dev_binaries()?.join("chronik-broker"));
        command.args(["--broker-id", "0", "--kafka-listen", KAFKA, "--peer-listen", &peer]);
        command.arg("--http-listen").arg(format!("127.0.0.1:{}", port + 2));
        command.arg("--data-dir").arg(dir.path().join("data"));
        let log = dir.path().join("broker.log");
        let mut broker = Process::spawn("the broker", &mut command, &log)?;
        wait::until("the broker", Duration::from_secs(30), || {
            broker.must_run()?;
            match admin::initialize(&peer, "rdkafka") {
                Ok(()) => Ok(Look::Done(())),
                Err(error) => wait::at(error.to_string()),
            }
        })?;
        // What its authors run it on has three partitions a topic.
        configure(KAFKA, "num.partitions=3")?;
        let suite = Suite::unpack("rdkafka", "0.39.0", &[("KAFKA_HOST", KAFKA)])?;
        suite.run(RDKAFKA_LEFT_OUT, RDKAFKA_RACY)
    })();
    result.expect("rdkafka's tests pass");
}

/// Sets a config of the whole cluster, as Kafka's users do.
fn configure(bootstrap: &str, config: &str) -> Result<()> {
    let command = ["--bootstrap-server", bootstrap, "--entity-type", "brokers", "--entity-default"];
    let arguments = [&command[..], &["--alter", "--add-config", config]].concat();
    Jars::fetch()?.run("kafka.admin.ConfigCommand", &arguments)?;
    Ok(())
}

/// The tests of a crate of somebody else.
struct Suite<'a> {
    name: &'a str,
    dir: PathBuf,
    environment: &'a [(&'a str, &'a str)],
}

impl<'a> Suite<'a> {
    /// Copies the crate to where its tests are built.
    fn unpack(name: &'a str, version: &str, environment: &'a [(&'a str, &'a str)]) -> Result<Self> {
        let dir = workspace::target().join("compat").join(format!("{name}-{version}"));
        if !dir.exists() {
            copy(&source(name, version)?, &dir)?;
            // Not a member of the workspace that it lies in.
            let manifest = dir.join("Cargo.toml");
            let text = std::fs::read_to_string(&manifest)?;
            std::fs::write(&manifest, format!("{text}\n[workspace]\n"))?;
        }
        // Not their own: rskafka's names an rsasl that today's compiler refuses.
        let ours = workspace::root().join("e2e/tests/cluster/compat");
        std::fs::copy(ours.join(format!("{name}-{version}.lock")), dir.join("Cargo.lock"))?;
        Ok(Self { name, dir, environment })
    }

    /// Runs all tests, one after the other: those that are `racy` on their own.
    fn run(&self, left_out: &[(&str, &str)], racy: &[(&str, &str)]) -> Result<()> {
        for (test, reason) in left_out {
            println!("    LEFT OUT: {}: {test}: {reason}", self.name);
        }
        let skipped = left_out.iter().chain(racy).flat_map(|(test, _)| ["--skip", *test]);
        self.test(&skipped.collect::<Vec<_>>())?;
        for (test, reason) in racy {
            println!("    AT MOST {TRIES} TIMES: {}: {test}: {reason}", self.name);
            let once = || {
                let text = self.test(&["--exact", test])?;
                ensure!(text.contains(" 1 passed"), "{}: no test is called {test}", self.name);
                Ok(())
            };
            (1..TRIES).fold(once(), |tried, _| tried.or_else(|_| once()))?;
        }
        Ok(())
    }

    fn test(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.dir);
        command.args(["test", "--quiet", "--locked", "--no-fail-fast", "--tests"]);
        command.env("CARGO_TARGET_DIR", workspace::target().join("compat/build"));
        command.envs([("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_INCREMENTAL", "0")]);
        command.args(["--", "--test-threads", "1"]).args(arguments);
        command.envs(self.environment.iter().copied());
        let output = command.output().context("cannot run cargo")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let ran = |line: &&str| line.starts_with("test result:") && !line.contains(" 0 passed");
        for line in text.lines().filter(ran) {
            println!("    {}: {line}", self.name);
        }
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("{}'s tests failed:\n{text}\n{errors}", self.name);
        }
        Ok(text)
    }
}

/// Where cargo has unpacked a crate.
fn source(name: &str, version: &str) -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.context("no CARGO_HOME and no HOME")?.join("registry/src");
    for registry in std::fs::read_dir(&registries)? {
        let found = registry?.path().join(format!("{name}-{version}"));
        if found.join("tests").is_dir() {
            return Ok(found);
        }
    }
    bail!("cargo has not unpacked {name} {version} below {}", registries.display())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?;
        // They are built with the compiler that builds us, not with one that they pin.
        if name.to_string_lossy().starts_with("rust-toolchain") {
            continue;
        }
        let target = to.join(name);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

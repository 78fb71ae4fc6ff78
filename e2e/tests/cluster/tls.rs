//! Kafka clients within TLS: kcat, with a certificate that changes while brokers run.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use chronik_e2e::cluster::{Cluster, STALL, dev_binaries};
use chronik_e2e::wait::{self, Look};
use chronik_tls::issue::{self, Pair, Validity};

use crate::scenario::{ensure, equal};

#[test]
fn clients_within_tls() {
    tls().expect("clients are served within TLS");
}

fn tls() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (first, second) = (pair()?, pair()?);
    put(dir.path(), &first)?;
    let mut cluster = Cluster::prepare(3, dev_binaries()?)?;
    cluster.set_broker_flag("CHRONIK_KAFKA_TLS_DIR", dir.path().display());
    cluster.start_operator(None)?;
    cluster.wait_converged(3)?;
    let brokers = cluster.brokers();
    let trusted = |pair: &Pair| -> Result<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(pair.certificate.as_bytes())?;
        Ok(file)
    };
    let (trusts_first, trusts_second) = (trusted(&first)?, trusted(&second)?);
    let bootstrap = cluster.bootstrap();

    let records = (0..5000).map(|i| format!("record {i}")).collect::<Vec<_>>().join("\n");
    // The topic is made by the first batch, which may have to come again: only an idempotent
    // producer's batches keep their order then.
    let produce = ["-P", "-t", "tls", "-p", "0", "-X", "enable.idempotence=true", "-z", "lz4"];
    kcat(&bootstrap, Some(trusts_first.path()), &produce, &records)?;
    let consume = ["-C", "-t", "tls", "-p", "0", "-o", "beginning", "-e", "-q"];
    let consumed = kcat(&bootstrap, Some(trusts_first.path()), &consume, "")?;
    equal("the records", consumed.trim_end(), &records)?;

    let plain = kcat(&bootstrap, None, &["-L", "-m", "5"], "");
    ensure(plain.is_err(), format!("without TLS: {plain:?}"))?;
    let stranger = kcat(&bootstrap, Some(trusts_second.path()), &["-L", "-m", "5"], "");
    ensure(stranger.is_err(), format!("trusting another certificate: {stranger:?}"))?;

    put(dir.path(), &second)?;
    wait::until("the new certificate", STALL, || {
        match kcat(&bootstrap, Some(trusts_second.path()), &["-L", "-m", "5"], "") {
            Ok(_) => Ok(Look::Done(())),
            Err(error) => wait::at(error.to_string().lines().next()),
        }
    })?;
    let consumed = kcat(&bootstrap, Some(trusts_second.path()), &consume, "")?;
    equal("the records", consumed.trim_end(), &records)?;
    ensure(cluster.brokers() == brokers, "no broker was restarted")?;
    cluster.stop()
}

/// For the address that brokers are dialed by.
fn pair() -> Result<Pair> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let validity = Validity { not_before: now - 60, not_after: now + 24 * 3600 };
    Ok(issue::server("127.0.0.1", validity)?)
}

fn put(dir: &Path, pair: &Pair) -> Result<()> {
    std::fs::write(dir.join("tls.key"), &pair.key)?;
    Ok(std::fs::write(dir.join("tls.crt"), &pair.certificate)?)
}

fn kcat(
    bootstrap: &str,
    trusted: Option<&Path>,
    arguments: &[&str],
    input: &str,
) -> Result<String> {
    let mut command = Command::new("kcat");
    command.args(["-b", bootstrap]).args(arguments);
    // cargo puts our own build of librdkafka there, which has no TLS.
    command.env_remove("LD_LIBRARY_PATH");
    if let Some(file) = trusted {
        let location = format!("ssl.ca.location={}", file.display());
        command.args(["-X", "security.protocol=ssl", "-X", &location]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start kcat")?;
    // The handle is dropped at the end of the statement: kcat sees the end of its input.
    child.stdin.take().context("kcat reads")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("kcat: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

//! The chart's alerts and its dashboard ask for metrics that brokers have.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use chronik_e2e::cluster::{Cluster, STALL};
use chronik_e2e::workspace;

use crate::scenario::ensure;
use crate::size::load;

/// What begins like a broker's metric: labels that Prometheus takes from pods, and the operator's
/// own metrics, which the tests on Kubernetes look for.
const OTHERS: [&str; 2] = ["chronik_io_", "chronik_operator_"];
/// What brokers have only with certificates, which they have on Kubernetes; a test of the broker looks
/// for it.
const WITH_CERTIFICATES: &str = "chronik_certificate_expires_seconds";

#[test]
fn the_charts_alerts_and_dashboard_ask_for_metrics_that_exist() {
    let result = (|| -> Result<()> {
        let cluster = Cluster::start(3)?;
        // Some metrics are there once something was counted.
        let (_topic, workload) = load(&cluster, "metrics")?;
        let mut served = BTreeSet::new();
        for broker in cluster.brokers() {
            served.extend(names(&get(&broker.http)?));
        }
        workload.finish(STALL)?;
        for file in ["dashboard.json", "rules.yaml"] {
            let path = workspace::root().join("charts/chronik-operator/files").join(file);
            let asked = names(&std::fs::read_to_string(path)?);
            ensure(asked.len() > 5, format!("{file} asks for {asked:?}"))?;
            let missing: Vec<&String> = asked.difference(&served).collect();
            ensure(
                missing.is_empty(),
                format!("{file} asks for {missing:?}, which no broker has"),
            )?;
        }
        Ok(())
    })();
    result.expect("every metric that is asked for exists");
}

/// Every word of a text that begins as our metrics do.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("chronik_"));
    ours.filter(|word| {
        *word != WITH_CERTIFICATES && !OTHERS.iter().any(|other| word.starts_with(other))
    })
    .map(str::to_owned)
    .collect()
}

fn get(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

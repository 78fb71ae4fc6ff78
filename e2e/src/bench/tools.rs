//! Kafka's own performance tools, and what they print.

use anyhow::{Context, Result, bail};

use crate::java::Jars;

/// What `ProducerPerformance` prints at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Produced {
    /// Records a second over the whole run.
    pub records_per_second: f64,
    /// Median time from send to acknowledgement.
    pub p50_ms: f64,
    /// The 99th percentile of it.
    pub p99_ms: f64,
}

/// Sends `records` of `bytes` each with acks=all and the client's defaults, as fast as it goes.
pub fn produce(
    jars: &Jars,
    bootstrap: &str,
    topic: &str,
    (records, bytes): (u64, u32),
) -> Result<Produced> {
    run_producer(jars, bootstrap, topic, (records, bytes), &["--throughput", "-1"], &[])
}

/// A fixed rate of records of 1 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Records a second.
    pub per_second: u64,
    /// Seconds that count.
    pub seconds: u64,
    /// Seconds before them, in which the client's virtual machine warms up.
    pub warmup_seconds: u64,
    /// The producer's `linger.ms`; Kafka's default is 5.
    pub linger_ms: u32,
}

/// Sends at a fixed rate with acks=all; what is measured is the time after the warm-up. `jars` are
/// [`Jars::fetch_warm_tools`].
pub fn produce_at(jars: &Jars, bootstrap: &str, topic: &str, rate: Rate) -> Result<Produced> {
    let warmup = (rate.per_second * rate.warmup_seconds).to_string();
    let records = rate.per_second * (rate.warmup_seconds + rate.seconds);
    let per_second = rate.per_second.to_string();
    let linger = format!("linger.ms={}", rate.linger_ms);
    let options = ["--throughput", &per_second, "--warmup-records", &warmup];
    run_producer(jars, bootstrap, topic, (records, 1024), &options, &[&linger])
}

fn run_producer(
    jars: &Jars,
    bootstrap: &str,
    topic: &str,
    (records, bytes): (u64, u32),
    options: &[&str],
    properties: &[&str],
) -> Result<Produced> {
    let (records, bytes) = (records.to_string(), bytes.to_string());
    let servers = format!("bootstrap.servers={bootstrap}");
    let common = ["--topic", topic, "--num-records", &records, "--record-size", &bytes];
    let producer = ["--producer-props", &servers, "acks=all"];
    let arguments = [&common[..], options, &producer[..], properties].concat();
    let output = jars.run("org.apache.kafka.tools.ProducerPerformance", &arguments)?;
    parse_produced(&output)
}

/// The last such line: `N records sent, R records/sec (..), A ms avg latency, M ms max latency,
/// X ms 50th, Y ms 95th, Z ms 99th, W ms 99.9th.`
fn parse_produced(output: &str) -> Result<Produced> {
    let line = output.lines().rev().find(|line| line.contains("ms 50th"));
    let line = line.with_context(|| format!("no summary in: {output}"))?;
    let number_before = |mark: &str| -> Result<f64> {
        let before = line.split(mark).next().context("split yields at least one part")?;
        let number = before.rsplit([' ', ',']).find(|part| !part.is_empty());
        let number = number.with_context(|| format!("no number before {mark}"))?;
        Ok(number.replace(',', ".").parse()?)
    };
    Ok(Produced {
        records_per_second: number_before(" records/sec")?,
        p50_ms: number_before(" ms 50th")?,
        p99_ms: number_before(" ms 99th")?,
    })
}

/// Reads `records` from the start of a topic; records a second, without the time to join.
pub fn consume(jars: &Jars, bootstrap: &str, topic: &str, records: u64) -> Result<f64> {
    let records = records.to_string();
    let output = jars.run(
        "org.apache.kafka.tools.ConsumerPerformance",
        &[
            "--bootstrap-server",
            bootstrap,
            "--topic",
            topic,
            "--messages",
            &records,
            "--timeout",
            "60000",
        ],
    )?;
    parse_consumed(&output)
}

/// A header line and a line of values, both with commas; `fetch.nMsg.sec` is what we want.
fn parse_consumed(output: &str) -> Result<f64> {
    let mut lines = output.lines();
    let header = lines.find(|line| line.starts_with("start.time"));
    let header = header.with_context(|| format!("no header in: {output}"))?;
    let values = lines.next().context("no values after the header")?;
    let at = header.split(", ").position(|name| name == "fetch.nMsg.sec");
    let value = values.split(", ").nth(at.context("no column fetch.nMsg.sec")?);
    Ok(value.context("the line of values is short")?.parse()?)
}

/// Time from send to receipt, one record at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndToEnd {
    /// Median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

/// Sends and receives `records` of 1 KiB, each after the one before has come back.
pub fn end_to_end(jars: &Jars, bootstrap: &str, topic: &str, records: u32) -> Result<EndToEnd> {
    let records = records.to_string();
    let output = jars.run(
        "org.apache.kafka.tools.EndToEndLatency",
        &[bootstrap, topic, &records, "all", "1024"],
    )?;
    parse_end_to_end(&output)
}

/// `Percentiles: 50th = X, 99th = Y, 99.9th = Z`
fn parse_end_to_end(output: &str) -> Result<EndToEnd> {
    let line = output.lines().find(|line| line.starts_with("Percentiles:"));
    let Some(line) = line else { bail!("no percentiles in: {output}") };
    let value = |name: &str| -> Result<f64> {
        let after = line.split(name).nth(1).with_context(|| format!("no {name} in {line}"))?;
        let number = after.split(',').next().unwrap_or(after);
        Ok(number.trim().parse()?)
    };
    Ok(EndToEnd { p50_ms: value("50th = ")?, p99_ms: value(" 99th = ")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_summary() {
        let output = "5 records sent\n100000 records sent, 20491.803279 records/sec (20.01 MB/sec), \
                      812.20 ms avg latency, 1520.00 ms max latency, 790 ms 50th, 1301 ms 95th, \
                      1452 ms 99th, 1510 ms 99.9th.\n";
        let expected = Produced { records_per_second: 20491.803279, p50_ms: 790.0, p99_ms: 1452.0 };
        assert_eq!(parse_produced(output).unwrap(), expected);
        assert!(parse_produced("nothing").is_err());
        let warm = "175000 records sent, 4997.0 records/sec (4.88 MB/sec), 16.13 ms avg latency, \
                    904.00 ms max latency, 3 ms 50th, 18 ms 95th, 433 ms 99th, 680 ms 99.9th.\n\
                    150000 steady state records sent, 4994.8 records/sec (4.88 MB/sec), 4.19 ms \
                    avg latency, 146.00 ms max latency, 4 ms 50th, 9 ms 95th, 29 ms 99th, 119 ms \
                    99.9th.\n";
        let expected = Produced { records_per_second: 4994.8, p50_ms: 4.0, p99_ms: 29.0 };
        assert_eq!(parse_produced(warm).unwrap(), expected);
    }

    #[test]
    fn the_consumers_table() {
        let output = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, \
                      nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
                      2026-01-01 00:00:00:000, 2026-01-01 00:00:09:000, 97.6, 10.8, 100000, \
                      11111.1, 3000, 6000, 16.3, 16666.7\n";
        assert_eq!(parse_consumed(output).unwrap(), 16666.7);
    }

    #[test]
    fn the_latency_percentiles() {
        let output = "Avg latency: 3.1 ms\n\nPercentiles: 50th = 2, 99th = 9, 99.9th = 31\n";
        let expected = EndToEnd { p50_ms: 2.0, p99_ms: 9.0 };
        assert_eq!(parse_end_to_end(output).unwrap(), expected);
    }
}

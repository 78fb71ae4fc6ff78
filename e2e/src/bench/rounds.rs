//! The order of things: each round starts a fresh cluster of one system, measures, and ends it.
//! Systems alternate, so that a machine that slows down slows both.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bench::chronik::Chronik;
use crate::bench::kafka::Kafka;
use crate::bench::pace::{self, Pace};
use crate::bench::probe;
use crate::bench::system::System;
use crate::bench::table::{Better, Table};
use crate::bench::tools::{self, Rate};
use crate::java::Jars;
use crate::ports;

/// How much to measure.
#[derive(Debug, Clone)]
pub struct Size {
    /// Rounds of each system.
    pub rounds: u32,
    /// Bytes sent in each throughput run; 0 leaves these out.
    pub bytes: u64,
    /// Seconds at the fixed rate.
    pub rate_seconds: u64,
    /// Records of the end-to-end measurement.
    pub end_to_end: u32,
    /// Idle partitions; 0 leaves that measurement out.
    pub idle_partitions: i32,
    /// Which systems, in which order.
    pub systems: Vec<Which>,
}

/// A system to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Apache Kafka.
    Kafka,
    /// Chronik.
    Chronik,
}

/// A durability of a topic: how the column is named, and the topic's settings.
struct Durability {
    column: &'static str,
    suffix: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

const fn durabilities(which: Which) -> &'static [Durability] {
    match which {
        Which::Kafka => {
            &[Durability { column: "Kafka, not synced", suffix: "plain", settings: &[] }]
        }
        Which::Chronik => &[
            Durability { column: "Chronik, synced", suffix: "synced", settings: &[] },
            Durability {
                column: "Chronik, received",
                suffix: "received",
                settings: &[("flush.messages", "10000"), ("flush.ms", "1000")],
            },
        ],
    }
}

const PARTITIONS: i32 = 6;
const FIXED_RATE: u32 = 5_000;
/// librdkafka's own default; Java's client has 5.
const MANY_IN_FLIGHT: u32 = 1_000_000;

/// Runs all rounds; `say` is told what happens, and the table after each round.
pub fn run(size: &Size, mut say: impl FnMut(&str)) -> Result<Table> {
    say(&format!("fetching Kafka {} with mvn, if it is not here yet", crate::java::KAFKA_VERSION));
    let jars = Jars::fetch()?;
    let mut table = Table::default();
    for round in 1..=size.rounds {
        for which in &size.systems {
            say(&format!("round {round} of {}: {which:?}", size.rounds));
            let mut system = prepare(*which, &jars)?;
            let result = measure(size, *which, system.as_mut(), &jars, &mut table, &mut say);
            // Stopped in either case; what went wrong first is what is reported.
            let stopped = system.stop();
            result.with_context(|| format!("while measuring {which:?}"))?;
            stopped?;
            say(&table.render());
        }
    }
    Ok(table)
}

fn prepare(which: Which, jars: &Jars) -> Result<Box<dyn System>> {
    Ok(match which {
        Which::Kafka => Box::new(Kafka::prepare(jars.clone(), ports::block()?)?),
        Which::Chronik => Box::new(Chronik::prepare()?),
    })
}

fn measure(
    size: &Size,
    which: Which,
    system: &mut dyn System,
    jars: &Jars,
    table: &mut Table,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    let columns = durabilities(which);
    let main = columns.first().context("every system has a durability")?.column;
    say("  start");
    let start = Instant::now();
    system.start()?;
    probe::create_topic(&system.bootstrap(), "first", 1, &[])?;
    probe::first_record(&system.bootstrap(), "first", Duration::from_secs(60))?;
    table.add("start to first record, s", Better::Less, main, start.elapsed().as_secs_f64());

    for durability in columns {
        load(size, durability, system, jars, table, say)?;
    }
    table.add("memory of a broker, MiB", Better::Less, main, probe::memory_mib(&system.nodes()));

    say("  death of a leader");
    probe::create_topic(&system.bootstrap(), "pause", PARTITIONS, &[])?;
    let pause = probe::pause_after_leaders_death(system, "pause")?;
    table.add("pause after kill -9 of a leader, s", Better::Less, main, pause.as_secs_f64());
    if size.idle_partitions > 0 {
        idle(size.idle_partitions, main, system, table, say)?;
    }
    Ok(())
}

/// What clients get while the system has that durability.
fn load(
    size: &Size,
    durability: &Durability,
    system: &mut dyn System,
    jars: &Jars,
    table: &mut Table,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    if size.bytes > 0 {
        throughput(size, durability, system, jars, table, say)?;
    }
    fixed_rate(size, durability, system, table, say)?;
    end_to_end(size, durability, system, jars, table, say)
}

/// As fast as it goes, and reading that back.
fn throughput(
    size: &Size,
    durability: &Durability,
    system: &mut dyn System,
    jars: &Jars,
    table: &mut Table,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    let column = durability.column;
    let bootstrap = system.bootstrap();
    for (bytes, label) in [(1024u32, "1 KiB"), (100, "100 B")] {
        say(&format!("  {column}: {label} records as fast as they go"));
        let topic = format!("load-{bytes}-{}", durability.suffix);
        probe::create_topic(&bootstrap, &topic, PARTITIONS, durability.settings)?;
        let records = size.bytes / u64::from(bytes);
        // The first run warms both sides up.
        tools::produce(jars, &bootstrap, &topic, (records / 4, bytes))?;
        let before = probe::cpu(&system.nodes());
        let produced = tools::produce(jars, &bootstrap, &topic, (records, bytes))?;
        let cpu = probe::cpu(&system.nodes()).saturating_sub(before);
        let millions = records as f64 / 1e6;
        let mut add = |what: &str, better, value| {
            table.add(&format!("{label}: {what}"), better, column, value);
        };
        add("produced, records/s", Better::More, produced.records_per_second);
        add("brokers' CPU s per million produced", Better::Less, cpu.as_secs_f64() / millions);
        let consumed = tools::consume(jars, &bootstrap, &topic, records)?;
        add("consumed, records/s", Better::More, consumed);
    }
    Ok(())
}

/// Latency at a fixed rate.
fn fixed_rate(
    size: &Size,
    durability: &Durability,
    system: &mut dyn System,
    table: &mut Table,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    let column = durability.column;
    let bootstrap = system.bootstrap();
    let warm_tools = Jars::fetch_warm_tools()?;
    let topic = format!("rate-{}", durability.suffix);
    probe::create_topic(&bootstrap, &topic, PARTITIONS, durability.settings)?;
    for linger_ms in [5, 0] {
        let label = format!("5,000/s of 1 KiB, linger {linger_ms} ms");
        say(&format!("  {column}: {label}"));
        let (seconds, warmup_seconds) = (size.rate_seconds, size.rate_seconds / 3);
        let rate = Rate { per_second: FIXED_RATE.into(), seconds, warmup_seconds, linger_ms };
        let produced = tools::produce_at(&warm_tools, &bootstrap, &topic, rate)?;
        add_latency(table, column, &label, (produced.p50_ms, produced.p99_ms));
    }
    for (in_flight, how) in [(5, "5 in flight"), (MANY_IN_FLIGHT, "each alone")] {
        let label = format!("5,000/s of 1 KiB, librdkafka, {how}");
        say(&format!("  {column}: {label}"));
        let time = Duration::from_secs(size.rate_seconds);
        let pace = Pace { per_second: FIXED_RATE, in_flight, warmup: time / 3, time };
        let paced = pace::produce_paced(&bootstrap, (&topic, PARTITIONS), pace)?;
        add_latency(table, column, &label, (paced.p50_ms, paced.p99_ms));
    }
    Ok(())
}

/// One record after the other, from the producer to the consumer.
fn end_to_end(
    size: &Size,
    durability: &Durability,
    system: &mut dyn System,
    jars: &Jars,
    table: &mut Table,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    let column = durability.column;
    let bootstrap = system.bootstrap();
    say(&format!("  {column}: end to end"));
    let topic = format!("end-{}", durability.suffix);
    probe::create_topic(&bootstrap, &topic, 1, durability.settings)?;
    let end = tools::end_to_end(jars, &bootstrap, &topic, size.end_to_end)?;
    add_latency(table, column, "end to end, one by one", (end.p50_ms, end.p99_ms));
    Ok(())
}

fn add_latency(table: &mut Table, column: &str, what: &str, (p50_ms, p99_ms): (f64, f64)) {
    table.add(&format!("{what}: p50, ms"), Better::Less, column, p50_ms);
    table.add(&format!("{what}: p99, ms"), Better::Less, column, p99_ms);
}

/// Many partitions that nobody uses: what they cost at rest, and at the next start.
fn idle(
    partitions: i32,
    column: &str,
    system: &mut dyn System,
    table: &mut Table,
    say: &mut impl FnMut(&str),
) -> Result<()> {
    say(&format!("  {partitions} idle partitions"));
    system.stop()?;
    system.start()?;
    probe::first_record(&system.bootstrap(), "first", Duration::from_secs(120))?;
    let before = probe::memory_mib(&system.nodes());
    probe::create_topic(&system.bootstrap(), "idle", partitions, &[])?;
    let quiet = Duration::from_secs(30);
    // Elections and first appends are not rest.
    std::thread::sleep(quiet);
    let nodes = system.nodes();
    let cpu = probe::cpu(&nodes);
    std::thread::sleep(quiet);
    let cpu = probe::cpu(&nodes).saturating_sub(cpu).as_secs_f64();
    let share = cpu / quiet.as_secs_f64() / nodes.len().max(1) as f64 * 100.0;
    let memory = (probe::memory_mib(&nodes) - before).max(0.0) * 1024.0 / f64::from(partitions);
    let name = |what: &str| format!("{partitions} idle partitions: {what}");
    table.add(&name("CPU of a broker, % of a core"), Better::Less, column, share);
    table.add(&name("memory of a replica, KiB"), Better::Less, column, memory);
    system.stop()?;
    let start = Instant::now();
    system.start()?;
    probe::first_record(&system.bootstrap(), "first", Duration::from_secs(120))?;
    table.add(
        &name("start to first record, s"),
        Better::Less,
        column,
        start.elapsed().as_secs_f64(),
    );
    Ok(())
}

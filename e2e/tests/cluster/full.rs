//! Disks that run full: producers get errors that they can retry, what was acknowledged stays, and
//! all goes on when there is space.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bytes::Bytes;
use chronik_e2e::cluster::{Cluster, STALL, dev_binaries};
use chronik_e2e::raw::{Connection, NO_SEQUENCE, batch};
use chronik_e2e::small_disks;
use chronik_e2e::wait::{self, Look};
use kafka_protocol::messages::{ApiKey, ProduceResponse};

use crate::scenario::{ensure, equal};
use crate::size::load;
use crate::target::{Target, Topic};
use crate::traps::reads::fetch;

const SMALL_MIB: u32 = 40;
const LARGE_MIB: u32 = 240;
const WAL_BYTES: u64 = 4 << 20;
const VALUE_BYTES: usize = 200 << 10;

/// For how long nothing must be taken, for the disks to be called full.
const FULL_FOR: Duration = Duration::from_secs(2);

const STORAGE_ERROR: i16 = 56;
/// Errors after which Kafka's own clients send again.
const RETRIABLE: [i16; 5] = [5, 6, 7, 19, STORAGE_ERROR];

/// A value that tells which it is in every byte.
fn value(number: u8) -> Bytes {
    vec![number; VALUE_BYTES].into()
}

/// Produces one record to the partition's leader: its error and its offset.
fn produce(target: &Target, topic: &Topic, number: u8) -> Result<(i16, i64)> {
    let leaders = target.leaders(&topic.name)?;
    let mut leader = Connection::open(leaders.first().context("partition 0 has a leader")?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let batch = batch(i64::try_from(now)?, NO_SEQUENCE, &[&value(number)]);
    let request = topic.produce_request(9, -1, batch).with_timeout_ms(2_000);
    let answer: ProduceResponse = leader.call(ApiKey::Produce, 9, &request)?;
    let topic = answer.responses.first().context("an answer for the topic")?;
    let partition = topic.partition_responses.first().context("an answer for the partition")?;
    Ok((partition.error_code, partition.base_offset))
}

/// Produces until nothing has been taken for a while: the offsets of what was acknowledged.
fn fill(target: &Target, topic: &Topic) -> Result<BTreeMap<i64, u8>> {
    let mut acked = BTreeMap::new();
    let mut errors: BTreeMap<i16, u32> = BTreeMap::new();
    let mut refused_since = None;
    for number in (0..=u8::MAX).cycle() {
        let (error, offset) = produce(target, topic, number)?;
        if error == 0 {
            acked.insert(offset, number);
            ensure(acked.len() < 1_000, "the disks are never full")?;
            refused_since = None;
            continue;
        }
        ensure(RETRIABLE.contains(&error), format!("error {error} is final"))?;
        *errors.entry(error).or_default() += 1;
        if refused_since.get_or_insert_with(Instant::now).elapsed() > FULL_FOR {
            break;
        }
    }
    println!("  full: {} records acknowledged, errors {errors:?}", acked.len());
    ensure(errors.contains_key(&STORAGE_ERROR), "nobody was told that a disk is full")?;
    Ok(acked)
}

fn check_all(target: &Target, topic: &Topic, acked: &BTreeMap<i64, u8>) -> Result<()> {
    let leaders = target.leaders(&topic.name)?;
    let mut leader = Connection::open(leaders.first().context("partition 0 has a leader")?)?;
    for (offset, number) in acked {
        let found = fetch(topic, &mut leader, 12, *offset, 1 << 20)?;
        equal("an error of a fetch", found.error_code, 0)?;
        let records = found.records.unwrap_or_default();
        let base = records.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
        equal("the offset of a batch", base, Some(*offset))?;
        let expected = value(*number);
        let is_there = records.windows(VALUE_BYTES).any(|bytes| bytes == expected);
        ensure(is_there, format!("the record at {offset} is another one"))?;
    }
    Ok(())
}

#[test]
fn full_disks_lose_nothing_and_take_records_again_when_there_is_space() {
    if !small_disks::are_possible() {
        println!("  full: LEFT OUT, as this user cannot mount file systems (unshare -m)");
        return;
    }
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::prepare(3, dev_binaries()?)?;
        cluster.set_broker_flag("CHRONIK_WAL_BYTES", WAL_BYTES);
        // No reserve: writes really fail.
        cluster.set_broker_flag("CHRONIK_FREE_BYTES_MIN", 0);
        small_disks::prepare(&mut cluster, 3, SMALL_MIB)?;
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;
        let brokers = cluster.brokers();
        let (_, workload) = load(&cluster, "full-load")?;
        let target = Target::new(&cluster.bootstrap());
        let topic = target.topic("full", 1, &[])?;
        let mut acked = fill(&target, &topic)?;
        ensure(acked.len() > 10, "the disks were full at once")?;
        // Readers are served meanwhile.
        check_all(&target, &topic, &acked)?;
        equal("brokers on full disks", cluster.brokers(), brokers.clone())?;

        small_disks::resize(&mut cluster, 3, LARGE_MIB)?;
        let offset = wait::until("records to be taken again", Duration::from_secs(30), || {
            match produce(&target, &topic, 77)? {
                (0, offset) => Ok(Look::Done(offset)),
                (error, _) => {
                    ensure(RETRIABLE.contains(&error), format!("error {error} is final"))?;
                    wait::at(error)
                }
            }
        })?;
        acked.insert(offset, 77);
        workload.wait_for_more(1_000, STALL)?;
        check_all(&target, &topic, &acked)?;
        let summary = workload.finish(STALL)?;
        println!(
            "  full: {} small records acknowledged, longest pause {:.2} s",
            summary.acked,
            summary.longest_pause.as_secs_f64()
        );
        cluster.wait_converged(3)?;
        equal("brokers afterwards", cluster.brokers(), brokers)?;
        for id in 1..=3 {
            let lines = cluster.broker_log(id).lines().count();
            ensure(lines < 1_000, format!("broker {id} has logged {lines} lines"))?;
        }
        cluster.check_logs()
    })();
    result.expect("full disks lose nothing");
}

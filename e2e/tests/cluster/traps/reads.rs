//! Fetch: what comes back, how much of it, and when.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chronik_e2e::raw::{Connection, NO_SEQUENCE, batch};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse};

use crate::scenario::{ensure, equal};
use crate::target::{Target, Topic, topic_name};

/// A fetch of partition 0 that does not wait.
pub(crate) fn fetch_request(
    topic: &Topic,
    version: i16,
    offset: i64,
    bytes_max: i32,
) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(bytes_max);
    let fetched = FetchTopic::default().with_partitions(vec![partition]);
    let fetched = if version >= 13 {
        fetched.with_topic_id(topic.id)
    } else {
        fetched.with_topic(topic_name(&topic.name))
    };
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_bytes(bytes_max)
        .with_min_bytes(0)
        .with_session_epoch(-1)
        .with_topics(vec![fetched])
}

pub(crate) fn fetch(
    topic: &Topic,
    connection: &mut Connection,
    version: i16,
    offset: i64,
    bytes_max: i32,
) -> Result<PartitionData> {
    let request = fetch_request(topic, version, offset, bytes_max);
    partition(connection.call(ApiKey::Fetch, version, &request)?)
}

fn partition(answer: FetchResponse) -> Result<PartitionData> {
    let topic = answer.responses.into_iter().next().context("an answer for the topic")?;
    topic.partitions.into_iter().next().context("an answer for the partition")
}

fn base_offset(records: &[u8]) -> Option<i64> {
    records.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

pub(crate) fn middle_of_a_batch(target: &Target) -> Result<()> {
    let topic = target.topic("middle", 1, &[])?;
    let mut connection = topic.leader()?;
    let first = batch(1, NO_SEQUENCE, &[b"a", b"b", b"c", b"d"]);
    topic.produce(&mut connection, 9, first.clone())?;
    topic.produce(&mut connection, 9, batch(1, NO_SEQUENCE, &[b"e"]))?;
    let records = fetch(&topic, &mut connection, 12, 2, 1 << 20)?.records.unwrap_or_default();
    equal("the batch begins at", base_offset(&records), Some(0))?;
    ensure(records.len() > first.len(), "the batch behind it did not come along")?;
    let records = fetch(&topic, &mut connection, 12, 4, 1 << 20)?.records.unwrap_or_default();
    equal("the next batch begins at", base_offset(&records), Some(4))
}

/// KIP-74: or a consumer with small limits would wait for ever.
pub(crate) fn first_batch_beyond_limits(target: &Target) -> Result<()> {
    let topic = target.topic("beyond", 1, &[])?;
    let mut connection = topic.leader()?;
    let value = vec![b'x'; 10_000];
    let large = batch(1, NO_SEQUENCE, &[&value]);
    topic.produce(&mut connection, 9, large.clone())?;
    topic.produce(&mut connection, 9, large.clone())?;
    let answer = fetch(&topic, &mut connection, 12, 0, 1)?;
    equal("bytes", answer.records.unwrap_or_default().len(), large.len())
}

pub(crate) fn no_preferred_replica(target: &Target) -> Result<()> {
    let topic = target.topic("preferred", 1, &[])?;
    let mut connection = topic.leader()?;
    for version in 11..=18 {
        let answer = fetch(&topic, &mut connection, version, 0, 1 << 20)?;
        equal(&format!("v{version}"), answer.preferred_read_replica.0, -1)?;
    }
    Ok(())
}

pub(crate) fn long_poll(target: &Target) -> Result<()> {
    let topic = target.topic("long-poll", 1, &[])?;
    let (mut reader, mut writer) = (topic.leader()?, topic.leader()?);
    let request = fetch_request(&topic, 12, 0, 1 << 20).with_max_wait_ms(20_000).with_min_bytes(1);
    let id = reader.send(ApiKey::Fetch, 12, &request)?;
    ensure(reader.is_silent(Duration::from_millis(300))?, "a fetch of nothing did not wait")?;
    let start = Instant::now();
    topic.produce(&mut writer, 9, batch(1, NO_SEQUENCE, &[b"now"]))?;
    let answer = partition(reader.receive(ApiKey::Fetch, 12, id)?)?;
    ensure(!answer.records.unwrap_or_default().is_empty(), "the answer is empty")?;
    ensure(start.elapsed() < Duration::from_secs(5), "the record did not wake the fetch")?;
    // And without a record it ends by itself, empty.
    let request = fetch_request(&topic, 12, 1, 1 << 20).with_max_wait_ms(300).with_min_bytes(1);
    let start = Instant::now();
    let answer = partition(reader.call(ApiKey::Fetch, 12, &request)?)?;
    equal("error at the end", answer.error_code, 0)?;
    ensure(answer.records.unwrap_or_default().is_empty(), "records from nowhere")?;
    ensure(start.elapsed() >= Duration::from_millis(250), "the fetch did not wait its time")
}

pub(crate) fn out_of_range(target: &Target) -> Result<()> {
    let topic = target.topic("range", 1, &[])?;
    let mut connection = topic.leader()?;
    topic.produce(&mut connection, 9, batch(1, NO_SEQUENCE, &[b"a"]))?;
    equal("at the end", fetch(&topic, &mut connection, 12, 1, 1 << 20)?.error_code, 0)?;
    equal("behind the end", fetch(&topic, &mut connection, 12, 2, 1 << 20)?.error_code, 1)?;
    equal("far behind", fetch(&topic, &mut connection, 12, 1 << 40, 1 << 20)?.error_code, 1)
}

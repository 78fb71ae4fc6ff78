//! Versions: what is advertised, and that all of it works.

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, BytesMut};
use chronik_e2e::raw::{NO_SEQUENCE, batch};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::Decodable;

use super::offsets::list_offset;
use super::reads::fetch;
use crate::scenario::{ensure, equal};
use crate::target::{Target, text};

/// Error 35, the body of version 0, the correlation id kept: how clients find out what we speak.
pub(crate) fn unknown_api_versions(target: &Target) -> Result<()> {
    let mut connection = target.connect()?;
    let mut frame = BytesMut::new();
    frame.put_i32(2 + 2 + 4 + 2 + 1);
    frame.put_i16(ApiKey::ApiVersions as i16);
    frame.put_i16(99);
    frame.put_i32(4711);
    frame.put_i16(-1); // no client id
    frame.put_u8(0); // no tagged fields
    connection.send_bytes(&frame)?;
    let mut answer = connection.receive_frame()?;
    equal("correlation id", answer.get_i32(), 4711)?;
    let body = ApiVersionsResponse::decode(&mut answer, 0)?;
    equal("error", body.error_code, 35)?;
    equal("bytes after the answer", answer.remaining(), 0)?;
    ensure(body.api_keys.iter().any(|api| api.api_key == 18), "ApiVersions is not in the list")
}

/// The ranges of Apache Kafka 4.1 for what we serve.
const RANGES: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 0, 13),
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::ElectLeaders, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeQuorum, 0, 2),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

pub(crate) fn advertised_ranges(target: &Target) -> Result<()> {
    let mut connection = target.connect()?;
    for version in 0..=4 {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text("e2e"))
            .with_client_software_version(text("1"));
        let answer: ApiVersionsResponse =
            connection.call(ApiKey::ApiVersions, version, &request)?;
        equal("error", answer.error_code, 0)?;
        for (key, min, max) in RANGES {
            let found = answer.api_keys.iter().find(|api| api.api_key == *key as i16);
            let found = found.with_context(|| format!("{key:?} is not advertised"))?;
            let is_right = found.min_version <= *min && found.max_version >= *max;
            let range = format!("{}-{}", found.min_version, found.max_version);
            ensure(is_right, format!("{key:?} is advertised as {range}, not {min}-{max}"))?;
        }
    }
    Ok(())
}

pub(crate) fn every_metadata(target: &Target) -> Result<()> {
    let topic = target.topic("every-metadata", 2, &[])?;
    for version in 0..=13 {
        let answer = target.metadata(version, Some(&[&topic.name]), false)?;
        let found = answer.topics.first().context("an answer for the topic")?;
        equal(&format!("v{version}: error"), found.error_code, 0)?;
        equal(&format!("v{version}: partitions"), found.partitions.len(), 2)?;
        ensure(answer.brokers.len() >= 3, format!("v{version}: {} brokers", answer.brokers.len()))?;
        // Null asks for all topics, in version 0 an empty list does.
        let all = target.metadata(version, None, false)?;
        let names = all.topics.iter().filter_map(|topic| topic.name.as_ref());
        let is_there = names.map(|name| name.as_str()).any(|name| name == topic.name);
        ensure(is_there, format!("v{version}: the topic is not among all topics"))?;
    }
    Ok(())
}

pub(crate) fn every_produce_and_fetch(target: &Target) -> Result<()> {
    let topic = target.topic("every-version", 1, &[])?;
    let mut connection = topic.leader()?;
    for version in 3..=13 {
        let answer = topic.produce(&mut connection, version, batch(1, NO_SEQUENCE, &[b"v"]))?;
        equal(&format!("Produce v{version}"), answer.error_code, 0)?;
        equal(&format!("Produce v{version}: offset"), answer.base_offset, i64::from(version) - 3)?;
    }
    for version in 4..=18 {
        let answer = fetch(&topic, &mut connection, version, 0, 1 << 20)?;
        equal(&format!("Fetch v{version}"), answer.error_code, 0)?;
        equal(&format!("Fetch v{version}: high watermark"), answer.high_watermark, 11)?;
        let bytes = answer.records.map_or(0, |records| records.len());
        equal(
            &format!("Fetch v{version}: bytes"),
            bytes,
            batch(1, NO_SEQUENCE, &[b"v"]).len() * 11,
        )?;
    }
    Ok(())
}

pub(crate) fn every_list_offsets(target: &Target) -> Result<()> {
    let topic = target.topic("every-list", 1, &[])?;
    let mut connection = topic.leader()?;
    topic.produce(&mut connection, 9, batch(1_000, NO_SEQUENCE, &[b"a", b"b"]))?;
    for version in 1..=10 {
        let latest = list_offset(&topic, &mut connection, version, -1)?;
        equal(&format!("v{version}: latest"), (latest.error_code, latest.offset), (0, 2))?;
        let earliest = list_offset(&topic, &mut connection, version, -2)?;
        equal(&format!("v{version}: earliest"), (earliest.error_code, earliest.offset), (0, 0))?;
    }
    Ok(())
}

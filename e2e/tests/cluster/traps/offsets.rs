//! ListOffsets, OffsetForLeaderEpoch, and what is kept with a committed offset.

use std::time::Duration;

use anyhow::{Context, Result};
use chronik_e2e::raw::{Connection, NO_SEQUENCE, batch};
use chronik_e2e::wait;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, ListOffsetsRequest,
    ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use crate::scenario::{ensure, equal};
use crate::target::{Target, Topic, text, topic_name};

pub(crate) fn list_offset(
    topic: &Topic,
    connection: &mut Connection,
    version: i16,
    timestamp: i64,
) -> Result<ListOffsetsPartitionResponse> {
    let partition =
        ListOffsetsPartition::default().with_partition_index(0).with_timestamp(timestamp);
    let asked = ListOffsetsTopic::default()
        .with_name(topic_name(&topic.name))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![asked])
        .with_timeout_ms(10_000);
    let answer: ListOffsetsResponse = connection.call(ApiKey::ListOffsets, version, &request)?;
    let topic = answer.topics.into_iter().next().context("an answer for the topic")?;
    topic.partitions.into_iter().next().context("an answer for the partition")
}

pub(crate) fn special_timestamps(target: &Target) -> Result<()> {
    let topic = target.topic("special", 1, &[])?;
    let mut connection = topic.leader()?;
    for timestamp in [1_000, 9_000, 5_000] {
        topic.produce(&mut connection, 9, batch(timestamp, NO_SEQUENCE, &[b"a", b"b"]))?;
    }
    let mut check = |what, timestamp, version, expected: (i16, i64)| {
        let found = list_offset(&topic, &mut connection, version, timestamp)?;
        equal(what, (found.error_code, found.offset), expected)
    };
    check("latest (-1)", -1, 8, (0, 6))?;
    check("earliest (-2)", -2, 8, (0, 0))?;
    // Of the records with the largest timestamp, the first.
    check("largest timestamp (-3)", -3, 8, (0, 2))?;
    // Without tiered storage, the earliest local record is the earliest.
    check("earliest local (-4)", -4, 9, (0, 0))?;
    // Nothing is tiered.
    check("last tiered (-5)", -5, 9, (0, -1))
}

pub(crate) fn by_time(target: &Target) -> Result<()> {
    let topic = target.topic("by-time", 1, &[])?;
    let mut connection = topic.leader()?;
    for timestamp in [1_000, 2_000, 3_000] {
        topic.produce(&mut connection, 9, batch(timestamp, NO_SEQUENCE, &[b"x"]))?;
    }
    for (timestamp, offset, found_at) in
        [(0, 0, 1_000), (1_000, 0, 1_000), (1_001, 1, 2_000), (3_000, 2, 3_000), (3_001, -1, -1)]
    {
        let found = list_offset(&topic, &mut connection, 7, timestamp)?;
        let found = (found.error_code, found.offset, found.timestamp);
        equal(&format!("first record at or after {timestamp}"), found, (0, offset, found_at))?;
    }
    Ok(())
}

/// The coordinator of a group, once there is one.
pub(crate) fn coordinator(target: &Target, group: &str) -> Result<Connection> {
    let request = FindCoordinatorRequest::default().with_key(text(group));
    wait::until("a coordinator", Duration::from_secs(30), || {
        let answer: FindCoordinatorResponse =
            target.connect()?.call(ApiKey::FindCoordinator, 3, &request)?;
        if answer.error_code != 0 {
            return wait::at(answer.error_code);
        }
        let address = format!("{}:{}", answer.host.as_str(), answer.port);
        Ok(wait::Look::Done(Connection::open(&address)?))
    })
}

pub(crate) fn commit_metadata(target: &Target) -> Result<()> {
    let topic = target.topic("committed", 1, &[])?;
    let group = format!("committed-{}", std::process::id());
    let mut connection = coordinator(target, &group)?;
    let note = "a note — with more than ASCII";
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(42)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(text(note)));
    let committed = OffsetCommitRequestTopic::default()
        .with_name(topic_name(&topic.name))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(&group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![committed]);
    wait::until("a coordinator that has loaded", Duration::from_secs(30), || {
        let answer: OffsetCommitResponse = connection.call(ApiKey::OffsetCommit, 8, &request)?;
        let code = answer.topics.first().and_then(|topic| topic.partitions.first());
        match code.context("an answer for the partition")?.error_code {
            0 => Ok(wait::Look::Done(())),
            code => wait::at(code),
        }
    })?;
    for version in 1..=7 {
        let asked = OffsetFetchRequestTopic::default()
            .with_name(topic_name(&topic.name))
            .with_partition_indexes(vec![0, 1]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(&group)))
            .with_topics(Some(vec![asked]));
        let answer: OffsetFetchResponse =
            connection.call(ApiKey::OffsetFetch, version, &request)?;
        let found = answer.topics.first().context("an answer for the topic")?;
        let committed = found.partitions.iter().find(|partition| partition.partition_index == 0);
        let committed = committed.context("an answer for partition 0")?;
        equal(&format!("v{version}: offset"), committed.committed_offset, 42)?;
        let metadata = committed.metadata.as_ref().map(|text| text.as_str());
        equal(&format!("v{version}: metadata"), metadata, Some(note))?;
        let other = found.partitions.iter().find(|partition| partition.partition_index == 1);
        let other = other.context("an answer for partition 1")?;
        let nothing = (other.error_code, other.committed_offset);
        equal(&format!("v{version}: nothing committed"), nothing, (0, -1))?;
    }
    Ok(())
}

pub(crate) fn end_of_epoch(target: &Target) -> Result<()> {
    let topic = target.topic("epoch", 1, &[])?;
    let mut connection = topic.leader()?;
    topic.produce(&mut connection, 9, batch(1, NO_SEQUENCE, &[b"a", b"b"]))?;
    let epoch = target.metadata(9, Some(&[&topic.name]), false)?;
    let epoch = epoch.topics.first().and_then(|topic| topic.partitions.first());
    let epoch = epoch.context("the partition")?.leader_epoch;
    ensure(epoch >= 0, "Metadata does not tell the leader epoch")?;
    for version in 2..=4 {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(epoch)
            .with_leader_epoch(epoch);
        let asked = OffsetForLeaderTopic::default()
            .with_topic(topic_name(&topic.name))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![asked]);
        let answer: OffsetForLeaderEpochResponse =
            connection.call(ApiKey::OffsetForLeaderEpoch, version, &request)?;
        let end = answer.topics.first().and_then(|topic| topic.partitions.first());
        let end = end.context("an answer for the partition")?;
        let found = (end.error_code, end.leader_epoch, end.end_offset);
        equal(&format!("v{version}"), found, (0, epoch, 2))?;
    }
    Ok(())
}

//! What members of a group ask their coordinator, and what it answers, as plain values.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_core::ids::{BrokerId, Offset};
use chronik_core::wire::{RequestBody, StrBytes};
use kafka_protocol::messages as m;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;

use super::Action;
use super::ask::name;
use crate::invariants::Commit;

const PROTOCOL_TYPE: &str = "consumer";
const PROTOCOL: &str = "range";

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub(super) group: String,
    pub(super) member: String,
    pub(super) generation: i32,
}

impl Identity {
    fn group(&self) -> m::GroupId {
        m::GroupId(text(&self.group))
    }
}

pub(super) fn find_coordinator(to: BrokerId, group: &str) -> Action {
    let body = m::FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
    Action::Ask { to, version: 4, body: Box::new(RequestBody::FindCoordinator(body)) }
}

pub(super) fn join(to: BrokerId, me: &Identity, topic: &str) -> Action {
    let mut subscription = BytesMut::new();
    subscription.put_i16(0);
    subscription.put_i32(1);
    subscription.put_i16(i16::try_from(topic.len()).unwrap_or(0));
    subscription.put_slice(topic.as_bytes());
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text(PROTOCOL))
        .with_metadata(subscription.freeze());
    let body = m::JoinGroupRequest::default()
        .with_group_id(me.group())
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(3_000)
        .with_member_id(text(&me.member))
        .with_protocol_type(text(PROTOCOL_TYPE))
        .with_protocols(vec![protocol]);
    Action::Ask { to, version: 9, body: Box::new(RequestBody::JoinGroup(body)) }
}

/// `parts` is what the leader assigns; others give none.
pub(super) fn sync(to: BrokerId, me: &Identity, parts: &[(String, Vec<i32>)]) -> Action {
    let assignments = parts.iter().map(|(member, partitions)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(encode_part(partitions))
    });
    let body = m::SyncGroupRequest::default()
        .with_group_id(me.group())
        .with_generation_id(me.generation)
        .with_member_id(text(&me.member))
        .with_protocol_type(Some(text(PROTOCOL_TYPE)))
        .with_protocol_name(Some(text(PROTOCOL)))
        .with_assignments(assignments.collect());
    Action::Ask { to, version: 5, body: Box::new(RequestBody::SyncGroup(body)) }
}

pub(super) fn heartbeat(to: BrokerId, me: &Identity) -> Action {
    let body = m::HeartbeatRequest::default()
        .with_group_id(me.group())
        .with_generation_id(me.generation)
        .with_member_id(text(&me.member));
    Action::Ask { to, version: 4, body: Box::new(RequestBody::Heartbeat(body)) }
}

pub(super) fn leave(to: BrokerId, me: &Identity) -> Action {
    let member = MemberIdentity::default().with_member_id(text(&me.member));
    let body = m::LeaveGroupRequest::default().with_group_id(me.group()).with_members(vec![member]);
    Action::Ask { to, version: 5, body: Box::new(RequestBody::LeaveGroup(body)) }
}

pub(super) fn fetch_offsets(
    to: BrokerId,
    me: &Identity,
    topic: &str,
    partitions: &[i32],
) -> Action {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(name(topic))
        .with_partition_indexes(partitions.to_vec());
    let group =
        OffsetFetchRequestGroup::default().with_group_id(me.group()).with_topics(Some(vec![topic]));
    let body = m::OffsetFetchRequest::default().with_groups(vec![group]);
    Action::Ask { to, version: 8, body: Box::new(RequestBody::OffsetFetch(body)) }
}

/// What an OffsetFetch answers of each partition, or the code of its error.
pub(super) fn fetched_offsets(
    answer: &m::OffsetFetchResponse,
) -> Result<Vec<(i32, Option<Commit>)>, i16> {
    let Some(group) = answer.groups.first() else { return Err(-1) };
    if group.error_code != 0 {
        return Err(group.error_code);
    }
    let mut all = Vec::new();
    for partition in group.topics.iter().flat_map(|topic| &topic.partitions) {
        if partition.error_code != 0 {
            return Err(partition.error_code);
        }
        let number = partition.metadata.as_ref().and_then(|text| text.parse().ok());
        let offset = partition.committed_offset;
        let commit = (offset >= 0).then_some((offset, number.unwrap_or(u64::MAX)));
        all.push((partition.partition_index, commit));
    }
    Ok(all)
}

pub(super) fn commit(
    to: BrokerId,
    me: &Identity,
    topic: &str,
    commits: &[(i32, Offset, u64)],
) -> Action {
    let partitions = commits.iter().map(|(partition, offset, number)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text(&number.to_string())))
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name(topic))
        .with_partitions(partitions.collect());
    let body = m::OffsetCommitRequest::default()
        .with_group_id(me.group())
        .with_member_id(text(&me.member))
        .with_generation_id_or_member_epoch(me.generation)
        .with_topics(vec![topic]);
    Action::Ask { to, version: 8, body: Box::new(RequestBody::OffsetCommit(body)) }
}

/// What was asked for, as one code; the partitions of one commit have one fate.
pub(super) fn committed(answer: &m::OffsetCommitResponse) -> i16 {
    let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.error_code);
    codes.max_by_key(|code| i32::from(*code != 0)).unwrap_or(0)
}

fn encode_part(partitions: &[i32]) -> Bytes {
    let mut bytes = BytesMut::new();
    partitions.iter().for_each(|partition| bytes.put_i32(*partition));
    bytes.freeze()
}

/// A member's part, as its leader has written it.
pub(super) fn decode_part(bytes: &[u8]) -> Vec<i32> {
    bytes
        .chunks_exact(4)
        .filter_map(|four| Some(i32::from_be_bytes(four.try_into().ok()?)))
        .collect()
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

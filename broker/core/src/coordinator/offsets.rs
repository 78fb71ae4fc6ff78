//! Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete, and deleted topics. Whether a topic
//! exists is for the caller to check; offsets that grow old are in `expire`.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
    offset_commit_request::OffsetCommitRequestPartition,
    offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    },
};
use kafka_protocol::protocol::StrBytes;

use super::group::{Group, OffsetKey, StoredOffset};
use super::leader::Context;
use super::members::{Live, Phase};
use super::record::Change;
use super::reply::{commit, text};
use super::{Coordinator, GroupResponse};
use crate::core::input::Token;

impl Context<'_> {
    /// An OffsetCommit request.
    pub(super) fn commit(&mut self, token: Token, version: i16, request: &OffsetCommitRequest) {
        if let Err(error) = self.may_commit(version, request) {
            let response = commit(request, |_| error.code());
            return self.reply(token, GroupResponse::Commit(response));
        }
        let bytes_max = self.config.offset_metadata_bytes_max;
        let fits = |p: &OffsetCommitRequestPartition| {
            p.committed_metadata.as_ref().is_none_or(|m| m.len() <= bytes_max)
        };
        let too_large = ResponseError::OffsetMetadataTooLarge.code();
        let response = commit(request, |p| if fits(p) { 0 } else { too_large });
        let mut offsets = Vec::new();
        for topic in &request.topics {
            for p in topic.partitions.iter().filter(|p| fits(p)) {
                let key = OffsetKey { topic: topic.name.to_string(), partition: p.partition_index };
                offsets.push((key, self.stored(request.retention_time_ms, p)));
            }
        }
        if offsets.is_empty() {
            return self.reply(token, GroupResponse::Commit(response));
        }
        let generation = request.generation_id_or_member_epoch.max(-1);
        let change = Change::Commit { generation, offsets };
        self.propose_for(token, &request.group_id, change, GroupResponse::Commit(response));
    }

    fn stored(&self, retention_ms: i64, p: &OffsetCommitRequestPartition) -> StoredOffset {
        let at_ms = self.now.wall_ms;
        StoredOffset {
            offset: p.committed_offset,
            leader_epoch: p.committed_leader_epoch,
            metadata: p.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default(),
            at_ms,
            expire_ms: (retention_ms >= 0).then(|| at_ms.saturating_add(retention_ms)),
            index: 0,
        }
    }

    /// Whether the request comes from a member of the current generation, or from outside of the
    /// protocol while nobody is in the group.
    fn may_commit(
        &mut self,
        version: i16,
        request: &OffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        let id = request.group_id.as_str();
        let given = request.generation_id_or_member_epoch;
        let instance = request.group_instance_id.as_deref();
        let now = self.now.mono;
        let live = self.leader.live.get_mut(id).filter(|l| !matches!(l.phase, Phase::Empty));
        let Some(live) = live else {
            return match self.groups.contains_key(id) {
                _ if given < 0 => Ok(()),
                true => Err(ResponseError::UnknownMemberId),
                false if version >= 9 => Err(ResponseError::GroupIdNotFound),
                false => Err(ResponseError::IllegalGeneration),
            };
        };
        let member = live.known(&request.member_id, instance)?;
        if given != self.groups.get(id).map_or(0, |g| g.generation) {
            return Err(ResponseError::IllegalGeneration);
        }
        member.heard(now);
        match live.phase {
            Phase::Empty | Phase::Preparing { .. } | Phase::Stable { .. } => Ok(()),
            // The generation that it knows is over, or has not got its assignment.
            Phase::Proposing { .. } | Phase::Completing { .. } => {
                Err(ResponseError::RebalanceInProgress)
            }
        }
    }

    /// An OffsetDelete request: for topics that no member reads.
    pub(super) fn delete_offsets(&mut self, token: Token, request: &OffsetDeleteRequest) {
        let id = request.group_id.as_str();
        let live = self.leader.live.get(id).filter(|l| !l.members.is_empty());
        let error = if live.is_none() && !self.groups.contains_key(id) {
            Some(ResponseError::GroupIdNotFound)
        } else if live.is_some_and(|l| l.protocol_type.as_deref() != Some("consumer")) {
            Some(ResponseError::NonEmptyGroup)
        } else {
            None
        };
        if let Some(error) = error {
            let response = OffsetDeleteResponse::default().with_error_code(error.code());
            return self.reply(token, GroupResponse::OffsetDelete(response));
        }
        let subscribed = subscribed_topics(live);
        let mut keys = Vec::new();
        let mut topics = Vec::new();
        for topic in &request.topics {
            let reads = subscribed.as_ref().is_none_or(|s| s.contains(topic.name.as_str()));
            let code = if reads { ResponseError::GroupSubscribedToTopic.code() } else { 0 };
            let mut partitions = Vec::new();
            for p in &topic.partitions {
                let partition = p.partition_index;
                partitions.push(
                    OffsetDeleteResponsePartition::default()
                        .with_partition_index(partition)
                        .with_error_code(code),
                );
                if !reads {
                    keys.push(OffsetKey { topic: topic.name.to_string(), partition });
                }
            }
            topics.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        let response =
            GroupResponse::OffsetDelete(OffsetDeleteResponse::default().with_topics(topics));
        if keys.is_empty() {
            return self.reply(token, response);
        }
        self.propose_for(token, id, Change::DeleteOffsets { keys }, response);
    }

    /// Forgets what was committed for `topics`, which are no more.
    pub(super) fn topics_deleted(&mut self, topics: &BTreeSet<String>) {
        for (id, group) in self.groups {
            let keys = group.offsets.keys().filter(|k| topics.contains(&k.topic));
            let keys: Vec<OffsetKey> = keys.cloned().collect();
            if !keys.is_empty() {
                self.propose(id, Change::DeleteOffsets { keys });
            }
        }
    }
}

impl Coordinator {
    /// What a group committed: its part of OffsetFetch 8-9. Versions below have [`single_group`]
    /// and [`single_response`]. A group that does not exist has committed nothing.
    #[must_use]
    pub fn fetch(&self, request: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
        let response = OffsetFetchResponseGroup::default().with_group_id(request.group_id.clone());
        if self.leader.is_none() {
            return response.with_error_code(ResponseError::NotCoordinator.code());
        }
        let group = self.groups.get(request.group_id.as_str());
        let topics = match &request.topics {
            Some(topics) => topics.iter().map(|t| fetch_topic(group, t)).collect(),
            None => group.map(fetch_all).unwrap_or_default(),
        };
        response.with_topics(topics)
    }
}

fn fetch_topic(
    group: Option<&Group>,
    topic: &OffsetFetchRequestTopics,
) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|&partition| {
        let key = OffsetKey { topic: topic.name.to_string(), partition };
        fetched(partition, group.and_then(|g| g.offsets.get(&key)))
    });
    OffsetFetchResponseTopics::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions.collect())
}

fn fetch_all(group: &Group) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: BTreeMap<&str, Vec<OffsetFetchResponsePartitions>> = BTreeMap::new();
    for (key, offset) in &group.offsets {
        topics.entry(&key.topic).or_default().push(fetched(key.partition, Some(offset)));
    }
    let one = |(name, partitions)| {
        OffsetFetchResponseTopics::default()
            .with_name(TopicName(text(name)))
            .with_partitions(partitions)
    };
    topics.into_iter().map(one).collect()
}

fn fetched(partition: i32, stored: Option<&StoredOffset>) -> OffsetFetchResponsePartitions {
    let metadata = stored.map(|s| text(&s.metadata)).unwrap_or_default();
    OffsetFetchResponsePartitions::default()
        .with_partition_index(partition)
        .with_committed_offset(stored.map_or(-1, |s| s.offset))
        .with_committed_leader_epoch(stored.map_or(-1, |s| s.leader_epoch))
        .with_metadata(Some(metadata))
}

/// The only group of an OffsetFetch 1-7, in the form of later versions.
#[must_use]
pub fn single_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        let one = |t: &kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic| {
            OffsetFetchRequestTopics::default()
                .with_name(t.name.clone())
                .with_partition_indexes(t.partition_indexes.clone())
        };
        topics.iter().map(one).collect()
    });
    OffsetFetchRequestGroup::default().with_group_id(request.group_id.clone()).with_topics(topics)
}

/// The answer to an OffsetFetch 1-7. Version 1 has no error of the group, so that of `request`'s
/// partitions says it.
#[must_use]
pub fn single_response(
    version: i16,
    request: &OffsetFetchRequest,
    group: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    let code = group.error_code;
    if code != 0 {
        let topics = request.topics.iter().flatten().map(|t| {
            let partitions = t.partition_indexes.iter().map(|&p| failed_partition(p, code));
            OffsetFetchResponseTopic::default()
                .with_name(t.name.clone())
                .with_partitions(partitions.collect())
        });
        let topics = if version < 2 { topics.collect() } else { Vec::new() };
        return OffsetFetchResponse::default()
            .with_topics(topics)
            .with_error_code(if version < 2 { 0 } else { code });
    }
    let topics = group.topics.into_iter().map(|t| {
        let partitions = t.partitions.into_iter().map(|p| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_committed_offset(p.committed_offset)
                .with_committed_leader_epoch(p.committed_leader_epoch)
                .with_metadata(p.metadata)
                .with_error_code(p.error_code)
        });
        OffsetFetchResponseTopic::default().with_name(t.name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn failed_partition(partition: i32, code: i16) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(partition)
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(StrBytes::default()))
        .with_error_code(code)
}

/// The topics that a consumer group's members subscribe to: none if nobody is in it, unknown if a
/// member's metadata is not what consumers write.
pub(super) fn subscribed_topics(live: Option<&Live>) -> Option<BTreeSet<String>> {
    let mut topics = BTreeSet::new();
    for member in live.iter().flat_map(|l| l.members.values()) {
        for (_, metadata) in &member.member.protocols {
            topics.extend(topics_of(metadata)?);
        }
    }
    Some(topics)
}

/// `version i16, topics [string]`: the beginning of the consumer protocol's subscription, equal in
/// all its versions.
fn topics_of(metadata: &[u8]) -> Option<Vec<String>> {
    let (_, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        let (topic, after) = after.split_at_checked(len)?;
        topics.push(std::str::from_utf8(topic).ok()?.to_owned());
        rest = after;
    }
    Some(topics)
}

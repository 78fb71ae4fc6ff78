//! OffsetCommit: the coordinator keeps offsets of topics that exist; the others are refused here.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};

use super::{Call, groups, view};
use crate::coordinator::GroupRequest;
use crate::core::Core;
use crate::error::KafkaError;
use crate::log::disk::Disk;

/// What was asked for, in its order, with what was refused before the coordinator saw it.
#[derive(Debug, Clone)]
pub(super) struct Asked(Vec<(TopicName, Vec<AskedPartition>)>);

/// A partition, and why it was refused if it was.
type AskedPartition = (i32, Option<KafkaError>);

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, mut request: OffsetCommitRequest) {
    let mut asked = Vec::new();
    for topic in &mut request.topics {
        let check = |index| view::find_partition(&core.meta, topic.name.as_str(), index).err();
        let partitions: Vec<AskedPartition> = topic
            .partitions
            .iter()
            .map(|p| (p.partition_index, check(p.partition_index)))
            .collect();
        let known = |index| partitions.contains(&(index, None));
        topic.partitions.retain(|p| known(p.partition_index));
        asked.push((topic.name.clone(), partitions));
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let group = request.group_id.clone();
    // Even with nothing left: whether the member may commit is for the coordinator to say.
    groups::ask_commit(core, call, &group, Asked(asked), GroupRequest::Commit(request));
}

impl Asked {
    /// The answer: the coordinator's word on what it saw, and the refusals.
    pub(super) fn complete(&self, answered: &OffsetCommitResponse) -> OffsetCommitResponse {
        let codes: BTreeMap<(&TopicName, i32), i16> = answered
            .topics
            .iter()
            .flat_map(|t| {
                t.partitions.iter().map(move |p| ((&t.name, p.partition_index), p.error_code))
            })
            .collect();
        let topics = self.0.iter().map(|(name, partitions)| {
            let partitions = partitions.iter().map(|(index, refused)| {
                let code = match refused {
                    Some(error) => error.code(),
                    None => *codes
                        .get(&(name, *index))
                        .unwrap_or(&KafkaError::UnknownServerError.code()),
                };
                OffsetCommitResponsePartition::default()
                    .with_partition_index(*index)
                    .with_error_code(code)
            });
            OffsetCommitResponseTopic::default()
                .with_name(name.clone())
                .with_partitions(partitions.collect())
        });
        OffsetCommitResponse::default()
            .with_throttle_time_ms(answered.throttle_time_ms)
            .with_topics(topics.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::text;

    #[test]
    fn refusals_and_answers_come_in_the_order_of_the_request() {
        let name = TopicName(text("t"));
        let asked = Asked(vec![(
            name.clone(),
            vec![(3, Some(KafkaError::UnknownTopicOrPartition)), (0, None)],
        )]);
        let answered = OffsetCommitResponse::default().with_topics(vec![
            OffsetCommitResponseTopic::default().with_name(name).with_partitions(vec![
                OffsetCommitResponsePartition::default()
                    .with_partition_index(0)
                    .with_error_code(27),
            ]),
        ]);
        let complete = asked.complete(&answered);
        let codes: Vec<(i32, i16)> = complete.topics[0]
            .partitions
            .iter()
            .map(|p| (p.partition_index, p.error_code))
            .collect();
        assert_eq!(codes, [(3, 3), (0, 27)]);
    }
}

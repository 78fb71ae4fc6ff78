//! DeleteRecords: moves log starts by replicated entries, on the partitions that this broker leads.

use std::collections::BTreeMap;

use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};

use super::gather::Gather;
use super::{Call, view};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::{Micros, Offset, PartitionId};
use crate::log::disk::Disk;

/// Deletes all that is committed.
const HIGH_WATERMARK: Offset = -1;

type Part = (TopicName, DeleteRecordsPartitionResult);

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DeleteRecordsRequest) {
    let timeout = u64::from(request.timeout_ms.max(0).unsigned_abs());
    let deadline = core.now.mono.after(Micros::from_millis(timeout));
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    let answered = call.clone();
    let gather = Gather::new(core, count, move |core, parts: Vec<Part>| {
        let mut topics: BTreeMap<TopicName, Vec<DeleteRecordsPartitionResult>> = BTreeMap::new();
        for (topic, part) in parts {
            topics.entry(topic).or_default().push(part);
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            DeleteRecordsTopicResult::default().with_name(name).with_partitions(partitions)
        });
        let response = DeleteRecordsResponse::default().with_topics(topics.collect());
        answered.answer(core, response);
    });
    let all = request.topics.iter().flat_map(|t| t.partitions.iter().map(move |p| (&t.name, p)));
    for (position, (topic, asked)) in all.enumerate() {
        let (topic, index) = (topic.clone(), asked.partition_index);
        let gather = gather.clone();
        let plan = plan(core, topic.as_str(), index, asked.offset);
        let done = move |core: &mut Core<D>, result: Result<Offset, KafkaError>| {
            let part = DeleteRecordsPartitionResult::default()
                .with_partition_index(index)
                .with_low_watermark(result.unwrap_or(-1))
                .with_error_code(KafkaError::code_of(result.err()));
            gather.put(core, position, (topic, part));
        };
        match plan {
            Err(error) => done(core, Err(error)),
            Ok(Plan::Nothing { start }) => done(core, Ok(start)),
            Ok(Plan::Move { id, to }) => {
                core.propose_log_start(id, to, deadline, move |core, moved| {
                    let start = core.replicas.get(&id).map_or(to, |r| r.group.log().log_start());
                    done(core, moved.map(|()| start.max(to)));
                })
            }
        }
    }
}

enum Plan {
    /// The log starts there or later.
    Nothing {
        start: Offset,
    },
    Move {
        id: PartitionId,
        to: Offset,
    },
}

fn plan<D: Disk>(
    core: &Core<D>,
    topic: &str,
    index: i32,
    offset: Offset,
) -> Result<Plan, KafkaError> {
    let id = view::find_partition(&core.meta, topic, index)?;
    if core.meta.topic(id.topic).is_some_and(|topic| topic.internal) {
        return Err(KafkaError::InvalidTopicException);
    }
    view::check_leads(core, id, -1)?;
    let replica = core.replicas.get(&id).ok_or(KafkaError::NotLeaderOrFollower)?;
    if !replica.group.leads_and_knows() {
        return Err(KafkaError::LeaderNotAvailable);
    }
    let log = replica.group.log();
    let end =
        log.offset_after(replica.group.committed()).map_err(|_| KafkaError::KafkaStorageError)?;
    let to = if offset == HIGH_WATERMARK { end } else { offset };
    match log.log_start() {
        _ if to < 0 || to > end => Err(KafkaError::OffsetOutOfRange),
        start if to <= start => Ok(Plan::Nothing { start }),
        _ => Ok(Plan::Move { id, to }),
    }
}

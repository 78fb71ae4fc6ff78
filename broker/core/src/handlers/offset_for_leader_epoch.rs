//! OffsetForLeaderEpoch: where a term's records end, so that a consumer sees whether what it has
//! read is still in the log.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Call, view};
use crate::core::{Core, epoch};
use crate::error::KafkaError;
use crate::ids::{Offset, Term};
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(
    core: &mut Core<D>,
    call: &Call,
    request: &OffsetForLeaderEpochRequest,
) {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let end = EpochEndOffset::default().with_partition(asked.partition);
            match find(core, topic.topic.as_str(), asked) {
                Ok(Some((term, offset))) => {
                    end.with_leader_epoch(epoch(term)).with_end_offset(offset)
                }
                Ok(None) => end,
                Err(error) => end.with_error_code(error.code()),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    call.answer(core, OffsetForLeaderEpochResponse::default().with_topics(topics));
}

/// The latest term with entries that is not after the asked one, and the offset after them. None if
/// the asked one is ahead of this leader, or before all that the log has.
fn find<D: Disk>(
    core: &Core<D>,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<(Term, Offset)>, KafkaError> {
    let id = view::find_partition(&core.meta, topic, asked.partition)?;
    view::check_leads(core, id, asked.current_leader_epoch)?;
    let replica = core.replicas.get(&id).ok_or(KafkaError::NotLeaderOrFollower)?;
    if !replica.group.leads_and_knows() {
        return Err(KafkaError::OffsetNotAvailable);
    }
    let Ok(term) = Term::try_from(asked.leader_epoch) else { return Ok(None) };
    if term > replica.group.term() {
        return Ok(None);
    }
    let log = replica.group.log();
    log.end_of_term(term, replica.group.committed()).map_err(|_| KafkaError::KafkaStorageError)
}

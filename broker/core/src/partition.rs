//! What a data group means: records of users, under offsets. Producing, fetching, retention, and
//! the state of idempotent producers.

pub mod fetch;
pub mod produce;
pub mod producers;
pub mod refused;
mod retention;

use std::sync::Arc;

use bytes::Bytes;

use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::PartitionId;
use crate::log::disk::Disk;
use crate::log::entry::BatchInfo;
use crate::meta::configs::TopicConfig;
use crate::wire::TopicRef;
use crate::wire::batch::BatchHeader;
use crate::wire::records::BatchBuilder;

/// A partition's own state, beside its log.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Idempotent producers, as of the last applied entry.
    pub(crate) producers: producers::Producers,
    /// Their batches that this leader has proposed in its term.
    pub(crate) in_flight: producers::InFlight,
    /// The topic's configs.
    pub(crate) config: Arc<TopicConfig>,
}

/// What the log keeps of a batch that is proposed at `wall_ms`.
pub(crate) fn batch_info(header: &BatchHeader, wall_ms: i64) -> BatchInfo {
    BatchInfo {
        base_offset: header.base_offset,
        records: header.records.unsigned_abs(),
        len: u32::try_from(header.len).unwrap_or(u32::MAX),
        crc: header.crc,
        max_timestamp: header.max_timestamp,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        append_ms: wall_ms,
    }
}

/// A command of a group that keeps no records of users, as a batch of one record.
pub(crate) fn internal_batch(
    wall_ms: i64,
    key: Option<&[u8]>,
    command: &Bytes,
) -> (BatchInfo, Bytes) {
    let batch = BatchBuilder::new(wall_ms).record(key, Some(command)).build();
    let header = BatchHeader::parse(&batch).expect("a batch that was just built has a header");
    (batch_info(&header, wall_ms), batch)
}

/// The partition that a request names, if the cluster has it.
pub(crate) fn named<D: Disk>(
    core: &Core<D>,
    topic: &TopicRef,
    partition: i32,
) -> Result<PartitionId, KafkaError> {
    let (found, unknown) = match topic {
        TopicRef::Name(name) => {
            (core.meta.topic_by_name(name), KafkaError::UnknownTopicOrPartition)
        }
        TopicRef::Id(id) => (core.meta.topic(*id), KafkaError::UnknownTopicId),
    };
    let topic = found.ok_or(unknown)?;
    let number = u32::try_from(partition).ok().filter(|number| *number < topic.partitions);
    let number = number.ok_or(KafkaError::UnknownTopicOrPartition)?;
    Ok(PartitionId::new(topic.id, number))
}

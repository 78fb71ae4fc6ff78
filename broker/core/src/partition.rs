//! What a data group means: records of users, under offsets. Producing, fetching, retention, and
//! the state of idempotent producers.

pub mod fetch;
pub mod produce;
pub mod producers;
mod retention;

use bytes::Bytes;

use crate::log::entry::BatchInfo;
use crate::wire::batch::BatchHeader;
use crate::wire::records::BatchBuilder;

/// A partition's own state, beside its log.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// Idempotent producers.
    pub(crate) producers: producers::Producers,
}

/// What the log keeps of a batch.
pub(crate) fn batch_info(header: &BatchHeader) -> BatchInfo {
    BatchInfo {
        base_offset: header.base_offset,
        records: header.records(),
        len: header.total_len(),
        crc: header.crc,
        max_timestamp: header.max_timestamp,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
    }
}

/// A command of a group that keeps no records of users, as a batch of one record.
pub(crate) fn internal_batch(wall_ms: i64, command: Bytes) -> (BatchInfo, Bytes) {
    let batch = BatchBuilder::new(wall_ms).record(None, Some(command)).build();
    let header = BatchHeader::parse(&batch).expect("a batch that was just built has a header");
    (batch_info(&header), batch)
}

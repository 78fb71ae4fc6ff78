//! The records that clients write. Each has a name, so that it is known again wherever it turns up.

use bytes::Bytes;
use chronik_core::ids::Uuid;
use chronik_core::wire::produce::{ProducePartition, ProduceRequest, ProduceTopic};
use chronik_core::wire::records::{BatchBuilder, Record};
use chronik_core::wire::{RequestBody, StrBytes, TopicRef};

use super::Action;
use crate::invariants::Serial;

/// What every record of a client of this world has as its key.
const KEY: &[u8] = b"sim";

/// Producers from this number on belong to churners.
const CHURNERS_FROM: u64 = 1 << 32;

/// The record's name, if a client of this world wrote it.
pub(crate) fn serial_of(record: &Record) -> Option<Serial> {
    if record.key.as_deref() != Some(KEY) {
        return None;
    }
    let value: [u8; 16] = record.value.as_deref()?.get(..16)?.try_into().ok()?;
    let word = u128::from_be_bytes(value);
    Some(((word >> 64) as u64, word as u64))
}

/// Whether a producer sends a batch again whose outcome it does not know, which only one that is
/// idempotent may: its number says so.
pub(crate) fn repeats(producer: u64) -> bool {
    producer.is_multiple_of(2)
}

/// The number of the `n`th producer of a kind.
pub(super) fn producer_number(n: u64, idempotent: bool) -> u64 {
    2 * n + u64::from(!idempotent)
}

/// The number under which the `n`th churner produces: it never repeats a batch.
pub(super) fn churner_number(n: u64) -> u64 {
    CHURNERS_FROM + producer_number(n, false)
}

/// An idempotent producer's id, epoch and the sequence of a batch.
pub(super) type Sequence = (i64, i16, i32);

/// One batch of records.
pub(super) fn batch(serials: &[Serial], sequence: Option<Sequence>, wall_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new(wall_ms);
    if let Some((id, epoch, sequence)) = sequence {
        builder = builder.producer(id, epoch, sequence);
    }
    for (producer, number) in serials {
        let mut value = [0x5a_u8; 64];
        let name = (u128::from(*producer) << 64 | u128::from(*number)).to_be_bytes();
        value[..16].copy_from_slice(&name);
        builder = builder.record(Some(KEY), Some(&value));
    }
    builder.build()
}

/// Where a batch is to go.
pub(super) struct Target<'a> {
    pub(super) to: chronik_core::ids::BrokerId,
    pub(super) name: &'a str,
    /// By id, if it is given.
    pub(super) id: Option<Uuid>,
    pub(super) partition: i32,
}

/// Asks for a batch to be appended.
pub(super) fn produce(target: &Target<'_>, acks: i16, records: Bytes) -> Action {
    let (topic, version) = match target.id {
        Some(id) => (TopicRef::Id(id), 13),
        None => (TopicRef::Name(StrBytes::from_string(target.name.to_owned())), 11),
    };
    let partition = ProducePartition { index: target.partition, records: Some(records) };
    let body = RequestBody::Produce(ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 4_000,
        topics: vec![ProduceTopic { topic, partitions: vec![partition] }],
    });
    Action::Ask { to: target.to, version, body: Box::new(body) }
}

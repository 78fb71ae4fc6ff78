//! The header of a record batch (format 2): reading, checking, and the few fields that a broker
//! sets. Records are not looked into, except that uncompressed ones are counted; see `records`.
//!
//! ```text
//!  0 base offset  8 length (of what follows it)  12 leader epoch  16 magic  17 crc (of all that follows it)
//! 21 attributes  23 last offset delta  27 base timestamp  35 max timestamp  43 producer id
//! 51 producer epoch  53 base sequence  57 number of records  61 records
//! ```

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use crate::error::KafkaError;
use crate::wire::compression::Codec;
use crate::wire::records;

/// The header's length.
pub const HEADER_BYTES: usize = 61;
/// Base offset and length: what the length field does not count.
const PREAMBLE_BYTES: usize = 12;
const MAGIC: i8 = 2;

const BASE_OFFSET: Range<usize> = 0..8;
const LEADER_EPOCH: Range<usize> = 12..16;
const MAGIC_AT: usize = 16;
const CRC: Range<usize> = 17..21;
/// The checksum covers everything from here on.
const CHECKED_FROM: usize = 21;
const ATTRIBUTES: Range<usize> = 21..23;
const MAX_TIMESTAMP: Range<usize> = 35..43;

const CODEC_BITS: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// The header of a record batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// The offset of the first record.
    pub base_offset: i64,
    /// The length of the whole batch, header included.
    pub len: usize,
    /// The leader epoch (term) in which it was appended.
    pub leader_epoch: i32,
    /// CRC-32C of everything after this field.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: i16,
    /// The last record's offset less the first one's.
    pub last_offset_delta: i32,
    /// What the records' timestamps are relative to.
    pub base_timestamp: i64,
    /// The latest timestamp.
    pub max_timestamp: i64,
    /// The idempotent producer; -1 for none.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The first record's sequence number.
    pub base_sequence: i32,
    /// How many records there are.
    pub records: i32,
}

/// Why a record batch is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No bytes at all.
    #[error("there is no record batch where exactly one is required")]
    Missing,
    /// Fewer bytes than a header, or than the header says.
    #[error("a record batch of {needed} bytes ends after {len}")]
    Short {
        /// How many bytes it takes.
        needed: usize,
        /// How many there are.
        len: usize,
    },
    /// A length field that is too small for a header.
    #[error("a record batch has the length {0}")]
    Length(i32),
    /// More bytes than the one batch that a partition of a request may have.
    #[error("{0} bytes follow the record batch, where exactly one is allowed")]
    Trailing(usize),
    /// The format of clients before Kafka 0.11.
    #[error("a record batch has format {0}, but only format 2 is supported")]
    OldFormat(i8),
    /// No format that was ever in use.
    #[error("a record batch has the unknown format {0}")]
    Magic(i8),
    /// The checksum is wrong.
    #[error("a record batch has the checksum {stored:#010x} but its bytes have {computed:#010x}")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes have.
        computed: u32,
    },
    /// The number of records is not positive, or not that of the offsets or of the bytes.
    #[error(
        "a record batch says that it has {records} records over {offsets} offsets, which does not fit its bytes"
    )]
    Count {
        /// How many records the header tells of.
        records: i32,
        /// How many offsets the header spans.
        offsets: i64,
    },
    /// A compression that is not known.
    #[error("a record batch has the unknown compression {0}")]
    Codec(i16),
    /// Clients may not write control batches.
    #[error("a client has sent a control batch")]
    Control,
    /// Producer id, epoch and sequence contradict each other.
    #[error("a record batch of producer {id} has epoch {epoch} and sequence {sequence}")]
    Producer {
        /// The producer id.
        id: i64,
        /// Its epoch.
        epoch: i16,
        /// The first sequence number.
        sequence: i32,
    },
}

impl BatchError {
    /// What the producer is answered.
    #[must_use]
    pub const fn kafka_error(&self) -> KafkaError {
        match self {
            BatchError::Short { .. }
            | BatchError::Length(_)
            | BatchError::Magic(_)
            | BatchError::Crc { .. } => KafkaError::CorruptMessage,
            BatchError::OldFormat(_) => KafkaError::UnsupportedForMessageFormat,
            BatchError::Codec(_) => KafkaError::UnsupportedCompressionType,
            BatchError::Missing
            | BatchError::Trailing(_)
            | BatchError::Count { .. }
            | BatchError::Control
            | BatchError::Producer { .. } => KafkaError::InvalidRecord,
        }
    }
}

impl BatchHeader {
    /// Reads the header that `bytes` begin with; more may follow than this batch, or less.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if let Some(&magic) = bytes.get(MAGIC_AT) {
            match magic.cast_signed() {
                MAGIC => {}
                old @ 0..MAGIC => return Err(BatchError::OldFormat(old)),
                unknown => return Err(BatchError::Magic(unknown)),
            }
        }
        let Some(mut b) = bytes.get(..HEADER_BYTES) else {
            return Err(BatchError::Short { needed: HEADER_BYTES, len: bytes.len() });
        };
        let base_offset = b.get_i64();
        let length = b.get_i32();
        let len = usize::try_from(length).ok().and_then(|n| n.checked_add(PREAMBLE_BYTES));
        let Some(len) = len.filter(|len| *len >= HEADER_BYTES) else {
            return Err(BatchError::Length(length));
        };
        let leader_epoch = b.get_i32();
        b.advance(size_of::<i8>());
        Ok(BatchHeader {
            base_offset,
            len,
            leader_epoch,
            crc: b.get_u32(),
            attributes: b.get_i16(),
            last_offset_delta: b.get_i32(),
            base_timestamp: b.get_i64(),
            max_timestamp: b.get_i64(),
            producer_id: b.get_i64(),
            producer_epoch: b.get_i16(),
            base_sequence: b.get_i32(),
            records: b.get_i32(),
        })
    }

    /// The offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(self.last_offset_delta.into())
    }

    /// How the records are compressed; an error if nobody knows.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let bits = self.attributes & CODEC_BITS;
        Codec::from_bits(bits).ok_or(BatchError::Codec(bits))
    }

    /// Whether all records have the broker's timestamp, which is `max_timestamp`.
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether it is part of a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it is a control batch: a transaction's end.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether an idempotent producer wrote it.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// That number of records and span of offsets are the same, and positive.
    fn check_count(&self) -> Result<(), BatchError> {
        let offsets = i64::from(self.last_offset_delta) + 1;
        if self.records < 1 || i64::from(self.records) != offsets {
            return Err(BatchError::Count { records: self.records, offsets });
        }
        Ok(())
    }

    /// That an idempotent producer's fields are all there. Without a producer id the others mean
    /// nothing, and clients differ in what they put there.
    fn check_producer(&self) -> Result<(), BatchError> {
        let (id, epoch, sequence) = (self.producer_id, self.producer_epoch, self.base_sequence);
        let sound = match id {
            -1 => !self.is_transactional(),
            _ => id >= 0 && epoch >= 0 && sequence >= 0,
        };
        if sound { Ok(()) } else { Err(BatchError::Producer { id, epoch, sequence }) }
    }
}

/// Checks what a producer sent for one partition: exactly one batch, undamaged, and nothing in its
/// header that would lie to those who read it later.
pub fn validate(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    if batch.is_empty() {
        return Err(BatchError::Missing);
    }
    let header = BatchHeader::parse(batch)?;
    if header.len > batch.len() {
        return Err(BatchError::Short { needed: header.len, len: batch.len() });
    }
    if header.len < batch.len() {
        return Err(BatchError::Trailing(batch.len() - header.len));
    }
    check_crc(batch, header.crc)?;
    if header.is_control() {
        return Err(BatchError::Control);
    }
    header.check_count()?;
    header.check_producer()?;
    if header.codec()? == Codec::None {
        let body = batch.get(HEADER_BYTES..).unwrap_or_default();
        if !records::tiles(body, header.records) {
            let offsets = i64::from(header.last_offset_delta) + 1;
            return Err(BatchError::Count { records: header.records, offsets });
        }
    }
    Ok(header)
}

/// Checks the checksum only, as for batches that were validated when they came in.
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    check_crc(batch, BatchHeader::parse(batch)?.crc)
}

fn check_crc(batch: &[u8], stored: u32) -> Result<(), BatchError> {
    let computed = crc_of(batch);
    if computed == stored { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
}

fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CHECKED_FROM..).unwrap_or_default())
}

/// Gives a validated batch its place in the log: base offset and leader epoch. Both lie outside the
/// checksum. In place if `batch` is the only handle to its memory, otherwise with one copy, which
/// then no longer keeps the whole request alive.
#[must_use]
pub fn patch(batch: Bytes, base_offset: i64, leader_epoch: i32) -> Bytes {
    let mut batch = match batch.try_into_mut() {
        Ok(own) => own,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    set_base_offset(&mut batch, base_offset);
    set_leader_epoch(&mut batch, leader_epoch);
    batch.freeze()
}

/// Sets the offset of the first record.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) {
    put(batch, BASE_OFFSET, &base_offset.to_be_bytes());
}

/// Sets the leader epoch.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: i32) {
    put(batch, LEADER_EPOCH, &leader_epoch.to_be_bytes());
}

/// Gives all records the broker's time, for topics with LogAppendTime. The one change that needs a
/// new checksum.
pub fn set_log_append_time(batch: &mut [u8], wall_ms: i64) {
    let attributes = batch.get(ATTRIBUTES).and_then(|b| b.first_chunk()).copied();
    let attributes = i16::from_be_bytes(attributes.unwrap_or_default()) | LOG_APPEND_TIME;
    put(batch, ATTRIBUTES, &attributes.to_be_bytes());
    put(batch, MAX_TIMESTAMP, &wall_ms.to_be_bytes());
    set_crc(batch);
}

/// Sets the checksum.
pub(super) fn set_crc(batch: &mut [u8]) {
    let crc = crc_of(batch);
    put(batch, CRC, &crc.to_be_bytes());
}

/// Overwrites a field.
fn put(batch: &mut [u8], field: Range<usize>, value: &[u8]) {
    batch
        .get_mut(field)
        .expect("only batches whose header was parsed are changed")
        .copy_from_slice(value);
}

//! What a raft entry is to the log: a descriptor that travels in `Entry.data`, and a payload that
//! does not. Every entry takes a raft index; only record batches take Kafka offsets. What the
//! records mean is left to others.

use bytes::{Buf, Bytes};
use chronik_raft_bridge::{decode_conf_change, encode_conf_change_v2};
use raft::eraftpb::{ConfChangeSingle, ConfChangeV2, Entry as RaftEntry, EntryType};

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Offset, Term};

/// The version of [`Entry::to_raft`]'s descriptor.
const VERSION: u8 = 1;
/// The length of a record batch's header; none is shorter.
pub const BATCH_HEADER_BYTES: usize = 61;
const BATCH_CRC_AT: usize = 17;
/// The format of batches (KIP-98); it lies right before the checksum, and outside of it.
const BATCH_MAGIC: u8 = 2;
const BATCH_CRC_FROM: usize = 21;

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Nothing: a leader's first entry, or a refused membership change.
    Noop,
    /// A membership change.
    ConfChange,
    /// The log start offset moves.
    LogStart,
    /// A record batch.
    Batch,
}

impl Kind {
    /// Its byte on disk and on the wire.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Kind::Noop => 0,
            Kind::ConfChange => 1,
            Kind::LogStart => 2,
            Kind::Batch => 3,
        }
    }

    /// The kind with this byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Noop, Kind::ConfChange, Kind::LogStart, Kind::Batch]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// A record batch without its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchInfo {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// How many offsets it takes.
    pub records: u32,
    /// Its length in bytes, header included.
    pub len: u32,
    /// The batch's own CRC-32C field.
    pub crc: u32,
    /// The latest timestamp in it, in milliseconds; -1 if there is none.
    pub max_timestamp: i64,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// The sequence of the first record, or -1.
    pub base_sequence: i32,
    /// The leader's wall clock when it proposed the batch: producers expire by it.
    pub append_ms: i64,
}

impl BatchInfo {
    /// The offset after its last record.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.base_offset.saturating_add(i64::from(self.records))
    }

    /// Whether `payload` is the batch that this describes, undamaged.
    #[must_use]
    pub fn matches(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == u64::from(self.len) && batch_is_sound(payload, self.crc)
    }
}

/// What an entry carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Nothing.
    Noop,
    /// The bytes of a `ConfChangeV2`.
    ConfChange(Bytes),
    /// The new log start offset.
    LogStart(Offset),
    /// A whole record batch, with base offset and leader epoch already in it.
    Batch(BatchInfo, Bytes),
}

/// An entry as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its raft index.
    pub index: Index,
    /// The term of the leader that proposed it.
    pub term: Term,
    /// What it carries.
    pub body: Body,
}

/// What `Entry.data` of a raft entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Descriptor {
    /// Nothing.
    Noop,
    /// A membership change; its bytes are the raft entry's own.
    ConfChange,
    /// The new log start offset.
    LogStart(Offset),
    /// A record batch that travels beside the entry.
    Batch(BatchInfo),
}

impl Descriptor {
    /// How many bytes lie outside the entry.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match self {
            Descriptor::Batch(info) => info.len as usize,
            Descriptor::Noop | Descriptor::ConfChange | Descriptor::LogStart(_) => 0,
        }
    }
}

/// A raft entry, or its payload, that makes no sense.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EntryError {
    /// The descriptor does not decode.
    #[error("the descriptor of entry {index} does not decode")]
    Descriptor {
        /// The entry.
        index: Index,
        /// Why.
        source: CodecError,
    },
    /// A membership change does not decode.
    #[error("the membership change of entry {index} does not decode: {reason}")]
    ConfChange {
        /// The entry.
        index: Index,
        /// Why.
        reason: String,
    },
    /// A batch came without its payload.
    #[error("entry {index} came without its payload")]
    Missing {
        /// The entry.
        index: Index,
    },
    /// The payload is not the one that the descriptor names.
    #[error("the payload of entry {index} is not what its descriptor says: {what} differs")]
    Mismatch {
        /// The entry.
        index: Index,
        /// The field.
        what: &'static str,
    },
}

impl Entry {
    /// The raft entry: a descriptor, never the payload.
    #[must_use]
    pub fn to_raft(&self) -> RaftEntry {
        let mut raft = RaftEntry { index: self.index, term: self.term, ..RaftEntry::default() };
        match &self.body {
            Body::Noop => {}
            Body::ConfChange(change) => {
                raft.set_entry_type(EntryType::EntryConfChangeV2);
                raft.data = change.to_vec();
            }
            Body::LogStart(offset) => raft.data = log_start_data(*offset),
            Body::Batch(info, _) => raft.data = batch_data(info),
        }
        raft
    }

    /// The entry of a raft entry and the payload that came beside it, which must be the one that
    /// the descriptor names.
    pub fn from_raft(raft: &RaftEntry, payload: Option<Bytes>) -> Result<Entry, EntryError> {
        let index = raft.index;
        let body = match describe(raft)? {
            Descriptor::Noop => Body::Noop,
            Descriptor::LogStart(offset) => Body::LogStart(offset),
            Descriptor::ConfChange => Body::ConfChange(conf_change_bytes(raft)?),
            Descriptor::Batch(info) => {
                let payload = payload.ok_or(EntryError::Missing { index })?;
                check_payload(index, &info, &payload)?;
                Body::Batch(info, payload)
            }
        };
        Ok(Entry { index, term: raft.term, body })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.body {
            Body::Noop => Kind::Noop,
            Body::ConfChange(_) => Kind::ConfChange,
            Body::LogStart(_) => Kind::LogStart,
            Body::Batch(..) => Kind::Batch,
        }
    }

    /// The record batch, if it is one.
    #[must_use]
    pub fn payload(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Batch(_, payload) => Some(payload),
            Body::Noop | Body::ConfChange(_) | Body::LogStart(_) => None,
        }
    }

    /// The record batch's description, if it is one.
    #[must_use]
    pub fn info(&self) -> Option<&BatchInfo> {
        match &self.body {
            Body::Batch(info, _) => Some(info),
            Body::Noop | Body::ConfChange(_) | Body::LogStart(_) => None,
        }
    }
}

/// What a raft entry's own bytes say.
pub fn describe(raft: &RaftEntry) -> Result<Descriptor, EntryError> {
    match raft.get_entry_type() {
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => Ok(Descriptor::ConfChange),
        EntryType::EntryNormal if raft.data.is_empty() => Ok(Descriptor::Noop),
        EntryType::EntryNormal => descriptor(&raft.data)
            .map_err(|source| EntryError::Descriptor { index: raft.index, source }),
    }
}

/// The `Entry.data` of a record batch: what its leader proposes.
#[must_use]
pub fn batch_data(info: &BatchInfo) -> Vec<u8> {
    let BatchInfo {
        base_offset,
        records,
        len,
        crc,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        append_ms,
    } = *info;
    let mut w = Writer::new();
    w.u8(VERSION).u8(Kind::Batch.byte()).i64(base_offset).u32(records).u32(len).u32(crc);
    w.i64(max_timestamp).i64(producer_id).i16(producer_epoch).i32(base_sequence);
    w.i64(append_ms);
    w.finish().into()
}

/// The `Entry.data` that moves the log start.
#[must_use]
pub fn log_start_data(offset: Offset) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(VERSION).u8(Kind::LogStart.byte()).i64(offset);
    w.finish().into()
}

fn descriptor(data: &[u8]) -> Result<Descriptor, CodecError> {
    let mut r = Reader::new(data);
    let version = r.u8("descriptor version")?;
    if version != VERSION {
        return Err(CodecError::Unknown { what: "descriptor version", value: version.into() });
    }
    let kind = r.u8("descriptor kind")?;
    let found = match Kind::from_byte(kind) {
        Some(Kind::LogStart) => Descriptor::LogStart(r.i64("log start")?),
        Some(Kind::Batch) => Descriptor::Batch(BatchInfo {
            base_offset: r.i64("base offset")?,
            records: r.u32("records")?,
            len: r.u32("length")?,
            crc: r.u32("crc")?,
            max_timestamp: r.i64("max timestamp")?,
            producer_id: r.i64("producer id")?,
            producer_epoch: r.i16("producer epoch")?,
            base_sequence: r.i32("base sequence")?,
            append_ms: r.i64("append time")?,
        }),
        Some(Kind::Noop | Kind::ConfChange) | None => {
            return Err(CodecError::Unknown { what: "descriptor kind", value: kind.into() });
        }
    };
    r.end()?;
    Ok(found)
}

fn conf_change_bytes(raft: &RaftEntry) -> Result<Bytes, EntryError> {
    let fail = |reason: String| EntryError::ConfChange { index: raft.index, reason };
    match raft.get_entry_type() {
        EntryType::EntryConfChange => {
            let change = decode_conf_change(&raft.data).map_err(|e| fail(e.to_string()))?;
            let single =
                ConfChangeSingle { change_type: change.change_type, node_id: change.node_id };
            let change = ConfChangeV2 {
                changes: vec![single],
                context: change.context,
                ..ConfChangeV2::default()
            };
            Ok(encode_conf_change_v2(&change).map_err(|e| fail(e.to_string()))?.into())
        }
        EntryType::EntryConfChangeV2 | EntryType::EntryNormal => {
            Ok(Bytes::copy_from_slice(&raft.data))
        }
    }
}

fn check_payload(index: Index, info: &BatchInfo, payload: &[u8]) -> Result<(), EntryError> {
    let mismatch = |what| Err(EntryError::Mismatch { index, what });
    if payload.len() as u64 != u64::from(info.len) || payload.len() < BATCH_HEADER_BYTES {
        return mismatch("length");
    }
    match crc_field(payload) {
        Some(crc) if crc == info.crc => Ok(()),
        Some(_) | None => mismatch("crc"),
    }
}

fn crc_field(batch: &[u8]) -> Option<u32> {
    let field = batch.get(BATCH_CRC_AT..BATCH_CRC_FROM)?;
    Some(u32::from_be_bytes(field.try_into().ok()?))
}

/// Whether a record batch says of itself where it is, and that it is one: all of that lies outside of
/// its checksum.
#[must_use]
pub fn batch_is_placed(batch: &[u8], base_offset: Offset, term: Term) -> bool {
    let Some(mut head) = batch.get(..BATCH_CRC_AT) else { return false };
    let (offset, len, epoch) = (head.get_i64(), head.get_u32() as usize, head.get_i32());
    let is_batch = head.get_u8() == BATCH_MAGIC;
    let rest = batch.len() - size_of::<i64>() - size_of::<u32>();
    is_batch
        && offset == base_offset
        && len == rest
        && i32::try_from(term).unwrap_or(i32::MAX) == epoch
}

/// Whether a record batch's bytes fit its own checksum, and that one is `crc`.
#[must_use]
pub fn batch_is_sound(batch: &[u8], crc: u32) -> bool {
    crc_field(batch) == Some(crc)
        && batch.get(BATCH_CRC_FROM..).is_some_and(|rest| crc32c::crc32c(rest) == crc)
}

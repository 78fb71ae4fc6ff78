//! The fixed index row of one entry: the lines of an `.idx` file, and the head of an entry's
//! record in the write-ahead log. 88 bytes, big-endian, the last four a CRC-32C of the rest.

use bytes::{Buf, BufMut, Bytes};

use crate::ids::{Index, Offset, Term};
use crate::log::entry::{BatchInfo, Body, Entry, Kind};

/// The length of a row.
pub const ROW_BYTES: usize = 88;
const VERSION: u8 = 1;

/// All that is known of an entry without its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its raft index.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// What it is.
    pub kind: Kind,
    /// The offset of its first record; for other kinds the offset of the batch that comes next.
    pub base_offset: Offset,
    /// How many offsets it takes.
    pub records: u32,
    /// Where its bytes are: in `.log` for batches, in `.ctl` for the others.
    pub position: u64,
    /// How many bytes it has there.
    pub len: u32,
    /// The batch's own CRC-32C field, or that of the bytes in `.ctl`.
    pub crc: u32,
    /// The latest timestamp in it; -1 if there is none.
    pub max_timestamp: i64,
    /// The latest timestamp in its segment so far.
    pub running_max_timestamp: i64,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// The sequence of the first record, or -1.
    pub base_sequence: i32,
    /// The leader's wall clock when it proposed the batch, or -1.
    pub append_ms: i64,
}

impl Row {
    /// The row of `entry`, whose predecessor ends at offset `next`, and the bytes that it points to.
    /// Position and running maximum are known when it is flushed.
    #[must_use]
    pub fn of(entry: &Entry, next: Offset) -> (Row, Bytes) {
        let bytes = match &entry.body {
            Body::Noop => Bytes::new(),
            Body::ConfChange(change) => change.clone(),
            Body::LogStart(offset) => Bytes::copy_from_slice(&offset.to_be_bytes()),
            Body::Batch(_, payload) => payload.clone(),
        };
        let mut row = Row {
            index: entry.index,
            term: entry.term,
            kind: entry.kind(),
            base_offset: next,
            records: 0,
            position: 0,
            len: u32::try_from(bytes.len()).expect("an entry is far below 4 GiB"),
            crc: 0,
            max_timestamp: -1,
            running_max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            append_ms: -1,
        };
        match entry.info() {
            Some(info) => {
                row.base_offset = info.base_offset;
                row.records = info.records;
                row.crc = info.crc;
                row.max_timestamp = info.max_timestamp;
                row.producer_id = info.producer_id;
                row.producer_epoch = info.producer_epoch;
                row.base_sequence = info.base_sequence;
                row.append_ms = info.append_ms;
            }
            None => row.crc = crc32c::crc32c(&bytes),
        }
        (row, bytes)
    }

    /// The offset after its last record.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.base_offset.saturating_add(i64::from(self.records))
    }

    /// The batch's description, if it is one.
    #[must_use]
    pub fn info(&self) -> Option<BatchInfo> {
        (self.kind == Kind::Batch).then_some(BatchInfo {
            base_offset: self.base_offset,
            records: self.records,
            len: self.len,
            crc: self.crc,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            append_ms: self.append_ms,
        })
    }

    /// The entry that this row and these bytes are. `None` if the bytes cannot be its own.
    #[must_use]
    pub fn entry(&self, bytes: Bytes) -> Option<Entry> {
        if bytes.len() as u64 != u64::from(self.len) {
            return None;
        }
        let body = match (self.kind, self.info()) {
            (Kind::Batch, Some(info)) => Body::Batch(info, bytes),
            (Kind::Noop | Kind::Batch, _) => Body::Noop,
            (Kind::ConfChange, _) => Body::ConfChange(bytes),
            (Kind::LogStart, _) => {
                Body::LogStart(Offset::from_be_bytes(bytes.as_ref().try_into().ok()?))
            }
        };
        Some(Entry { index: self.index, term: self.term, body })
    }

    /// Its bytes on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; ROW_BYTES] {
        let mut out = [0; ROW_BYTES];
        let mut buf = &mut out[..];
        buf.put_u64(self.index);
        buf.put_u64(self.term);
        buf.put_i64(self.base_offset);
        buf.put_u64(self.position);
        buf.put_i64(self.max_timestamp);
        buf.put_i64(self.running_max_timestamp);
        buf.put_i64(self.producer_id);
        buf.put_i64(self.append_ms);
        buf.put_u32(self.records);
        buf.put_u32(self.len);
        buf.put_u32(self.crc);
        buf.put_i32(self.base_sequence);
        buf.put_i16(self.producer_epoch);
        buf.put_u8(self.kind.byte());
        buf.put_u8(VERSION);
        let crc = crc32c::crc32c(&out[..ROW_BYTES - 4]);
        out[ROW_BYTES - 4..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// The row of these bytes; says what is wrong with them otherwise.
    pub fn decode(bytes: &[u8]) -> Result<Row, &'static str> {
        let Some((body, mut crc)) = bytes.split_at_checked(ROW_BYTES - 4) else {
            return Err("an index row is cut short");
        };
        if crc.len() != 4 || crc32c::crc32c(body) != crc.get_u32() {
            return Err("an index row does not fit its checksum");
        }
        let mut buf = body;
        let mut row = Row {
            index: buf.get_u64(),
            term: buf.get_u64(),
            kind: Kind::Noop,
            base_offset: buf.get_i64(),
            position: buf.get_u64(),
            max_timestamp: buf.get_i64(),
            running_max_timestamp: buf.get_i64(),
            producer_id: buf.get_i64(),
            append_ms: buf.get_i64(),
            records: buf.get_u32(),
            len: buf.get_u32(),
            crc: buf.get_u32(),
            base_sequence: buf.get_i32(),
            producer_epoch: buf.get_i16(),
        };
        row.kind = Kind::from_byte(buf.get_u8()).ok_or("an index row has an unknown kind")?;
        if buf.get_u8() != VERSION {
            return Err("an index row has an unknown version");
        }
        Ok(row)
    }
}

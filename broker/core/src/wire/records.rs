//! The records inside a batch: reading them (inflated if need be), finding one by its time, and
//! building small batches for what the broker itself writes. Producers' batches are only read where
//! a request asks for what is inside.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::wire::batch::{self, BatchError, BatchHeader, HEADER_BYTES};
use crate::wire::compression::{CompressionError, inflate};

/// Records of one batch take at most so many bytes when inflated.
pub const INFLATED_BYTES_MAX: usize = 128 << 20;

/// The fewest bytes that a record takes: length, attributes, time, offset, key, value, headers.
const RECORD_BYTES_MIN: usize = 7;

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in their order; a name may come more than once.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Records that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The batch's header is wrong.
    #[error("the record batch's header is wrong")]
    Batch(#[from] BatchError),
    /// The records cannot be inflated.
    #[error("the record batch's records cannot be inflated")]
    Compression(#[from] CompressionError),
    /// A record's own lengths do not fit its bytes.
    #[error("record {number} of the batch at offset {base_offset} is damaged: {what} does not fit")]
    Damaged {
        /// The batch.
        base_offset: i64,
        /// The record's place in it, from 0.
        number: i32,
        /// What does not fit.
        what: &'static str,
    },
}

/// The records of a batch, one after the other. Ends after the first error.
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    rest: Bytes,
    number: i32,
    failed: bool,
}

/// Begins to read the records of a batch; keys and values share its memory, or that of what it
/// inflates to.
pub fn read(batch: &Bytes) -> Result<Records, RecordsError> {
    let header = BatchHeader::parse(batch)?;
    if batch.len() < header.len {
        return Err(BatchError::Short { needed: header.len, len: batch.len() }.into());
    }
    let body = batch.slice(HEADER_BYTES..header.len);
    let rest = inflate(header.codec()?, &body, INFLATED_BYTES_MAX)?;
    Ok(Records { header, rest, number: 0, failed: false })
}

/// The values of all records, for batches that the broker itself wrote.
pub fn values(batch: &Bytes) -> Result<Vec<Bytes>, RecordsError> {
    read(batch)?.map(|record| Ok(record?.value.unwrap_or_default())).collect()
}

/// Offset and time of the first record that is not older than `timestamp`.
pub fn first_at_or_after(
    batch: &Bytes,
    timestamp: i64,
) -> Result<Option<(i64, i64)>, RecordsError> {
    for record in read(batch)? {
        let record = record?;
        if record.timestamp >= timestamp {
            return Ok(Some((record.offset, record.timestamp)));
        }
    }
    Ok(None)
}

/// Offset and time of the first of the records with the latest time.
pub fn latest(batch: &Bytes) -> Result<Option<(i64, i64)>, RecordsError> {
    let mut latest: Option<(i64, i64)> = None;
    for record in read(batch)? {
        let record = record?;
        if latest.is_none_or(|(_, time)| record.timestamp > time) {
            latest = Some((record.offset, record.timestamp));
        }
    }
    Ok(latest)
}

impl Iterator for Records {
    type Item = Result<Record, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.number >= self.header.records {
            return None;
        }
        let record = self.record();
        self.failed = record.is_err();
        self.number += 1;
        Some(record.map_err(|what| RecordsError::Damaged {
            base_offset: self.header.base_offset,
            number: self.number - 1,
            what,
        }))
    }
}

impl Records {
    fn record(&mut self) -> Result<Record, &'static str> {
        let len = length(&mut self.rest).ok().flatten().ok_or("its length")?;
        if len > self.rest.len() {
            return Err("its length");
        }
        let mut r = self.rest.split_to(len);
        // The attributes of a record are not in use.
        r.try_get_u8().map_err(|_| "its attributes")?;
        let time = zigzag(&mut r).ok_or("its time")?;
        let offset = zigzag(&mut r).ok_or("its offset")?;
        let key = blob(&mut r).map_err(|()| "its key")?;
        let value = blob(&mut r).map_err(|()| "its value")?;
        let count = length(&mut r).ok().flatten().ok_or("its number of headers")?;
        // A header takes two bytes at least.
        if count > r.len() / 2 {
            return Err("its number of headers");
        }
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let name = blob(&mut r).ok().flatten().ok_or("a header's name")?;
            headers.push((name, blob(&mut r).map_err(|()| "a header's value")?));
        }
        if !r.is_empty() {
            return Err("its length");
        }
        let timestamp = if self.header.is_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.saturating_add(time)
        };
        let offset = self.header.base_offset.saturating_add(offset);
        Ok(Record { offset, timestamp, key, value, headers })
    }
}

/// A varint of at most 64 bits, with the sign in the lowest.
fn zigzag(r: &mut impl Buf) -> Option<i64> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = r.try_get_u8().ok()?;
        raw |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
        }
    }
    None
}

/// A length, -1 for null.
fn length(r: &mut impl Buf) -> Result<Option<usize>, ()> {
    match zigzag(r).ok_or(())? {
        -1 => Ok(None),
        n => usize::try_from(n).map(Some).map_err(|_| ()),
    }
}

/// A length and so many bytes.
fn blob(r: &mut Bytes) -> Result<Option<Bytes>, ()> {
    match length(r)? {
        None => Ok(None),
        Some(n) if n <= r.len() => Ok(Some(r.split_to(n))),
        Some(_) => Err(()),
    }
}

/// Whether `body` is exactly `count` records by their lengths, without looking into them.
pub(super) fn tiles(mut body: &[u8], count: i32) -> bool {
    for _ in 0..count {
        let Ok(Some(len)) = length(&mut body) else { return false };
        if len < RECORD_BYTES_MIN - 1 || len > body.len() {
            return false;
        }
        body.advance(len);
    }
    body.is_empty()
}

/// Builds an uncompressed batch, record by record.
#[derive(Debug)]
pub struct BatchBuilder {
    base_timestamp: i64,
    max_timestamp: i64,
    producer: (i64, i16, i32),
    records: i32,
    body: BytesMut,
}

impl BatchBuilder {
    /// No records yet; their times are `base_timestamp` unless told otherwise.
    #[must_use]
    pub fn new(base_timestamp: i64) -> BatchBuilder {
        BatchBuilder {
            base_timestamp,
            max_timestamp: base_timestamp,
            producer: (-1, -1, -1),
            records: 0,
            body: BytesMut::new(),
        }
    }

    /// As an idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// Adds a record with the batch's time.
    #[must_use]
    pub fn record(self, key: Option<&[u8]>, value: Option<&[u8]>) -> BatchBuilder {
        let time = self.base_timestamp;
        self.record_at(time, key, value)
    }

    /// Adds a record with its own time.
    #[must_use]
    pub fn record_at(
        mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> BatchBuilder {
        let mut record = BytesMut::new();
        record.put_u8(0);
        put_zigzag(&mut record, timestamp.wrapping_sub(self.base_timestamp));
        put_zigzag(&mut record, self.records.into());
        put_blob(&mut record, key);
        put_blob(&mut record, value);
        put_zigzag(&mut record, 0);
        put_blob(&mut self.body, Some(&record));
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.records += 1;
        self
    }

    /// The batch, with base offset 0 and no leader epoch. At least one record must be in it.
    #[must_use]
    pub fn build(self) -> Bytes {
        assert!(self.records > 0, "a batch has at least one record");
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let mut batch = BytesMut::with_capacity(HEADER_BYTES + self.body.len());
        batch.put_i64(0);
        let length = i32::try_from(HEADER_BYTES - 12 + self.body.len());
        batch.put_i32(length.expect("what the broker writes is far below 2 GiB"));
        batch.put_i32(-1);
        batch.put_i8(2);
        batch.put_u32(0);
        batch.put_i16(0);
        batch.put_i32(self.records - 1);
        batch.put_i64(self.base_timestamp);
        batch.put_i64(self.max_timestamp);
        batch.put_i64(producer_id);
        batch.put_i16(producer_epoch);
        batch.put_i32(base_sequence);
        batch.put_i32(self.records);
        batch.put_slice(&self.body);
        batch::set_crc(&mut batch);
        batch.freeze()
    }
}

fn put_zigzag(buf: &mut BytesMut, v: i64) {
    let mut raw = ((v << 1) ^ (v >> 63)).cast_unsigned();
    while raw >= 0x80 {
        buf.put_u8((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    buf.put_u8((raw & 0x7f) as u8);
}

fn put_blob(buf: &mut BytesMut, v: Option<&[u8]>) {
    match v {
        None => put_zigzag(buf, -1),
        Some(v) => {
            put_zigzag(buf, i64::try_from(v.len()).expect("a slice is shorter than 2^63"));
            buf.put_slice(v);
        }
    }
}

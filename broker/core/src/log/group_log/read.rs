//! Reading a group's log: by index, by offset, by time. What is in the tail or in the cache comes
//! from memory; of the rest rows are read and checked, and record batches are named as file ranges.

use bytes::Bytes;
use raft::eraftpb::Entry as RaftEntry;

use super::{GroupLog, cost};
use crate::ids::{Index, Offset, Term};
use crate::log::LogError;
use crate::log::disk::{Disk, FileId};
use crate::log::entry::{Body, Entry, Kind};
use crate::log::row::Row;
use crate::log::segment::Segment;

/// How many rows are read at once.
const ROWS_AT_ONCE: u64 = 64;

/// A piece of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slice {
    /// Bytes that are in memory.
    Memory(Bytes),
    /// A range of a file.
    File {
        /// The file.
        file: FileId,
        /// Where it begins.
        pos: u64,
        /// Its length.
        len: u64,
    },
}

/// Whole record batches, back to back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// Where they are.
    pub slices: Vec<Slice>,
    /// How many bytes they have together.
    pub bytes: usize,
}

/// One segment, for retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first index.
    pub base_index: Index,
    /// The offset of the first record that it has, or would have.
    pub base_offset: Offset,
    /// The offset after its last record.
    pub end_offset: Offset,
    /// What it takes, entries in memory included.
    pub bytes: u64,
    /// The latest timestamp in it; -1 if there is none.
    pub max_timestamp: i64,
}

impl<D: Disk> GroupLog<D> {
    /// The log start offset.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.start
    }

    /// The offset after the last record, uncommitted ones included.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.tail.back().map_or_else(|| self.flushed_end(), |item| item.row.next_offset())
    }

    /// The row of an entry.
    pub fn row(&self, index: Index) -> Result<Row, LogError> {
        if let Some(item) = self.item(index) {
            return Ok(item.row);
        }
        if let Some((row, _)) = self.shared.get(self.slot, index) {
            return Ok(row);
        }
        let row = self.cold_rows(self.cold(index)?, index, 1)?.first().copied();
        row.ok_or_else(|| self.out_of_range(index))
    }

    /// An entry, checked against its checksum if it comes from disk.
    pub fn entry(&self, index: Index) -> Result<Entry, LogError> {
        let found = match self.item(index) {
            Some(item) => Some((item.row, item.bytes.clone())),
            None => self.shared.get(self.slot, index),
        };
        let (row, bytes) = match found {
            Some(found) => found,
            None => {
                let row = self.row(index)?;
                let payload = self.cold(index)?.payload(&self.place(), &row);
                (row, self.remembered(payload)?)
            }
        };
        let entry = row.entry(bytes);
        let wrong = || self.corrupt(format!("entry {index} has wrong bytes"));
        self.remembered(entry.ok_or_else(wrong))
    }

    /// The record batch at `index`, or nothing if another kind of entry is there.
    pub fn payload(&self, index: Index) -> Result<Option<Bytes>, LogError> {
        Ok(self.entry(index)?.payload().cloned())
    }

    /// The offset after the entry at `index`: the high watermark, if `index` is the commit.
    pub fn offset_after(&self, index: Index) -> Result<Offset, LogError> {
        if index == self.last() {
            return Ok(self.log_end());
        }
        if let Some(segment) = self.segments.iter().find(|s| s.base_index == index + 1) {
            return Ok(segment.base_offset);
        }
        Ok(self.row(index)?.next_offset())
    }

    /// The batch that contains `offset`.
    pub fn row_at_offset(&self, offset: Offset) -> Result<Option<Row>, LogError> {
        if offset >= self.log_end() {
            return Ok(None);
        }
        if self.tail.front().is_some_and(|item| item.row.base_offset <= offset) {
            let at = self.tail.partition_point(|item| item.row.next_offset() <= offset);
            return Ok(self.tail.get(at).map(|item| item.row));
        }
        let after = self.segments.partition_point(|s| s.rows > 0 && s.base_offset <= offset);
        let Some(segment) = after.checked_sub(1).and_then(|i| self.segments.get(i)) else {
            return Ok(None);
        };
        self.first_row(segment, |row| row.next_offset() > offset)
    }

    /// Whole batches from the one that contains `from`, of entries up to `upto`: as many as fit,
    /// but at least one. The first one is checked if it comes from disk. The others are file ranges
    /// that nobody has read yet, and stay so: a client that finds damage in one of them asks again
    /// from there, and what no client reads is `scrub`'s to check.
    pub fn read(&self, from: Offset, upto: Index, max_bytes: usize) -> Result<Read, LogError> {
        let mut read = Read::default();
        let upto = upto.min(self.last());
        let Some(first) = self.row_at_offset(from)? else { return Ok(read) };
        let mut index = first.index;
        if self.item(index).is_none() && self.shared.get(self.slot, index).is_none() {
            self.entry(index)?;
        }
        while index <= upto {
            let found = match self.item(index) {
                Some(item) => Some((item.row, item.bytes.clone())),
                None => self.shared.get(self.slot, index),
            };
            if let Some((row, bytes)) = found {
                if row.kind == Kind::Batch && !read.add(Slice::Memory(bytes), row.len, max_bytes) {
                    break;
                }
                index += 1;
                continue;
            }
            let segment = self.cold(index)?;
            let file = segment.log_file(&self.place());
            for row in self.cold_rows(segment, index, ROWS_AT_ONCE.min(upto + 1 - index))? {
                index = row.index + 1;
                if row.kind != Kind::Batch {
                    continue;
                }
                let (file, pos, len) = (file.clone()?, row.position, u64::from(row.len));
                if !read.add(Slice::File { file, pos, len }, row.len, max_bytes) {
                    return Ok(read);
                }
            }
        }
        Ok(read)
    }

    /// The first batch with a timestamp at or after `timestamp`, of entries up to `upto`.
    pub fn first_batch_at_or_after_time(
        &self,
        timestamp: i64,
        upto: Index,
    ) -> Result<Option<Row>, LogError> {
        let wanted = |row: &Row| {
            row.kind == Kind::Batch
                && row.max_timestamp >= timestamp
                && row.next_offset() > self.start
        };
        for segment in self.segments.iter().filter(|s| s.rows > 0 && s.max_timestamp >= timestamp) {
            if segment.end_offset <= self.start {
                continue;
            }
            let Some(mut row) =
                self.first_row(segment, |row| row.running_max_timestamp >= timestamp)?
            else {
                continue;
            };
            // Below the log start the running maximum may come from a batch that is gone.
            while !wanted(&row) && row.index + 1 < segment.end_index() {
                row = self.row(row.index + 1)?;
            }
            if row.index > upto {
                return Ok(None);
            }
            if wanted(&row) {
                return Ok(Some(row));
            }
        }
        let mut tail = self.tail.iter().map(|item| item.row);
        Ok(tail.find(wanted).filter(|row| row.index <= upto))
    }

    /// The first of the batches with the latest timestamp, of entries up to `upto`.
    pub fn max_timestamp_batch(&self, upto: Index) -> Result<Option<Row>, LogError> {
        let mut latest = -1;
        for segment in self.segments.iter().filter(|s| s.rows > 0 && s.end_offset > self.start) {
            if segment.max_timestamp <= latest || segment.base_index > upto {
                continue;
            }
            latest = match segment.end_index() <= upto + 1 && segment.base_offset >= self.start {
                true => segment.max_timestamp,
                false => self.max_in(segment, upto)?.max(latest),
            };
        }
        for row in self.tail.iter().map(|item| item.row).filter(|row| row.index <= upto) {
            if row.next_offset() > self.start {
                latest = latest.max(row.max_timestamp);
            }
        }
        if latest < 0 {
            return Ok(None);
        }
        self.first_batch_at_or_after_time(latest, upto)
    }

    /// The largest term up to `term` that has entries, and the offset after its last one, of
    /// entries up to `upto`.
    pub fn end_of_term(&self, term: Term, upto: Index) -> Result<Option<(Term, Offset)>, LogError> {
        let upto = upto.min(self.last());
        match self.terms.end_of(term, self.first(), upto) {
            Some((found, end)) => Ok(Some((found, self.offset_after(end)?))),
            None => Ok(None),
        }
    }

    /// What the log takes, entries in memory included.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let flushed: u64 = self.segments.iter().map(Segment::bytes).sum();
        flushed + self.tail.iter().map(cost).sum::<u64>()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = SegmentInfo> + '_ {
        self.segments.iter().enumerate().map(|(i, segment)| {
            let next = self.segments.get(i + 1);
            let mut info = SegmentInfo {
                base_index: segment.base_index,
                base_offset: segment.base_offset,
                end_offset: next.map_or_else(|| self.log_end(), |next| next.base_offset),
                bytes: segment.bytes(),
                max_timestamp: segment.max_timestamp,
            };
            let end = next.map_or(Index::MAX, |next| next.base_index);
            for item in self.tail.iter().filter(|item| item.row.index >= segment.base_index) {
                if item.row.index >= end {
                    break;
                }
                info.bytes += cost(item);
                info.max_timestamp = info.max_timestamp.max(item.row.max_timestamp);
            }
            info
        })
    }

    /// The entry as raft has it, and its payload's length. Rows from disk are read ahead.
    pub(super) fn raft_entry(
        &self,
        index: Index,
        high: Index,
        cold: &mut std::vec::IntoIter<Row>,
    ) -> Result<(RaftEntry, u64), LogError> {
        let row = match self.item(index) {
            Some(item) => item.row,
            None => match self.shared.get(self.slot, index) {
                Some((row, _)) => row,
                None => self.next_cold(index, high, cold)?,
            },
        };
        let entry = match row.info() {
            // Raft sees the descriptor only, so the payload need not be read.
            Some(info) => Entry { index, term: row.term, body: Body::Batch(info, Bytes::new()) },
            None => self.entry(index)?,
        };
        let len = if row.kind == Kind::Batch { u64::from(row.len) } else { 0 };
        Ok((entry.to_raft(), len))
    }

    fn next_cold(
        &self,
        index: Index,
        high: Index,
        cold: &mut std::vec::IntoIter<Row>,
    ) -> Result<Row, LogError> {
        if let Some(row) = cold.find(|row| row.index >= index)
            && row.index == index
        {
            return Ok(row);
        }
        let count = ROWS_AT_ONCE.min(high - index);
        *cold = self.cold_rows(self.cold(index)?, index, count)?.into_iter();
        cold.next().ok_or_else(|| self.out_of_range(index))
    }

    /// The segment whose files have the entry at `index`.
    pub(super) fn cold(&self, index: Index) -> Result<&Segment, LogError> {
        let after = self.segments.partition_point(|s| s.base_index <= index);
        let segment = after.checked_sub(1).and_then(|i| self.segments.get(i));
        segment.filter(|s| index < s.end_index()).ok_or_else(|| self.out_of_range(index))
    }

    /// The first row of a segment for which `found` holds, which from there on must hold for all.
    fn first_row(
        &self,
        segment: &Segment,
        found: impl Fn(&Row) -> bool,
    ) -> Result<Option<Row>, LogError> {
        let (mut low, mut high) = (segment.base_index, segment.end_index());
        let mut best = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let row = self.row(middle)?;
            if found(&row) {
                best = Some(row);
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(best)
    }

    fn cold_rows(&self, segment: &Segment, index: Index, count: u64) -> Result<Vec<Row>, LogError> {
        self.remembered(segment.rows(&self.place(), index, count))
    }

    /// Damage is kept as the group's fault, whoever came upon it.
    fn remembered<T>(&self, result: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(error @ LogError::Corrupt { .. }) = &result {
            self.fault.replace(Some(error.clone()));
        }
        result
    }

    fn max_in(&self, segment: &Segment, upto: Index) -> Result<i64, LogError> {
        let mut latest = -1;
        let end = segment.end_index().min(upto.saturating_add(1));
        let mut index = segment.base_index;
        while index < end {
            for row in self.cold_rows(segment, index, ROWS_AT_ONCE.min(end - index))? {
                index = row.index + 1;
                if row.next_offset() > self.start {
                    latest = latest.max(row.max_timestamp);
                }
            }
        }
        Ok(latest)
    }

    fn out_of_range(&self, index: Index) -> LogError {
        LogError::OutOfRange { group: self.id, index, first: self.first(), last: self.last() }
    }
}

impl Read {
    /// Adds a batch unless it is one too many.
    fn add(&mut self, slice: Slice, len: u32, max_bytes: usize) -> bool {
        let total = self.bytes.saturating_add(len as usize);
        if !self.slices.is_empty() && total > max_bytes {
            return false;
        }
        self.bytes = total;
        if let (Slice::File { file, pos, len }, Some(Slice::File { file: f, pos: p, len: l })) =
            (&slice, self.slices.last_mut())
            && file == f
            && *p + *l == *pos
        {
            *l += *len;
            return true;
        }
        self.slices.push(slice);
        true
    }
}

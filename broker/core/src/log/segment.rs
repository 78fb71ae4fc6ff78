//! One segment of one group's log: four files that only ever grow.
//!
//! `<base>.log` holds record batches back to back, `<base>.idx` one [`Row`] per entry,
//! `<base>.ctl` the bytes of the entries that are no batches, `<base>.state` the owner's state as
//! of the entry before the base. What is beyond the lengths kept here does not exist.

use std::cell::Cell;

use bytes::Bytes;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Offset, PartitionId, PeerId};
use crate::log::LogError;
use crate::log::disk::{Disk, DiskError, FileId};
use crate::log::row::{ROW_BYTES, Row};

/// The directory of all groups.
pub(super) const GROUPS: &str = "groups";

/// Where a group's files are. The peer id is part of the directory's name, so that files of an
/// earlier life of the replica, removed late, are never taken for this one's.
#[derive(Debug)]
pub(super) struct Place<'a, D> {
    pub(super) disk: &'a D,
    pub(super) id: PartitionId,
    pub(super) peer: PeerId,
}

impl<D: Disk> Place<'_, D> {
    pub(super) fn dir_name(&self) -> String {
        format!("{}-{}-{:x}", self.id.topic, self.id.partition, self.peer.0)
    }

    pub(super) fn dir(&self) -> String {
        format!("{GROUPS}/{}", self.dir_name())
    }

    fn path(&self, base: Index, part: &str) -> String {
        format!("{}/{base:020}.{part}", self.dir())
    }

    fn corrupt(&self, base: Index, part: &str, reason: impl Into<String>) -> LogError {
        LogError::Corrupt { group: self.id, file: self.path(base, part), reason: reason.into() }
    }
}

/// The owner's state at the start of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Small, or not written yet.
    Inline(Bytes),
    /// In the `.state` file.
    File {
        /// Its length.
        len: u32,
        /// Its checksum.
        crc: u32,
    },
}

#[derive(Debug, Default)]
struct Files {
    log: Cell<Option<FileId>>,
    idx: Cell<Option<FileId>>,
    ctl: Cell<Option<FileId>>,
    state: Cell<Option<FileId>>,
}

/// One segment; `rows` entries from `base_index` on are in its files.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_index: Index,
    pub(super) base_offset: Offset,
    pub(super) end_offset: Offset,
    pub(super) rows: u64,
    pub(super) log_bytes: u64,
    pub(super) ctl_bytes: u64,
    pub(super) max_timestamp: i64,
    pub(super) state: State,
    files: Files,
    dirty: bool,
}

impl Segment {
    pub(super) fn new(base_index: Index, base_offset: Offset, state: Bytes) -> Segment {
        Segment {
            base_index,
            base_offset,
            end_offset: base_offset,
            rows: 0,
            log_bytes: 0,
            ctl_bytes: 0,
            max_timestamp: -1,
            state: State::Inline(state),
            files: Files::default(),
            dirty: false,
        }
    }

    /// The index after its last flushed entry.
    pub(super) fn end_index(&self) -> Index {
        self.base_index + self.rows
    }

    /// What it takes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.log_bytes + self.ctl_bytes + self.rows * ROW_BYTES as u64
    }

    /// Appends entries, and fills in where they went. Counts move only when all was written.
    pub(super) fn append<'i, D: Disk>(
        &mut self,
        at: &Place<'_, D>,
        items: impl Iterator<Item = (&'i mut Row, &'i Bytes)>,
    ) -> Result<(), LogError> {
        let (mut log_bytes, mut ctl_bytes) = (self.log_bytes, self.ctl_bytes);
        let (mut rows, mut end, mut max) = (self.rows, self.end_offset, self.max_timestamp);
        let (mut idx, mut log, mut ctl) = (Vec::new(), Vec::new(), Vec::new());
        for (row, bytes) in items {
            max = max.max(row.max_timestamp);
            row.running_max_timestamp = max;
            let (position, parts) = match row.info() {
                Some(_) => (&mut log_bytes, &mut log),
                None => (&mut ctl_bytes, &mut ctl),
            };
            row.position = *position;
            *position += u64::from(row.len);
            if !bytes.is_empty() {
                parts.push(bytes.as_ref());
            }
            idx.extend_from_slice(&row.encode());
            end = row.next_offset();
            rows += 1;
        }
        if !log.is_empty() {
            at.disk.write_at(self.open(at, "log", true)?, self.log_bytes, &log)?;
        }
        if !ctl.is_empty() {
            at.disk.write_at(self.open(at, "ctl", true)?, self.ctl_bytes, &ctl)?;
        }
        at.disk.write_at(self.open(at, "idx", true)?, self.rows * ROW_BYTES as u64, &[&idx])?;
        self.dirty = true;
        (self.rows, self.end_offset, self.max_timestamp) = (rows, end, max);
        (self.log_bytes, self.ctl_bytes) = (log_bytes, ctl_bytes);
        Ok(())
    }

    /// Moves a state that is too long for the checkpoint into its file.
    pub(super) fn write_state<D: Disk>(
        &mut self,
        at: &Place<'_, D>,
        inline_max: usize,
    ) -> Result<(), LogError> {
        let State::Inline(state) = &self.state else { return Ok(()) };
        if state.len() <= inline_max {
            return Ok(());
        }
        let file = self.open(at, "state", true)?;
        at.disk.set_len(file, 0)?;
        at.disk.write_at(file, 0, &[state])?;
        let len = u32::try_from(state.len()).expect("an owner's state is far below 4 GiB");
        self.state = State::File { len, crc: crc32c::crc32c(state) };
        self.dirty = true;
        Ok(())
    }

    /// The owner's state as of the entry before the base.
    pub(super) fn state<D: Disk>(&self, at: &Place<'_, D>) -> Result<Bytes, LogError> {
        match &self.state {
            State::Inline(state) => Ok(state.clone()),
            State::File { len, crc } => {
                let bytes = at.disk.read_at(self.open(at, "state", false)?, 0, *len as usize)?;
                if crc32c::crc32c(&bytes) != *crc {
                    return Err(at.corrupt(self.base_index, "state", "its checksum does not fit"));
                }
                Ok(bytes)
            }
        }
    }

    /// Up to `count` rows from the entry at `index` on, checked.
    pub(super) fn rows<D: Disk>(
        &self,
        at: &Place<'_, D>,
        index: Index,
        count: u64,
    ) -> Result<Vec<Row>, LogError> {
        let count = count.min(self.end_index().saturating_sub(index));
        let from = index.saturating_sub(self.base_index) * ROW_BYTES as u64;
        let len = usize::try_from(count).unwrap_or(0) * ROW_BYTES;
        let bytes = at.disk.read_at(self.open(at, "idx", false)?, from, len)?;
        let mut rows = Vec::with_capacity(len / ROW_BYTES);
        for (chunk, expected) in bytes.chunks(ROW_BYTES).zip(index..) {
            let row = Row::decode(chunk).map_err(|why| at.corrupt(self.base_index, "idx", why))?;
            if row.index != expected {
                let why = format!("the row of entry {expected} is that of {}", row.index);
                return Err(at.corrupt(self.base_index, "idx", why));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// The bytes that a row points to, checked.
    pub(super) fn payload<D: Disk>(&self, at: &Place<'_, D>, row: &Row) -> Result<Bytes, LogError> {
        if row.len == 0 {
            return Ok(Bytes::new());
        }
        let batch = row.info().is_some();
        let part = if batch { "log" } else { "ctl" };
        let file = self.open(at, part, false)?;
        let bytes = at.disk.read_at(file, row.position, row.len as usize)?;
        let sound = if batch {
            super::entry::batch_is_sound(&bytes, row.crc)
                && super::entry::batch_is_placed(&bytes, row.base_offset, row.term)
        } else {
            crc32c::crc32c(&bytes) == row.crc
        };
        if !sound {
            let why = format!("the bytes of entry {} do not fit their checksum", row.index);
            return Err(at.corrupt(self.base_index, part, why));
        }
        Ok(bytes)
    }

    /// The `.log` file, to be read by others.
    pub(super) fn log_file<D: Disk>(&self, at: &Place<'_, D>) -> Result<FileId, LogError> {
        self.open(at, "log", false)
    }

    /// The files to sync, if anything was written since the last time this was asked.
    pub(super) fn take_dirty(&mut self) -> Vec<FileId> {
        if !std::mem::take(&mut self.dirty) {
            return Vec::new();
        }
        let Files { log, idx, ctl, state } = &self.files;
        [log, idx, ctl, state].into_iter().filter_map(Cell::get).collect()
    }

    /// Gives its open files away, to be closed, and says which there may be.
    pub(super) fn give_up<D: Disk>(&mut self, at: &Place<'_, D>) -> (Vec<FileId>, Vec<String>) {
        let Files { log, idx, ctl, state } = &self.files;
        let open = [log, idx, ctl, state].into_iter().filter_map(Cell::take).collect();
        let paths = ["log", "idx", "ctl", "state"].map(|part| at.path(self.base_index, part));
        (open, paths.to_vec())
    }

    /// Cuts the files to the lengths that are kept here; files that are shorter are damaged.
    pub(super) fn cut<D: Disk>(&self, at: &Place<'_, D>) -> Result<(), LogError> {
        let state = match self.state {
            State::Inline(_) => 0,
            State::File { len, .. } => u64::from(len),
        };
        let idx = self.rows * ROW_BYTES as u64;
        for (part, len) in
            [("log", self.log_bytes), ("idx", idx), ("ctl", self.ctl_bytes), ("state", state)]
        {
            if len == 0 {
                continue;
            }
            let file = match self.open(at, part, false) {
                Ok(file) => file,
                Err(error) => return Err(at.corrupt(self.base_index, part, error.to_string())),
            };
            let found = at.disk.len(file)?;
            if found < len {
                let why = format!("it has {found} bytes where {len} were synced");
                return Err(at.corrupt(self.base_index, part, why));
            }
            if found > len {
                at.disk.set_len(file, len)?;
            }
        }
        Ok(())
    }

    fn open<D: Disk>(
        &self,
        at: &Place<'_, D>,
        part: &'static str,
        create: bool,
    ) -> Result<FileId, LogError> {
        let cell = match part {
            "log" => &self.files.log,
            "idx" => &self.files.idx,
            "ctl" => &self.files.ctl,
            _ => &self.files.state,
        };
        if let Some(file) = cell.get() {
            return Ok(file);
        }
        let file: Result<FileId, DiskError> = at.disk.open(&at.path(self.base_index, part), create);
        let file = file?;
        cell.set(Some(file));
        Ok(file)
    }

    pub(super) fn put(&self, w: &mut Writer) {
        w.u64(self.base_index).i64(self.base_offset).i64(self.end_offset).u64(self.rows);
        w.u64(self.log_bytes).u64(self.ctl_bytes).i64(self.max_timestamp);
        match &self.state {
            State::Inline(state) => w.u8(0).bytes(state),
            State::File { len, crc } => w.u8(1).u32(*len).u32(*crc),
        };
    }

    pub(super) fn get(r: &mut Reader) -> Result<Segment, CodecError> {
        let mut segment = Segment::new(r.u64("base index")?, r.i64("base offset")?, Bytes::new());
        segment.end_offset = r.i64("end offset")?;
        segment.rows = r.u64("rows")?;
        segment.log_bytes = r.u64("log bytes")?;
        segment.ctl_bytes = r.u64("ctl bytes")?;
        segment.max_timestamp = r.i64("max timestamp")?;
        segment.state = match r.u8("state")? {
            0 => State::Inline(Bytes::copy_from_slice(&r.bytes("state")?)),
            1 => State::File { len: r.u32("state length")?, crc: r.u32("state crc")? },
            other => return Err(CodecError::Unknown { what: "state", value: other.into() }),
        };
        Ok(segment)
    }
}

//! The write-ahead log of a shard: one vectored write for all that its groups pushed, one sync
//! for all of them. Files are preallocated, and recycled once a checkpoint has made them needless.
//! Reading it back is [`recover`](super::recover)'s.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::ids::{PartitionId, PeerId};
use crate::log::Limits;
use crate::log::cache::Shared;
use crate::log::disk::{Disk, DiskError, FileId};
use crate::log::record::{BATCH_BYTES, BatchHead, Pending, Record};
use crate::mutant::{self, Mutant};

/// The directory of the write-ahead log and the checkpoint.
pub(super) const DIR: &str = "wal";
/// What an operating system reads and writes at a time.
const PAGE_BYTES: u64 = 4096;
static ZEROES: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];

/// Files to sync before something holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncJob {
    /// fdatasync these, in this order.
    pub files: Vec<FileId>,
    /// Then fsync these directories; the empty name is the data directory itself.
    pub dirs: Vec<String>,
    /// What to give to [`Wal::synced`] when it is done; grows from job to job.
    pub upto: u64,
}

/// A place in the log: the file's sequence number and the byte in it. Grows.
pub(super) fn position(seq: u64, at: u64) -> u64 {
    seq << 32 | at
}

/// The sequence number of the file that a position lies in.
pub(super) fn seq_of(position: u64) -> u64 {
    position >> 32
}

pub(super) fn file_name(seq: u64) -> String {
    format!("{DIR}/{seq:020}.wal")
}

#[derive(Debug)]
pub(super) struct WalFile {
    pub(super) file: FileId,
    pub(super) len: u64,
    /// The position after its last batch.
    pub(super) end: u64,
}

/// Where the next batch goes: a file, the byte in it, and the file's length.
#[derive(Debug, Clone, Copy)]
struct Room {
    seq: u64,
    file: FileId,
    at: u64,
    len: u64,
}

/// The write-ahead log of a shard, and the few facts about the node that live in it.
#[derive(Debug)]
pub struct Wal<D> {
    pub(super) disk: D,
    pub(super) limits: Arc<Limits>,
    pub(super) shared: Shared,
    pub(super) node: Option<Bytes>,
    pub(super) tombstones: BTreeMap<PartitionId, PeerId>,
    pub(super) corrupt: BTreeMap<PartitionId, (PeerId, String)>,
    /// Files of dropped segments, to be removed when a checkpoint no longer names them.
    pub(super) dropped: Vec<String>,
    /// Files of dropped segments that are still open: see [`Wal::close_dropped`].
    pub(super) closing: Vec<FileId>,
    /// Segment files that a checkpoint has begun to sync, until it says that it did.
    pub(super) unsynced: SyncJob,
    /// Files to remove once the log is synced up to a position.
    pub(super) garbage: Vec<(u64, Vec<String>)>,
    /// Files with records that a recovery would read, by sequence number. The last may be active.
    pub(super) files: BTreeMap<u64, WalFile>,
    /// Sequence numbers of files that may be written over.
    pub(super) spares: Vec<u64>,
    pub(super) next_seq: u64,
    /// Whether the last of `files` takes more batches.
    pub(super) active: bool,
    /// Where the last batch ended.
    pub(super) end: u64,
    pub(super) synced: u64,
    /// Where the last batch with records in it ended.
    pub(super) content_end: u64,
    /// Batches that are not synced yet: where each ends, and what it says to be synced.
    claims: VecDeque<(u64, u64)>,
    /// What a synced batch says to be synced.
    vouched: u64,
    /// Files below this are needless.
    pub(super) floor: u64,
    pub(super) dirty: Vec<FileId>,
    pub(super) dirs: Vec<String>,
    pub(super) sync_wanted: bool,
    pub(super) checkpoint_wanted: bool,
    pending: VecDeque<Pending>,
}

impl<D: Disk> Wal<D> {
    pub(super) fn new(disk: D, limits: Arc<Limits>) -> Wal<D> {
        Wal {
            shared: Shared::new(limits.cache_bytes),
            disk,
            limits,
            node: None,
            tombstones: BTreeMap::new(),
            corrupt: BTreeMap::new(),
            dropped: Vec::new(),
            closing: Vec::new(),
            unsynced: SyncJob::default(),
            garbage: Vec::new(),
            files: BTreeMap::new(),
            spares: Vec::new(),
            next_seq: 1,
            active: false,
            end: 0,
            synced: 0,
            content_end: 0,
            claims: VecDeque::new(),
            vouched: 0,
            floor: 0,
            dirty: Vec::new(),
            dirs: Vec::new(),
            sync_wanted: false,
            checkpoint_wanted: false,
            pending: VecDeque::new(),
        }
    }

    /// Takes a record for the next write.
    pub fn push(&mut self, record: Record) {
        self.sync_wanted |= record.needs_sync();
        self.pending.push_back(Pending::new(record));
    }

    /// Writes all that was pushed. Says what to sync, or nothing if nobody needs it. On an error
    /// what was pushed is kept for the next attempt.
    pub fn write(&mut self) -> Result<Option<SyncJob>, DiskError> {
        self.write_pending()?;
        if !std::mem::take(&mut self.sync_wanted) {
            return Ok(None);
        }
        let mut files = std::mem::take(&mut self.dirty);
        files.dedup();
        let mut dirs = std::mem::take(&mut self.dirs);
        if mutant::is(Mutant::ForgetDirectorySync) {
            dirs.clear();
        }
        Ok(Some(SyncJob { files, dirs, upto: self.end }))
    }

    /// A job of [`Wal::write`] is done.
    pub fn synced(&mut self, upto: u64) {
        self.synced = self.synced.max(upto);
        let synced = self.synced;
        while let Some((_, claim)) = self.claims.front().copied().filter(|(end, _)| *end <= synced)
        {
            self.vouched = claim;
            self.claims.pop_front();
        }
        for (_, paths) in self.garbage.extract_if(.., |(at, _)| *at <= synced) {
            for path in paths {
                // What cannot be removed now is found and removed at the next start.
                let _ = self.disk.remove(&path);
            }
        }
        self.release();
    }

    /// Writes a batch without records, to say that the one before it is synced, if nothing else
    /// says so; [`Wal::write`] has it synced. Until then, damage to the last batch cannot be told
    /// from a write that power ended.
    pub fn vouch(&mut self) -> Result<(), DiskError> {
        let claimed = self.claims.back().map_or(self.vouched, |(_, claim)| *claim);
        let said = self.content_end <= claimed || self.synced < self.content_end;
        if said || self.has_unwritten() {
            return Ok(());
        }
        // At the end of a file it is left to the first batch of the next one.
        if let Some(place) = self.room_left(BATCH_BYTES as u64) {
            self.write_batch(place, 0, 0)?;
            self.sync_wanted = true;
        }
        Ok(())
    }

    /// What damage can pass for a write that power ended: from where on no synced batch says that
    /// it is synced, up to the end of the log. A place is a file's sequence number and a byte in it.
    #[must_use]
    pub fn unvouched(&self) -> Range<(u64, u64)> {
        let place = |position| (seq_of(position), position & u64::from(u32::MAX));
        place(self.vouched)..place(self.end)
    }

    /// Closes the files of segments that were dropped before. Not when they are dropped: answers of the
    /// same round may name them, and are sent after it.
    pub fn close_dropped(&mut self) {
        for file in self.closing.drain(..) {
            self.disk.close(file);
        }
    }

    /// Replaces the node's own record.
    pub fn set_node(&mut self, record: Bytes) {
        self.node = Some(record.clone());
        self.push(Record::Node(record));
    }

    /// The node's own record.
    #[must_use]
    pub fn node(&self) -> Option<Bytes> {
        self.node.clone()
    }

    /// Asks for a [`Checkpoint`](super::Checkpoint), whatever it would free.
    pub fn want_checkpoint(&mut self) {
        self.checkpoint_wanted = true;
    }

    /// Whether a [`Checkpoint`](super::Checkpoint) would free files or memory, or was asked for.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.checkpoint_wanted
            || self.files.range(self.floor..).count() as u64 > self.limits.wal_files_max
            || self.shared.flushable() > self.limits.unflushed_bytes_max
            || self.shared.reclaimable() > self.limits.reclaim_bytes
    }

    /// Bytes in segments that a checkpoint would give back.
    #[must_use]
    pub fn reclaimable(&self) -> u64 {
        self.shared.reclaimable()
    }

    /// Bytes that flushed entries take in memory.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.shared.bytes()
    }

    /// Whether something was pushed and not written.
    #[must_use]
    pub fn has_unwritten(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The last life of each replica that was destroyed here.
    #[must_use]
    pub fn tombstones(&self) -> &BTreeMap<PartitionId, PeerId> {
        &self.tombstones
    }

    /// Remembers a replica that was found damaged and whose log is gone from memory, so that nobody is
    /// made anew under its name.
    pub fn condemn(&mut self, id: PartitionId, peer: PeerId, reason: String) {
        self.corrupt.insert(id, (peer, reason.clone()));
        self.push(Record::Corrupt { id, peer, reason });
    }

    /// Gives up a replica that was found damaged: it becomes a tombstone, its files are removed.
    pub fn destroy_corrupt(&mut self, id: PartitionId) {
        let Some((peer, _)) = self.corrupt.remove(&id) else { return };
        self.bury(id, peer);
        self.push(Record::Destroy { id, peer });
        let dir = super::segment::Place { disk: &self.disk, id, peer }.dir();
        let files = self.disk.list(&dir).unwrap_or_default();
        let paths = files.iter().map(|name| format!("{dir}/{name}")).chain([dir.clone()]);
        let paths = paths.collect();
        self.remove_when_synced(paths);
    }

    pub(super) fn bury(&mut self, id: PartitionId, peer: PeerId) {
        let highest = self.tombstones.entry(id).or_insert(peer);
        *highest = (*highest).max(peer);
    }

    /// Removes files once all that was pushed so far is synced.
    pub(super) fn remove_when_synced(&mut self, paths: Vec<String>) {
        // One more than the end: what is pending now will end beyond it.
        self.garbage.push((self.end + u64::from(self.has_unwritten()), paths));
    }

    pub(super) fn write_pending(&mut self) -> Result<(), DiskError> {
        while let Some(first) = self.pending.front() {
            let needed = (BATCH_BYTES + first.len()) as u64;
            let place = self.room_for(needed)?;
            let mut records = 0;
            let mut bytes = 0;
            for pending in &self.pending {
                if place.at + (BATCH_BYTES + bytes + pending.len()) as u64 > place.len {
                    break;
                }
                bytes += pending.len();
                records += 1;
            }
            self.write_batch(place, records, bytes)?;
            self.content_end = self.end;
            self.pending.drain(..records);
        }
        Ok(())
    }

    /// Writes a batch of so many pending records, of so many bytes.
    fn write_batch(&mut self, place: Room, records: usize, bytes: usize) -> Result<(), DiskError> {
        let Room { seq, file, at, len } = place;
        let synced = if mutant::is(Mutant::ClaimSynced) { self.end } else { self.synced };
        let head = BatchHead {
            position: position(seq, at),
            synced,
            prev_end: self.end,
            len: u32::try_from(bytes).expect("a WAL file is below 4 GiB"),
        };
        let parts = self.batch(head, records);
        let end = at + (BATCH_BYTES + bytes) as u64;
        // To its end, or the page of a recycled file would first have to be read.
        let rest = end.next_multiple_of(PAGE_BYTES).min(len) - end;
        let mut slices: Vec<&[u8]> = parts.iter().map(Bytes::as_ref).collect();
        slices.push(&ZEROES[..rest as usize]);
        self.disk.write_at(file, at, &slices)?;
        let end = end.next_multiple_of(8).min(len);
        self.end = position(seq, end);
        self.claims.push_back((self.end, synced));
        if let Some(file) = self.files.get_mut(&seq) {
            file.end = self.end;
        }
        if self.dirty.last() != Some(&file) {
            self.dirty.push(file);
        }
        Ok(())
    }

    fn batch(&self, head: BatchHead, records: usize) -> Vec<Bytes> {
        let copied: usize = self.pending.iter().take(records).map(Pending::copied_len).sum();
        let mut scratch = BytesMut::with_capacity(BATCH_BYTES + copied);
        let mut parts = Vec::new();
        scratch.extend_from_slice(&head.encode());
        let mut at = head.position + BATCH_BYTES as u64;
        for pending in self.pending.iter().take(records) {
            pending.put(at, &mut scratch, &mut parts);
            at += pending.len() as u64;
        }
        parts.push(scratch.freeze());
        parts
    }

    /// Room in the active file.
    fn room_left(&self, needed: u64) -> Option<Room> {
        let (seq, file) = self.files.last_key_value().filter(|_| self.active)?;
        let at = file.end & u64::from(u32::MAX);
        let room = Room { seq: *seq, file: file.file, at, len: file.len };
        (at + needed <= file.len).then_some(room)
    }

    /// Room in the active file, or in a new one if that has none.
    fn room_for(&mut self, needed: u64) -> Result<Room, DiskError> {
        if let Some(room) = self.room_left(needed) {
            return Ok(room);
        }
        let seq = self.next_seq;
        let name = file_name(seq);
        if let Some(spare) = self.spares.last() {
            self.disk.rename(&file_name(*spare), &name)?;
            self.spares.pop();
        }
        let file = self.disk.open(&name, true)?;
        let mut len = self.disk.len(file)?;
        let wanted = self.limits.wal_file_bytes.max(needed);
        if len < wanted {
            if let Err(error) = self.disk.allocate(file, wanted) {
                self.disk.close(file);
                let _ = self.disk.remove(&name);
                return Err(error);
            }
            len = wanted;
        }
        self.next_seq += 1;
        self.active = true;
        self.files.insert(seq, WalFile { file, len, end: position(seq, 0) });
        // The first file of a run may have made the directory too.
        let first = (self.files.len() == 1).then_some("");
        for dir in first.into_iter().chain([DIR]) {
            if !self.dirs.iter().any(|known| known == dir) {
                self.dirs.push(dir.to_owned());
            }
        }
        Ok(Room { seq, file, at: 0, len })
    }

    /// Ends the active file; what is pushed from now on lies in files at or above the result.
    pub(super) fn cut(&mut self) -> u64 {
        self.active = false;
        self.next_seq
    }

    /// A checkpoint made all files below `floor` needless.
    pub(super) fn retire(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        self.release();
    }

    /// Lets go of needless files, except those that a sync under way may still name.
    fn release(&mut self) {
        let (floor, synced) = (self.floor, self.synced);
        let needless: Vec<u64> =
            self.files.range(..floor).filter(|(_, f)| f.end <= synced).map(|(s, _)| *s).collect();
        for seq in needless {
            let Some(WalFile { file, len, .. }) = self.files.remove(&seq) else { continue };
            self.dirty.retain(|dirty| *dirty != file);
            self.disk.close(file);
            // As many as there were when the checkpoint was made, so that no file is ever made anew.
            if self.spares.len() as u64 <= self.limits.wal_files_max
                && len == self.limits.wal_file_bytes
            {
                self.spares.push(seq);
            } else {
                let _ = self.disk.remove(&file_name(seq));
            }
        }
    }
}

//! One group's log: what is pushed to the write-ahead log is in memory at once, in the tail; what
//! the owner has applied moves on to segments, and only ever grows there.
//!
//! ```text
//! first_index          flushed     applied                last_index
//!    | segments on disk   | tail in memory                    |
//!    | (cached: recent)   | to be flushed | may be truncated  |
//! ```
//!
//! Reading is in `read`, raft's view in `storage`, the way to disk and back in `flush`. What the
//! entries mean, and when they are committed, is left to the owner.

mod flush;
mod read;
mod scrub;
mod storage;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb::{ConfState, HardState};

use crate::ids::{Index, Offset, PartitionId, PeerId, Term};
use crate::log::cache::{Shared, Slot};
use crate::log::disk::{Disk, FileId};
use crate::log::entry::Entry;
use crate::log::image::Image;
use crate::log::record::Record;
use crate::log::row::{ROW_BYTES, Row};
use crate::log::segment::{Place, Segment};
use crate::log::terms::Terms;
use crate::log::wal::Wal;
use crate::log::{Limits, LogError};
use crate::mutant::{self, Mutant};

pub use read::{Read, SegmentInfo, Slice};
pub use scrub::Scrubbed;

/// How a replica comes into being.
#[derive(Debug, Clone, PartialEq)]
pub struct Birth {
    /// The life of the replica.
    pub peer: PeerId,
    /// Where its log starts. Without one it has no voters and waits for a leader's snapshot.
    pub image: Option<Image>,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) row: Row,
    pub(super) bytes: Bytes,
}

/// One group's log.
#[derive(Debug)]
pub struct GroupLog<D: Disk> {
    disk: D,
    id: PartitionId,
    peer: PeerId,
    limits: Arc<Limits>,
    shared: Shared,
    slot: Slot,
    hard: HardState,
    conf: ConfState,
    conf_index: Index,
    start: Offset,
    /// Never empty; the first base is raft's first index.
    segments: Vec<Segment>,
    terms: Terms,
    /// The last entry in a segment.
    flushed: Index,
    /// The entries after it.
    tail: VecDeque<Item>,
    applied: Index,
    flushable: u64,
    reclaimable: u64,
    /// Whole segments before this entry are not needed by the owner.
    drop_before: Index,
    /// Entries from here on are needed by other replicas.
    keep_index: Index,
    segment_bytes: u64,
    payload_budget: u64,
    fault: RefCell<Option<LogError>>,
}

impl<D: Disk> GroupLog<D> {
    /// Makes a replica. It holds once the write-ahead log is synced.
    pub fn create(
        disk: D,
        wal: &mut Wal<D>,
        id: PartitionId,
        birth: Birth,
        limits: &Limits,
    ) -> GroupLog<D> {
        let Birth { peer, image } = birth;
        wal.push(Record::Create { id, peer, image: image.clone() });
        let limits =
            if *wal.limits == *limits { wal.limits.clone() } else { limits.clone().into() };
        GroupLog::born(disk, wal.shared.clone(), limits, id, Birth { peer, image })
    }

    pub(super) fn born(
        disk: D,
        shared: Shared,
        limits: Arc<Limits>,
        id: PartitionId,
        birth: Birth,
    ) -> GroupLog<D> {
        let mut log = GroupLog {
            disk,
            id,
            peer: birth.peer,
            slot: shared.slot(),
            shared,
            hard: HardState::default(),
            conf: ConfState::default(),
            conf_index: 0,
            start: 0,
            segments: Vec::new(),
            terms: Terms::default(),
            flushed: 0,
            tail: VecDeque::new(),
            applied: 0,
            flushable: 0,
            reclaimable: 0,
            drop_before: 0,
            keep_index: Index::MAX,
            segment_bytes: limits.segment_bytes,
            payload_budget: 1 << 20,
            limits,
            fault: RefCell::new(None),
        };
        log.restart(birth.image.unwrap_or_default());
        log
    }

    /// Ends this life of the replica: it can never come back. Its files go when that is synced.
    pub fn destroy(mut self, wal: &mut Wal<D>) -> Result<(), LogError> {
        wal.bury(self.id, self.peer);
        wal.push(Record::Destroy { id: self.id, peer: self.peer });
        let (open, mut paths) = self.give_up_segments();
        wal.closing.extend(open);
        paths.push(self.place().dir());
        wal.remove_when_synced(paths);
        Ok(())
    }

    /// The group.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// The life of this replica.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Takes entries, readable at once and durable once the write-ahead log is synced. The first
    /// one may replace others that are not applied.
    ///
    /// # Panics
    /// If the entries leave a gap, or would replace one that is applied.
    pub fn append(&mut self, wal: &mut Wal<D>, entries: Vec<Entry>) -> Result<(), LogError> {
        for entry in entries {
            let index = entry.index;
            assert!(index <= self.last() + 1, "entry {index} of {} leaves a gap", self.id);
            let applied = self.applied.max(self.flushed);
            assert!(index > applied, "entry {index} of {} would replace an applied one", self.id);
            self.truncate(index);
            let (row, bytes) = Row::of(&entry, self.log_end());
            wal.push(Record::Entry { id: self.id, row, bytes: bytes.clone() });
            self.put(row, bytes);
        }
        self.flush_if_due()
    }

    /// Term, vote and commit change. The commit is kept at or below the last entry.
    pub fn set_hard_state(&mut self, wal: &mut Wal<D>, hard: &HardState) {
        let commit = hard.commit.min(self.last());
        let urgent = (hard.term, hard.vote) != (self.hard.term, self.hard.vote)
            && !mutant::is(Mutant::VoteWithoutSync);
        self.hard = HardState { commit, ..hard.clone() };
        let forgets = mutant::is(Mutant::ForgetVote);
        let (term, vote) = (hard.term, if forgets { 0 } else { hard.vote });
        wal.push(Record::HardState { id: self.id, term, vote, commit, urgent });
    }

    /// Term, vote and commit.
    #[must_use]
    pub fn hard_state(&self) -> &HardState {
        &self.hard
    }

    /// The members change, by the entry at `conf_index`.
    pub fn set_conf(&mut self, wal: &mut Wal<D>, conf: ConfState, conf_index: Index) {
        self.conf = conf.clone();
        self.conf_index = conf_index;
        wal.push(Record::Conf { id: self.id, conf, conf_index });
    }

    /// The members, and the index of the change that made them.
    #[must_use]
    pub fn conf(&self) -> (&ConfState, Index) {
        (&self.conf, self.conf_index)
    }

    /// A leader's snapshot: the log restarts after it, and nothing of what was there remains.
    pub fn install(&mut self, wal: &mut Wal<D>, image: Image) -> Result<(), LogError> {
        if image.index <= self.applied || image.index == 0 {
            let (group, index, applied) = (self.id, image.index, self.applied);
            return Err(LogError::StaleImage { group, index, applied });
        }
        wal.push(Record::Install { id: self.id, image: image.clone() });
        let (open, paths) = self.give_up_segments();
        wal.closing.extend(open);
        wal.remove_when_synced(paths);
        self.restart(image);
        Ok(())
    }

    /// Entries up to `index` are committed and applied: they are never replaced any more.
    pub fn applied(&mut self, index: Index) {
        let index = index.min(self.last());
        if index <= self.applied {
            return;
        }
        let from = self.applied.max(self.flushed) + 1;
        let before = self.flushable;
        self.flushable += (from..=index).filter_map(|i| self.item(i)).map(cost).sum::<u64>();
        self.shared.count_flushable(before, self.flushable);
        self.applied = index;
    }

    /// Up to where entries are known to be applied.
    #[must_use]
    pub fn applied_index(&self) -> Index {
        self.applied
    }

    /// The entry after the applied ones starts a new segment; `state` is the owner's as of there.
    pub fn roll(&mut self, state: Bytes) {
        let base = self.applied + 1;
        let next = match self.item(self.applied) {
            Some(item) => item.row.next_offset(),
            None if self.applied == self.flushed => self.flushed_end(),
            // The owner is behind what was flushed before a restart: it rolls later.
            None => return,
        };
        let active = self.active();
        // A segment that begins there has the same state already, and maybe in a checkpoint.
        if base <= active.base_index || base < active.end_index() {
            return;
        }
        self.segments.push(Segment::new(base, next, state));
    }

    /// Whether the active segment is full.
    #[must_use]
    pub fn wants_roll(&self) -> bool {
        if self.applied < self.flushed {
            return false;
        }
        let active = self.active();
        let entries = (self.applied + 1).saturating_sub(active.base_index);
        entries > 0
            && (active.bytes() + self.flushable >= self.segment_bytes
                || entries >= self.limits.segment_entries)
    }

    /// How large a segment becomes.
    pub fn set_segment_bytes(&mut self, bytes: u64) {
        self.segment_bytes = bytes;
    }

    /// How many payload bytes [`raft::Storage::entries`] may name when it may stop early.
    pub fn set_payload_budget(&mut self, bytes: u64) {
        self.payload_budget = bytes;
    }

    /// The newest checkpoint of the owner's state, and the entry that it includes last.
    pub fn last_state(&self) -> Result<(Index, Bytes), LogError> {
        let active = self.active();
        Ok((active.base_index - 1, active.state(&self.place())?))
    }

    /// The log start offset moves. Whole segments below it go at the next checkpoint.
    pub fn set_start(&mut self, wal: &mut Wal<D>, start: Offset) {
        if start > self.start {
            self.start = start;
            wal.push(Record::Start { id: self.id, offset: start });
        }
        self.count_reclaimable();
    }

    /// The owner needs no entry before `index`. Whole segments before it go at the next checkpoint.
    pub fn drop_before(&mut self, index: Index) {
        self.drop_before = self.drop_before.max(index);
        self.count_reclaimable();
    }

    /// Other replicas still need the entries from `index` on: they are not dropped.
    pub fn set_keep_index(&mut self, index: Index) {
        self.keep_index = index;
        self.count_reclaimable();
    }

    /// Whether [`Self::take_fault`] has something.
    #[must_use]
    pub fn has_fault(&self) -> bool {
        self.fault.borrow().is_some()
    }

    /// What a read below raft's surface ran into, once. The group must go offline.
    pub fn take_fault(&self) -> Option<LogError> {
        self.fault.borrow_mut().take()
    }

    fn place(&self) -> Place<'_, D> {
        Place { disk: &self.disk, id: self.id, peer: self.peer }
    }

    /// Raft's first index.
    #[must_use]
    pub fn first(&self) -> Index {
        self.segments.first().map_or(1, |segment| segment.base_index)
    }

    /// Raft's last index.
    #[must_use]
    pub fn last(&self) -> Index {
        self.flushed + self.tail.len() as u64
    }

    /// The last entry that is in a segment.
    #[must_use]
    pub fn flushed_index(&self) -> Index {
        self.flushed
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log always has a segment")
    }

    fn flushed_end(&self) -> Offset {
        let of = self.segments.partition_point(|s| s.base_index <= self.flushed).max(1);
        self.segments.get(of - 1).map_or(0, |segment| segment.end_offset)
    }

    fn item(&self, index: Index) -> Option<&Item> {
        let at = index.checked_sub(self.flushed + 1)?;
        self.tail.get(usize::try_from(at).ok()?)
    }

    fn put(&mut self, row: Row, bytes: Bytes) {
        self.terms.push(row.index, row.term);
        self.tail.push_back(Item { row, bytes });
    }

    /// Forgets the entries from `index` on, which are neither applied nor flushed, and segments
    /// that would have begun after it.
    fn truncate(&mut self, index: Index) {
        if index > self.last() {
            return;
        }
        let keep = index.saturating_sub(self.flushed + 1);
        self.tail.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.terms.truncate(index);
    }

    fn restart(&mut self, image: Image) {
        let Image { index, term, start, next, conf, conf_index, state } = image;
        self.slot = self.shared.slot();
        self.segments = vec![Segment::new(index + 1, next, state)];
        self.terms = Terms::after(index, term);
        self.tail.clear();
        self.shared.count_flushable(self.flushable, 0);
        self.flushable = 0;
        (self.flushed, self.applied) = (index, index);
        (self.start, self.conf, self.conf_index) = (start, conf, conf_index);
        self.hard.term = self.hard.term.max(term);
        self.hard.commit = self.hard.commit.max(index);
        self.count_reclaimable();
    }

    /// The open files of all segments, to be closed, and the names of all files there may be.
    fn give_up_segments(&mut self) -> (Vec<FileId>, Vec<String>) {
        let mut segments = std::mem::take(&mut self.segments);
        let place = self.place();
        let given = segments.iter_mut().map(|segment| segment.give_up(&place));
        let (open, paths): (Vec<_>, Vec<_>) = given.unzip();
        (open.concat(), paths.concat())
    }

    fn corrupt(&self, reason: impl Into<String>) -> LogError {
        LogError::Corrupt { group: self.id, file: self.place().dir(), reason: reason.into() }
    }

    /// The term of the last entry.
    #[must_use]
    pub fn last_term(&self) -> Term {
        self.terms.term(self.last())
    }
}

impl<D: Disk> Drop for GroupLog<D> {
    fn drop(&mut self) {
        self.shared.count_flushable(self.flushable, 0);
        self.shared.count_reclaimable(self.reclaimable, 0);
    }
}

fn cost(item: &Item) -> u64 {
    u64::from(item.row.len) + ROW_BYTES as u64
}

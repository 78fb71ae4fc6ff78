//! The way of a group's log to disk and back: applied entries to segments, the group's part of a
//! checkpoint, and what recovery does with it.

use std::sync::Arc;

use raft::eraftpb::HardState;

use super::{Birth, GroupLog, Item, cost};
use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, PartitionId, PeerId};
use crate::log::cache::Shared;
use crate::log::disk::{Disk, DiskError};
use crate::log::image::{get_conf, put_conf};
use crate::log::record::Record;
use crate::log::row::Row;
use crate::log::segment::Segment;
use crate::log::terms::Terms;
use crate::log::wal::{SyncJob, Wal};
use crate::log::{Limits, LogError};
use crate::mutant::{self, Mutant};

impl<D: Disk> GroupLog<D> {
    pub(super) fn flush_if_due(&mut self) -> Result<(), LogError> {
        if self.flushable < self.limits.flush_bytes {
            return Ok(());
        }
        let all = mutant::is(Mutant::FlushUncommitted);
        match self.flush(if all { self.last() } else { self.applied }) {
            // The entries stay in memory and in the write-ahead log; a later flush takes them.
            Err(LogError::Disk(DiskError::Full { .. })) => Ok(()),
            other => other,
        }
    }

    /// Moves the entries up to `upto`, which are committed, to segments.
    fn flush(&mut self, upto: Index) -> Result<(), LogError> {
        let upto = upto.min(self.last());
        while self.flushed < upto {
            let next = self.flushed + 1;
            let after = self.segments.partition_point(|s| s.base_index <= next);
            let end = self.segments.get(after).map_or(upto, |s| upto.min(s.base_index - 1));
            let count = usize::try_from(end - self.flushed).unwrap_or(usize::MAX);
            let GroupLog { segments, tail, disk, id, peer, .. } = self;
            let place = super::Place { disk: &*disk, id: *id, peer: *peer };
            let segment =
                segments.get_mut(after - 1).expect("the first base is not above the tail");
            let items = tail.iter_mut().take(count);
            segment.append(&place, items.map(|item| (&mut item.row, &item.bytes)))?;
            let before = self.flushable;
            for item in self.tail.drain(..count) {
                if item.row.index <= self.applied {
                    self.flushable = self.flushable.saturating_sub(cost(&item));
                }
                self.shared.put(self.slot, item.row, item.bytes);
            }
            self.shared.count_flushable(before, self.flushable);
            self.flushed = end;
        }
        Ok(())
    }

    /// This group's part of a checkpoint: applied entries are flushed, needless segments dropped,
    /// the rest of the tail is pushed again, and what is to be synced is added to `job`.
    pub(in crate::log) fn checkpoint(
        &mut self,
        wal: &mut Wal<D>,
        job: &mut SyncJob,
        w: &mut Writer,
    ) -> Result<(), LogError> {
        self.flush(self.applied)?;
        self.drop_segments(wal);
        let inline_max = self.limits.inline_state_bytes;
        let mut files = Vec::new();
        let GroupLog { segments, disk, id, peer, .. } = self;
        let place = super::Place { disk: &*disk, id: *id, peer: *peer };
        let mut written = Ok(());
        for segment in segments {
            written = segment.write_state(&place, inline_max);
            if written.is_err() {
                break;
            }
            files.extend(segment.take_dirty());
        }
        if !files.is_empty() && !mutant::is(Mutant::CheckpointSkipsSegments) {
            job.files.extend(files);
            job.dirs.push(place.dir());
        }
        // Only now: what the segments before it have given up as dirty is still to be synced.
        written?;
        for Item { row, bytes } in &self.tail {
            wal.push(Record::Entry { id: self.id, row: *row, bytes: bytes.clone() });
        }
        self.put_image(w);
        Ok(())
    }

    /// How many of the first segments neither readers, the owner nor other replicas need.
    fn needless(&self) -> usize {
        let needed = |next: &Segment| {
            let above_start = next.base_offset > self.start || next.base_offset == 0;
            (above_start && next.base_index > self.drop_before)
                || next.base_index > self.keep_index
                || next.base_index > self.applied + 1
        };
        self.segments.iter().skip(1).take_while(|next| !needed(next)).count()
    }

    pub(super) fn count_reclaimable(&mut self) {
        let bytes = self.segments.iter().take(self.needless()).map(Segment::bytes).sum();
        self.shared.count_reclaimable(self.reclaimable, bytes);
        self.reclaimable = bytes;
    }

    fn drop_segments(&mut self, wal: &mut Wal<D>) {
        let needless = self.needless();
        let place = super::Place { disk: &self.disk, id: self.id, peer: self.peer };
        for mut segment in self.segments.drain(..needless) {
            let (open, paths) = segment.give_up(&place);
            wal.closing.extend(open);
            wal.dropped.extend(paths);
        }
        self.terms.drop_before(self.first() - 1);
        self.count_reclaimable();
    }

    fn put_image(&self, w: &mut Writer) {
        w.uuid(self.id.topic).u32(self.id.partition).u64(self.peer.0);
        let forgets = mutant::is(Mutant::CheckpointForgetsVote);
        let vote = if forgets { 0 } else { self.hard.vote };
        w.u64(self.hard.term).u64(vote).u64(self.hard.commit);
        put_conf(w, &self.conf);
        w.u64(self.conf_index).i64(self.start).u64(self.flushed);
        // Those of the tail come back with its entries.
        let mut terms = self.terms.clone();
        terms.truncate(self.flushed + 1);
        w.list(terms.starts().iter(), |w, (term, index)| {
            w.u64(*term).u64(*index);
        });
        w.list(self.segments.iter(), |w, segment| segment.put(w));
    }

    /// The group as a checkpoint has it.
    pub(in crate::log) fn get_image(
        r: &mut Reader,
        disk: D,
        shared: Shared,
        limits: Arc<Limits>,
    ) -> Result<GroupLog<D>, CodecError> {
        let id = PartitionId::new(r.uuid("topic")?, r.u32("partition")?);
        let peer = PeerId(r.u64("peer")?);
        let mut log = GroupLog::born(disk, shared, limits, id, Birth { peer, image: None });
        log.hard =
            HardState { term: r.u64("term")?, vote: r.u64("vote")?, commit: r.u64("commit")? };
        log.conf = get_conf(r)?;
        log.conf_index = r.u64("conf index")?;
        log.start = r.i64("log start")?;
        log.flushed = r.u64("flushed index")?;
        let starts = r.list("terms", |r| Ok((r.u64("term")?, r.u64("index")?)))?;
        log.terms = Terms::from_starts(starts);
        log.segments = r.list("segments", Segment::get)?;
        if log.segments.is_empty() || log.terms.is_empty() {
            return Err(CodecError::Unknown { what: "empty group image", value: 0 });
        }
        log.applied = log.first() - 1;
        Ok(log)
    }

    /// Cuts all segments to what the checkpoint vouches for.
    pub(in crate::log) fn cut(&self) -> Result<(), LogError> {
        self.segments.iter().try_for_each(|segment| segment.cut(&self.place()))
    }

    /// An entry from the write-ahead log. One that is there already is left alone: it was copied
    /// forward by a checkpoint.
    pub(in crate::log) fn replay_entry(
        &mut self,
        row: Row,
        bytes: bytes::Bytes,
    ) -> Result<(), LogError> {
        let index = row.index;
        let last = self.last();
        if index <= self.flushed || index <= last && self.terms.term(index) == row.term {
            return Ok(());
        }
        if index <= last && mutant::is(Mutant::ReplayKeepsReplaced) {
            return Ok(());
        }
        if index > last + 1 {
            return Err(self.corrupt(format!("entry {index} follows entry {last} in the log")));
        }
        if index <= last.min(self.hard.commit) {
            return Err(self.corrupt(format!("entry {index} is replaced after its commit")));
        }
        self.truncate(index);
        self.put(row, bytes);
        Ok(())
    }

    /// A hard state from the write-ahead log. Committed entries are final, so long runs of them
    /// leave memory here.
    pub(in crate::log) fn replay_hard_state(&mut self, hard: HardState) -> Result<(), LogError> {
        self.hard = hard;
        let upto = self.hard.commit.min(self.last());
        let unflushed: u64 = self.tail.iter().map(cost).sum();
        if unflushed >= 16 * self.limits.flush_bytes { self.flush(upto) } else { Ok(()) }
    }

    pub(in crate::log) fn replay_conf(&mut self, conf: raft::eraftpb::ConfState, index: Index) {
        (self.conf, self.conf_index) = (conf, index);
    }

    pub(in crate::log) fn replay_start(&mut self, start: i64) {
        self.start = self.start.max(start);
    }

    pub(in crate::log) fn replay_install(&mut self, image: crate::log::Image) {
        let (open, _) = self.give_up_segments();
        open.into_iter().for_each(|file| self.disk.close(file));
        self.restart(image);
    }

    /// After the last record: what must hold, and where the owner begins.
    pub(in crate::log) fn recovered(&mut self) -> Result<(), LogError> {
        let (commit, last) = (self.hard.commit, self.last());
        if commit > last {
            let why = format!("entries up to {commit} were committed, but it ends with {last}");
            return Err(self.corrupt(why));
        }
        self.hard.commit = commit.max(self.first() - 1).max(self.flushed);
        self.applied = self.active().base_index - 1;
        self.count_reclaimable();
        Ok(())
    }

    /// The names of the files that belong to this log, and its directory's.
    pub(in crate::log) fn file_stems(&self) -> (String, Vec<String>) {
        let stems = self.segments.iter().map(|s| format!("{:020}", s.base_index)).collect();
        (self.place().dir_name(), stems)
    }
}

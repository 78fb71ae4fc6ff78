//! The one legal order in which a Ready of raft-rs 0.7 becomes effects. No other file knows it.
//!
//! 1. entries, hard state and snapshot go to the log (readable at once, not synced);
//! 2. `messages()` leave, unless the Ready changes term or vote: then they wait like
//! 3. `persisted_messages()`, which leave after `on_persist_ready`, in Ready order; but answers to heartbeats
//!    leave at once when term and vote are synced, as they say nothing of entries: a disk that is full or
//!    slow does not make its leader believe that nobody is there;
//! 4. `advance_append_async`, never `advance` or `advance_append`: those call what is not synced synced;
//! 5. committed entries, one by one: `apply_conf_change`, then `advance_apply_to`;
//! 6. after the sync: `on_persist_ready`, and for a snapshot `advance_apply_to` its index.

use bytes::Bytes;
use raft::eraftpb::{ConfChangeV2, ConfState, Entry as RaftEntry, Message, MessageType};

use super::envelope::is_answer;
use super::group::{Group, Persisting};
use super::outbox::Outbox;
use crate::ids::{BrokerId, Index, PeerId, Term};
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::log::entry::{Descriptor, Entry, EntryError, describe};
use crate::log::image::Image;
use crate::log::wal::Wal;
use crate::mutant::{self, Mutant};

/// A group that cannot go on. It is taken offline; the node goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The log refused.
    #[error("log of the replica")]
    Log(#[from] LogError),
    /// An entry without its payload, or with another one's.
    #[error("entry {index} of the log")]
    Entry {
        /// Its index.
        index: Index,
        /// What is wrong with it.
        source: EntryError,
    },
    /// A committed membership change that does not decode.
    #[error("membership change at index {index}")]
    Change {
        /// Its index.
        index: Index,
        /// What is wrong with it.
        source: chronik_raft_bridge::DecodeError,
    },
    /// raft refused what it had committed.
    #[error("raft refused its own entry {index}")]
    Raft {
        /// Its index.
        index: Index,
        /// Its words.
        source: raft::Error,
    },
}

/// A committed entry, for the group's owner. Payloads are read from the log by those who need them.
#[derive(Debug)]
pub struct Committed {
    /// Its index.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// What it is.
    pub what: Descriptor,
    /// The change, for a membership change.
    pub change: Option<ConfChangeV2>,
    /// The membership that it made, unless the log knew a later one already.
    pub conf: Option<ConfState>,
}

/// What the owner has to do after a drive, in this order.
#[derive(Debug, Default)]
pub struct Driven {
    /// A leader's snapshot replaced the log: start from its state.
    pub installed: Option<Image>,
    /// Entries to apply.
    pub committed: Vec<Committed>,
    /// The log has new entries; they are written at the end of the round.
    pub appended: bool,
}

impl<D: Disk> Group<D> {
    /// Works off all Readies. What has to be synced is in `wal` and will be synced by the node's
    /// sync of `round`; then [`Group::persisted`] is called with it.
    pub fn drive(
        &mut self,
        wal: &mut Wal<D>,
        outbox: &mut Outbox,
        round: u64,
    ) -> Result<Driven, DriveError> {
        let mut driven = Driven::default();
        self.commit_old_term();
        while self.has_ready() {
            self.drive_once(wal, outbox, round, &mut driven)?;
            // What cannot be read stays to be done: raft would ask for it for ever.
            if let Some(fault) = self.log().take_fault() {
                return Err(fault.into());
            }
        }
        if let Some(fault) = self.log().take_fault() {
            return Err(fault.into());
        }
        let (conf, index) = self.raw.store().conf();
        self.synced_conf.note(round, conf, index);
        // A payload that no Ready asked for belongs to an entry that raft refused.
        self.staged.clear();
        let bytes = driven.committed.iter().map(|entry| entry.what.payload_len()).sum();
        self.settle(bytes);
        self.retime();
        Ok(driven)
    }

    fn drive_once(
        &mut self,
        wal: &mut Wal<D>,
        outbox: &mut Outbox,
        round: u64,
        driven: &mut Driven,
    ) -> Result<(), DriveError> {
        let mut ready = self.raw.ready();
        let mut snapshot = None;
        if !ready.snapshot().is_empty() {
            let image = Image::from_raft(ready.snapshot())?;
            snapshot = Some(image.index);
            self.raw.mut_store().install(wal, image.clone())?;
            driven.committed.clear();
            driven.installed = Some(image);
        }
        let entries = self.adopt(ready.take_entries())?;
        if !entries.is_empty() {
            self.raw.mut_store().append(wal, entries)?;
            driven.appended = true;
        }
        let mut elects = false;
        if let Some(state) = ready.hs() {
            let old = self.raw.store().hard_state();
            elects = old.term != state.term || old.vote != state.vote;
            self.raw.mut_store().set_hard_state(wal, state);
        }
        let mut messages = ready.take_messages();
        let mut later = ready.take_persisted_messages();
        let committed = ready.take_committed_entries();
        let (number, must_sync) = (ready.number(), ready.must_sync());
        self.raw.advance_append_async(ready);
        if elects && !mutant::is(Mutant::SpeakInUnsyncedTerm) {
            messages.append(&mut later);
            later = std::mem::take(&mut messages);
        }
        if !elects && !self.persisting.iter().any(|ready| ready.elects) {
            let alive =
                |message: &mut Message| message.get_msg_type() == MessageType::MsgHeartbeatResponse;
            messages.extend(later.extract_if(.., alive));
        }
        self.send(messages, outbox)?;
        self.persist_later(
            Persisting { number, round, elects, messages: later, snapshot },
            must_sync,
            outbox,
        )?;
        for entry in committed {
            self.commit(wal, &entry, driven)?;
        }
        Ok(())
    }

    /// Everything up to the sync of `round` is on disk.
    pub fn persisted(&mut self, round: u64, outbox: &mut Outbox) -> Result<(), DriveError> {
        while self.persisting.front().is_some_and(|ready| ready.round <= round) {
            if let Some(ready) = self.persisting.pop_front() {
                self.persist_now(ready, outbox)?;
            }
        }
        self.synced_conf.persisted(round);
        Ok(())
    }

    /// Answers to a peer that wait for their sync are not worth sending any more.
    pub fn forget_answers(&mut self, to: BrokerId) {
        for ready in &mut self.persisting {
            ready
                .messages
                .retain(|message| PeerId(message.to).broker() != to || !is_answer(message));
        }
    }

    /// Whether a Ready, or a membership, still waits for its sync.
    pub fn awaits_sync(&self) -> bool {
        !self.persisting.is_empty() || self.synced_conf.awaits_sync()
    }

    fn persist_later(
        &mut self,
        mut ready: Persisting,
        must_sync: bool,
        outbox: &mut Outbox,
    ) -> Result<(), DriveError> {
        if mutant::is(Mutant::SayBeforeSync) {
            self.send(std::mem::take(&mut ready.messages), outbox)?;
        }
        if mutant::is(Mutant::CountUnsynced) && ready.snapshot.is_none() {
            self.raw.on_persist_ready(ready.number);
        }
        match self.persisting.back() {
            None if !must_sync => return self.persist_now(ready, outbox),
            // Nothing to sync itself, but it may not overtake: it goes with the one before it.
            Some(before) if !must_sync => ready.round = before.round,
            Some(_) | None => {}
        }
        self.persisting.push_back(ready);
        Ok(())
    }

    fn persist_now(
        &mut self,
        mut ready: Persisting,
        outbox: &mut Outbox,
    ) -> Result<(), DriveError> {
        self.raw.on_persist_ready(ready.number);
        if let Some(index) = ready.snapshot {
            self.raw.advance_apply_to(index);
        }
        // What an earlier leader is told of may have been replaced by a later one before the sync.
        let term = self.term();
        ready.messages.retain(|message| message.term >= term || !is_answer(message));
        self.send(ready.messages, outbox)?;
        self.retime();
        Ok(())
    }

    fn adopt(&mut self, entries: Vec<RaftEntry>) -> Result<Vec<Entry>, DriveError> {
        entries
            .into_iter()
            .map(|entry| {
                let payload = self.staged.remove(&(entry.index, entry.term));
                Entry::from_raft(&entry, payload)
                    .map_err(|source| DriveError::Entry { index: entry.index, source })
            })
            .collect()
    }

    fn commit(
        &mut self,
        wal: &mut Wal<D>,
        entry: &RaftEntry,
        driven: &mut Driven,
    ) -> Result<(), DriveError> {
        let index = entry.index;
        let what = describe(entry).map_err(|source| DriveError::Entry { index, source })?;
        let (mut change, mut conf) = (None, None);
        if matches!(what, Descriptor::ConfChange) {
            let decoded = chronik_raft_bridge::decode_conf_change_v2(&entry.data)
                .map_err(|source| DriveError::Change { index, source })?;
            // A snapshot carries the membership of a later index than its own, and so does a log
            // that is opened again: what lies before that index is in it already.
            if index > self.log().conf().1 || mutant::is(Mutant::ReapplyChanges) {
                self.change(wal, index, &decoded)?;
            }
            change = Some(decoded);
            let (now, since) = self.log().conf();
            conf = (since == index).then(|| now.clone());
        }
        self.raw.advance_apply_to(index);
        driven.committed.push(Committed { index, term: entry.term, what, change, conf });
        Ok(())
    }

    fn change(
        &mut self,
        wal: &mut Wal<D>,
        index: Index,
        change: &ConfChangeV2,
    ) -> Result<(), DriveError> {
        let mut conf = self
            .raw
            .apply_conf_change(change)
            .map_err(|source| DriveError::Raft { index, source })?;
        if mutant::is(Mutant::SkipJoint) && !conf.voters_outgoing.is_empty() {
            let leave = self.raw.apply_conf_change(&ConfChangeV2::default());
            conf = leave.map_err(|source| DriveError::Raft { index, source })?;
        }
        self.stopped = !is_member(&conf, self.peer());
        // It may have come to lead in the joint state that takes its vote, and raft-rs would let it
        // lead on: no further change is planned under a leader that does not vote.
        let is_demoted = self.leads() && !self.raw.raft.promotable();
        if self.stopped || is_demoted {
            // Its own entries may still be on their way to the disk, and raft-rs looks for itself
            // among the members when a leader's are synced.
            let raft = &mut self.raw.raft;
            raft.become_follower(raft.term, raft::INVALID_ID);
        }
        self.raw.mut_store().set_conf(wal, conf, index);
        Ok(())
    }

    fn send(&mut self, messages: Vec<Message>, outbox: &mut Outbox) -> Result<(), DriveError> {
        for message in messages {
            let Some(message) = self.mended(message) else { continue };
            let Some(payloads) = self.payloads(&message)? else { continue };
            let bytes = payloads.iter().map(Bytes::len).sum();
            if !self.may_send(&message, bytes, &mut outbox.throttle) {
                continue;
            }
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.snapshots.insert(PeerId(message.to), 0);
            }
            outbox.raft(self.id, &message, payloads);
        }
        Ok(())
    }

    /// The payloads of a message's entries; none if the log has moved on since the message was made
    /// (it waited for a sync, and another leader took over): then it is not worth sending.
    fn payloads(&self, message: &Message) -> Result<Option<Vec<Bytes>>, DriveError> {
        let mut payloads = Vec::new();
        for entry in message.entries.iter() {
            let index = entry.index;
            if self.raw.raft.raft_log.term(index).ok() != Some(entry.term) {
                return Ok(None);
            }
            let what = describe(entry).map_err(|source| DriveError::Entry { index, source })?;
            if matches!(what, Descriptor::Batch(_)) {
                payloads.extend(self.log().payload(index)?);
            }
        }
        Ok(Some(payloads))
    }
}

/// Whether `peer` has any part in a membership, now or after its joint state.
pub(crate) fn is_member(conf: &ConfState, peer: PeerId) -> bool {
    [&conf.voters, &conf.voters_outgoing, &conf.learners, &conf.learners_next]
        .into_iter()
        .any(|ids| ids.contains(&peer.0))
}

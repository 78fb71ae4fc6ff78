//! The end of a round: work off ready groups, write the write-ahead log once, sync, send.
//! One sync of it is in flight at a time; what comes meanwhile shares the next one.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::input::Ticket;
use super::output::{Output, SyncClass};
use super::{Core, with_causes};
use crate::ids::{Micros, Now, PartitionId};
use crate::log::LogError;
use crate::log::checkpoint::Checkpoint;
use crate::log::disk::{Disk, DiskError};
use crate::log::wal::SyncJob;
use crate::mutant::{self, Mutant};
use crate::raft::ready::DriveError;

/// A checkpoint that could not be made is tried again after this time.
const CHECKPOINT_RETRY: Micros = Micros::from_millis(1_000);

/// Syncs that are asked for and under way.
#[derive(Debug)]
pub(super) struct Syncs {
    tickets: u64,
    /// The round that Readies of now belong to.
    round: u64,
    /// Written, but not asked to be synced yet: up to which round.
    written: Option<(u64, SyncJob)>,
    in_flight: Option<(Ticket, u64, u64)>,
    /// For how many ticks that one has been in flight.
    ticks: usize,
    /// The last write found no space.
    full: bool,
    /// Groups with Readies that wait for a sync.
    waiting: BTreeSet<PartitionId>,
    checkpoint: Option<(Ticket, Checkpoint)>,
    /// When none could be made; on a full disk that is so for long.
    checkpoint_failed: Option<Micros>,
    /// Whether what was read back at the start is synced.
    recovered: bool,
}

impl Default for Syncs {
    fn default() -> Syncs {
        Syncs {
            tickets: 0,
            round: 1,
            written: None,
            in_flight: None,
            ticks: 0,
            full: false,
            waiting: BTreeSet::new(),
            checkpoint: None,
            checkpoint_failed: None,
            recovered: false,
        }
    }
}

impl Syncs {
    /// Whether the last write found no space.
    pub(super) fn met_full(&self) -> bool {
        self.full
    }

    /// The round that is being written.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Whether a sync of the write-ahead log is being waited for.
    pub(super) fn under_way(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Counts a tick; for how many of them the sync in flight has been waited for. Ticks and not
    /// time, because after a pause of the whole process the disk has done nothing wrong.
    pub(super) fn tick(&mut self) -> usize {
        self.ticks = if self.in_flight.is_some() { self.ticks + 1 } else { 0 };
        self.ticks
    }
}

impl<D: Disk> Core<D> {
    /// Ends a round.
    pub fn flush(&mut self, now: Now) {
        self.now = now;
        self.wal.close_dropped();
        loop {
            self.drive_dirty();
            if self.write() {
                continue;
            }
            // What this round brought may have to be told, which is one more entry to be written.
            if self.syncs.full || !self.report_soon() {
                break;
            }
        }
        self.start_sync();
        self.start_checkpoint();
        // What a killed process had written and not synced is read back as if it were on disk; so
        // nothing is said on the strength of it before the first sync of this run.
        if !self.syncs.recovered && !mutant::is(Mutant::TrustPageCache) {
            return;
        }
        for (to, frame) in self.outbox.take() {
            if to != self.config.broker {
                self.outputs.push(Output::Send { to, frame });
            }
        }
    }

    /// A sync has reached the disk.
    pub(super) fn synced(&mut self, ticket: Ticket) {
        match self.syncs.in_flight.take_if(|sync| sync.0 == ticket) {
            Some((_, round, upto)) => {
                self.syncs.recovered = true;
                self.wal.synced(upto);
                let later = mutant::is(Mutant::SyncCoversLater);
                self.persisted(if later { u64::MAX } else { round });
            }
            None => self.checkpoint_synced(ticket),
        }
    }

    /// Works off the groups in which something has happened.
    pub(super) fn drive_dirty(&mut self) {
        while let Some(id) = self.dirty.pop_first() {
            self.drive(id);
        }
    }

    fn drive(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        let (wal, outbox, round) = (&mut self.wal, &mut self.outbox, self.syncs.round);
        let driven = guarded(|| replica.group.drive(wal, outbox, round));
        if replica.group.awaits_sync() {
            self.syncs.waiting.insert(id);
        }
        match driven {
            Ok(driven) => {
                if driven.appended {
                    self.note_appended(id);
                }
                self.apply(id, driven);
                self.after_drive(id);
                self.count_uncommitted(id);
            }
            Err(reason) => self.take_offline(id, reason),
        }
    }

    /// Writes what the groups have put into the write-ahead log. Whether that made groups ready.
    fn write(&mut self) -> bool {
        let round = self.syncs.round;
        let written = self.wal.write();
        if let Err(DiskError::Full { path }) = &written {
            // What could not be written is kept, and tried again with the next round.
            if !std::mem::replace(&mut self.syncs.full, true) {
                tracing::error!(%path, "the disk is full: nothing is acknowledged until there is space");
            }
            self.refuse_written();
            return false;
        }
        if std::mem::take(&mut self.syncs.full) {
            tracing::info!("the disk has space again");
        }
        self.answer_written();
        self.syncs.round += 1;
        if written.is_ok() {
            self.tell_received();
        }
        match written {
            Ok(Some(job)) => {
                self.syncs.written = Some((
                    round,
                    match self.syncs.written.take() {
                        Some((_, before)) => joined(before, job),
                        None => job,
                    },
                ));
            }
            Ok(None) if self.syncs.written.is_none() && self.syncs.in_flight.is_none() => {
                self.persisted(round);
            }
            Ok(None) => {}
            Err(error) => self.fatal(format!("writing the write-ahead log: {error}")),
        }
        !self.dirty.is_empty()
    }

    fn start_sync(&mut self) {
        if self.syncs.in_flight.is_some() {
            return;
        }
        if let Some((round, job)) = self.syncs.written.take() {
            let ticket = self.ticket();
            self.syncs.in_flight = Some((ticket, round, job.upto));
            self.syncs.ticks = 0;
            self.outputs.push(Output::Sync {
                ticket,
                class: SyncClass::Wal,
                files: job.files,
                dirs: job.dirs,
            });
        }
    }

    fn persisted(&mut self, round: u64) {
        self.release_description(round);
        for id in std::mem::take(&mut self.syncs.waiting) {
            let Some(replica) = self.replicas.get_mut(&id) else { continue };
            let outbox = &mut self.outbox;
            let (_, shown) = replica.group.synced_conf();
            match guarded(|| replica.group.persisted(round, outbox)) {
                Ok(()) => {
                    if replica.group.awaits_sync() {
                        self.syncs.waiting.insert(id);
                    }
                    self.dirty.insert(id);
                    if replica.group.synced_conf().1 != shown {
                        self.show_conf(id);
                    }
                }
                Err(reason) => self.take_offline(id, reason),
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.syncs.tickets += 1;
        Ticket(self.syncs.tickets)
    }

    fn start_checkpoint(&mut self) {
        let failed = self.syncs.checkpoint_failed;
        if self.syncs.checkpoint.is_some()
            || failed.is_some_and(|at| self.now.mono.since(at) < CHECKPOINT_RETRY)
            || !self.wal.wants_checkpoint()
        {
            return;
        }
        let awake = self.replicas.values_mut().map(|replica| replica.group.log_mut());
        let offline = self.offline.values_mut().filter_map(|offline| offline.log.as_mut());
        let logs = awake.chain(self.dormant.values_mut()).chain(offline);
        match Checkpoint::begin(&mut self.wal, logs) {
            Ok((checkpoint, job)) => self.sync_checkpoint(checkpoint, job),
            Err(error) => self.no_checkpoint(&error),
        }
    }

    fn no_checkpoint(&mut self, error: &LogError) {
        self.syncs.checkpoint_failed = Some(self.now.mono);
        tracing::error!(error = %with_causes(error), "no checkpoint was made");
    }

    fn sync_checkpoint(&mut self, checkpoint: Checkpoint, job: SyncJob) {
        let ticket = self.ticket();
        self.syncs.checkpoint = Some((ticket, checkpoint));
        let class = SyncClass::Background;
        self.outputs.push(Output::Sync { ticket, class, files: job.files, dirs: job.dirs });
    }

    fn checkpoint_synced(&mut self, ticket: Ticket) {
        let Some((waiting, mut checkpoint)) = self.syncs.checkpoint.take() else { return };
        if waiting != ticket {
            self.syncs.checkpoint = Some((waiting, checkpoint));
            return;
        }
        match checkpoint.advance(&mut self.wal) {
            Ok(Some(job)) => self.sync_checkpoint(checkpoint, job),
            Ok(None) => self.counters.checkpoints += 1,
            Err(error) => self.no_checkpoint(&error),
        }
    }
}

/// One sync for both.
fn joined(before: SyncJob, after: SyncJob) -> SyncJob {
    let mut files = before.files;
    files.extend(after.files);
    files.sort_unstable();
    files.dedup();
    let mut dirs = before.dirs;
    dirs.extend(after.dirs);
    dirs.sort_unstable();
    dirs.dedup();
    SyncJob { files, dirs, upto: before.upto.max(after.upto) }
}

/// One group's broken invariant, raft's own panics included, must not end the node.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, DriveError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| with_causes(&error)),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned())),
    }
}

//! Carries out what the core asks for, in its order.

use chronik_core::core::input::Ticket;
use chronik_core::core::output::{Output, SyncClass};
use chronik_core::log::disk::FileId;
use tokio::time::{Duration, Instant};

use super::engine::Engine;
use super::{Ending, Node};
use crate::storage::syncer::Job;

/// For how long files that are behind wait for a pause of the write-ahead log.
const BEHIND_WAIT_MAX: Duration = Duration::from_millis(5);

/// When files that got many bytes are synced: between two syncs of the write-ahead log, if there is
/// such a moment soon. Beside one of them that one takes longer, and clients wait for it.
#[derive(Debug, Default)]
pub(super) struct Behind {
    since: Option<Instant>,
}

impl Behind {
    /// Whether files that are behind are to be synced now.
    fn are_due(&mut self, now: Instant, wal_is_busy: bool) -> bool {
        let since = *self.since.get_or_insert(now);
        let due = !wal_is_busy || now - since >= BEHIND_WAIT_MAX;
        if due {
            self.since = None;
        }
        due
    }
}

impl<E: Engine> Node<E> {
    pub(super) fn carry_out(&mut self) {
        // Collected, since carrying out needs the rest of the node while the core is borrowed.
        let outputs: Vec<Output> = self.engine.outputs().collect();
        for output in outputs {
            self.carry(output);
        }
        self.sync_behind();
    }

    fn sync_behind(&mut self) {
        if !self.disk.is_behind() {
            return;
        }
        let wal_is_busy = self.syncs.keys().any(|(is_wal, _)| *is_wal);
        if self.behind.are_due(Instant::now(), wal_is_busy) {
            let files = self.disk.take_behind();
            self.background_syncer.sync(Job { ticket: None, files, dirs: Vec::new() });
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Reply { token, response } => {
                self.clients.reply(token, response, |file| self.disk.file(file));
            }
            Output::Close(token) => self.clients.close(token),
            Output::Send { to, frame } => self.links.send(to, frame),
            Output::Peers(peers) => self.links.set(peers),
            Output::Sync { ticket, class, files, dirs } => self.sync(ticket, class, &files, &dirs),
            Output::AdminReply { token, result } => {
                if let Some(reply) = self.admin_calls.remove(&token) {
                    let _ = reply.send(result);
                }
            }
            Output::StepReply { token, result } => {
                if let Some(reply) = self.step_calls.remove(&token) {
                    let _ = reply.send(result);
                }
            }
            Output::Drained => {
                tracing::info!("leaderships are handed over");
                self.end(Ending::Clean);
            }
            Output::Wipe => self.end(Ending::Wipe),
            Output::Fatal(reason) => self.end(Ending::Fatal(reason)),
        }
    }

    /// The first reason stands, but a fatal one is never hidden by another.
    fn end(&mut self, ending: Ending) {
        let fatal = matches!(ending, Ending::Fatal(_));
        if self.ending.is_none() || fatal {
            self.ending = Some(ending);
        }
    }

    fn sync(&mut self, ticket: Ticket, class: SyncClass, files: &[FileId], dirs: &[String]) {
        let mut open = Vec::with_capacity(files.len());
        for file in files {
            match self.disk.to_sync(*file) {
                Some(file) => open.push(file),
                None => {
                    let reason = format!("a sync names file {}, which is not open", file.0);
                    return self.end(Ending::Fatal(reason));
                }
            }
        }
        let mut paths = self.disk.take_unsynced_dirs();
        paths.extend(dirs.iter().map(|dir| self.disk.path(dir)));
        let is_wal = class == SyncClass::Wal;
        self.syncs.insert((is_wal, ticket), Instant::now());
        let syncer = if is_wal { &self.wal_syncer } else { &self.background_syncer };
        syncer.sync(Job { ticket: Some(ticket), files: open, dirs: paths });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_behind_wait_for_a_pause_of_the_log_but_not_for_long() {
        let (mut behind, start) = (Behind::default(), Instant::now());
        assert!(behind.are_due(start, false));
        assert!(!behind.are_due(start, true));
        let late = start + BEHIND_WAIT_MAX;
        assert!(!behind.are_due(late - Duration::from_millis(1), true));
        assert!(behind.are_due(late, true));
        assert!(!behind.are_due(late, true), "the next ones wait as long");
        assert!(behind.are_due(late, false));
    }
}

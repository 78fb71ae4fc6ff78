//! Carries out what the core asks for, in its order.

use chronik_core::core::input::Ticket;
use chronik_core::core::output::{Output, SyncClass};
use chronik_core::log::disk::FileId;
use tokio::time::Instant;

use super::engine::Engine;
use super::{Ending, Node};
use crate::storage::syncer::Job;

impl<E: Engine> Node<E> {
    pub(super) fn carry_out(&mut self) {
        // Collected, since carrying out needs the rest of the node while the core is borrowed.
        let outputs: Vec<Output> = self.engine.outputs().collect();
        for output in outputs {
            self.carry(output);
        }
        let files = self.disk.take_behind();
        if !files.is_empty() {
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

//! The threads that sync: one a [`SyncClass`], so that segments never delay acknowledgements.
//! A sync that fails is never tried again: what the page cache then holds is unknown.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chronik_core::core::input::Ticket;
use chronik_core::core::output::SyncClass;

use super::os_disk::ToSync;

/// What one sync covers.
#[derive(Debug)]
pub struct Job {
    /// To answer with.
    pub ticket: Ticket,
    /// fdatasync these, in this order.
    pub files: Vec<ToSync>,
    /// Then fsync these directories.
    pub dirs: Vec<PathBuf>,
}

/// A sync that has reached the disk.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Which.
    pub ticket: Ticket,
    /// Whose.
    pub class: SyncClass,
    /// How long the disk took.
    pub took: Duration,
}

/// A thread that syncs one job after the other.
#[derive(Debug)]
pub struct Syncer {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Syncer {
    /// Starts the thread. `done` hears of each job; after `failed` the thread takes no more.
    pub fn start(
        class: SyncClass,
        done: impl Fn(Done) + Send + 'static,
        failed: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<Syncer> {
        let (jobs, queue) = mpsc::channel();
        let name = match class {
            SyncClass::Wal => "sync-wal",
            SyncClass::Background => "sync-segments",
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            if let Err(reason) = work(class, &queue, done) {
                failed(reason);
            }
        })?;
        Ok(Syncer { jobs, thread })
    }

    /// Queues a job. A thread that ended has told `failed` why; its jobs are lost with it.
    pub fn sync(&self, job: Job) {
        let _ = self.jobs.send(job);
    }

    /// Waits until all queued jobs are done.
    pub fn finish(self) {
        drop(self.jobs);
        let _ = self.thread.join();
    }
}

fn work(class: SyncClass, queue: &Receiver<Job>, done: impl Fn(Done)) -> Result<(), String> {
    while let Ok(Job { ticket, files, dirs }) = queue.recv() {
        let start = Instant::now();
        for file in &files {
            file.sync().map_err(|e| format!("the {class:?} class: {e}"))?;
        }
        for dir in &dirs {
            sync_dir(dir).map_err(|e| format!("syncing directory {}: {e}", dir.display()))?;
        }
        done(Done { ticket, class, took: start.elapsed() });
    }
    Ok(())
}

/// A directory that was removed since it was queued needs no sync.
fn sync_dir(dir: &PathBuf) -> io::Result<()> {
    match File::open(dir) {
        Ok(dir) => dir.sync_all(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

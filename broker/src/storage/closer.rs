//! Closes removed files on a thread of its own. Whoever closes the last handle of one frees its
//! blocks, and waits for the disk where the file system discards them at once.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

/// The thread that closes files. It ends with the last of these.
#[derive(Clone, Debug)]
pub(super) struct Closer(Sender<Arc<File>>);

impl Closer {
    /// Starts the thread. Without one, files are closed where they are dropped.
    pub(super) fn start() -> Closer {
        let (files, queue) = mpsc::channel();
        let work = move || queue.into_iter().for_each(drop);
        if let Err(error) = std::thread::Builder::new().name("close-files".into()).spawn(work) {
            tracing::warn!(%error, "no thread to close removed files: clients wait for that instead");
        }
        Closer(files)
    }

    /// Closes a file, if nobody else has it open.
    pub(super) fn close(&self, file: Arc<File>) {
        // If there is no thread, it is closed here.
        let _ = self.0.send(file);
    }
}

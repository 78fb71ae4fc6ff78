//! Which files a disk's handles stand for, and which of them are open. There are more files than
//! may be open at once, so those that were not used for the longest time are closed, and opened
//! again by their path when they are used next.
//!
//! Files with writes that no sync has covered are the last to be closed: Linux tells whoever opens
//! a file next that writing it back failed, but only for as long as it remembers the file. Files
//! that have lost their name stay open, since they could not be opened again. A handle that is
//! closed while a sync still has to come lives until that is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use chronik_core::log::disk::FileId;

/// A file with so many unsynced bytes is synced before anybody needs it. Otherwise Linux writes back
/// what is 30 s old of all files at once, and all syncs of the log wait for that. They wait for these
/// syncs too, so each of them is small: of 4 MiB it kept the disk busy for 3 ms, of 256 KiB for 0.4.
const UNSYNCED_BYTES_MAX: u64 = 256 << 10;

/// All handles of a disk.
#[derive(Debug)]
pub(super) struct OpenFiles {
    open_max: usize,
    last_id: u64,
    uses: u64,
    handles: BTreeMap<FileId, Handle>,
    by_path: BTreeMap<Arc<str>, BTreeSet<FileId>>,
    /// Open files that may be closed, the first of them first.
    idle: BTreeMap<Rank, FileId>,
    open: usize,
}

/// Whether it is unsynced, and when it was last used.
type Rank = (bool, u64);

#[derive(Debug)]
struct Handle {
    path: Arc<str>,
    file: Option<Arc<File>>,
    /// Its place among the idle ones, if it is there.
    rank: Option<Rank>,
    unsynced: bool,
    /// Bytes written since the last sync began, or since it was said that they are many.
    written: u64,
    unnamed: bool,
    /// Syncs that are still to come.
    syncs: u32,
    closed: bool,
}

/// A file in use. It stays open for as long as this lives.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) path: Arc<str>,
}

/// What a file is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing changes.
    Read,
    /// It changes, and is unsynced from now on.
    Write,
    /// All that was written so far is synced next.
    Sync,
}

impl OpenFiles {
    /// No handles yet; about `open_max` files will be open at a time.
    pub(super) fn new(open_max: usize) -> OpenFiles {
        OpenFiles {
            open_max,
            last_id: 0,
            uses: 0,
            handles: BTreeMap::new(),
            by_path: BTreeMap::new(),
            idle: BTreeMap::new(),
            open: 0,
        }
    }

    /// A handle for an open file.
    pub(super) fn insert(&mut self, path: &str, file: File) -> FileId {
        self.last_id += 1;
        let (id, path) = (FileId(self.last_id), Arc::<str>::from(path));
        self.by_path.entry(Arc::clone(&path)).or_default().insert(id);
        let handle = Handle {
            path,
            file: Some(Arc::new(file)),
            rank: None,
            unsynced: false,
            written: 0,
            unnamed: false,
            syncs: 0,
            closed: false,
        };
        self.handles.insert(id, handle);
        self.open += 1;
        self.settle(id);
        id
    }

    /// The file behind a handle, opened again by `open` if it has to be; none if the handle is
    /// closed.
    pub(super) fn get(
        &mut self,
        id: FileId,
        purpose: Use,
        open: impl FnOnce(&str) -> io::Result<File>,
    ) -> io::Result<Option<Opened>> {
        let Some(handle) = self.handles.get_mut(&id) else { return Ok(None) };
        match purpose {
            Use::Read | Use::Write if handle.closed => return Ok(None),
            Use::Read => {}
            Use::Write => handle.unsynced = true,
            Use::Sync => (handle.unsynced, handle.written) = (false, 0),
        }
        self.hold(id, open)
    }

    /// So many bytes more were written. True if it is time to sync them, and nobody is about to.
    pub(super) fn wrote(&mut self, id: FileId, bytes: u64) -> bool {
        let Some(handle) = self.handles.get_mut(&id) else { return false };
        handle.written += bytes;
        let many = handle.written >= UNSYNCED_BYTES_MAX && handle.syncs == 0 && !handle.closed;
        if many {
            handle.written = 0;
        }
        many
    }

    /// A sync of this file is to come; false if there is no such handle.
    pub(super) fn begin_sync(&mut self, id: FileId) -> bool {
        let Some(handle) = self.handles.get_mut(&id).filter(|handle| !handle.closed) else {
            return false;
        };
        handle.syncs += 1;
        true
    }

    /// That sync is done, or will never be. Returns what [`OpenFiles::close`] does.
    pub(super) fn end_sync(&mut self, id: FileId) -> Option<Arc<File>> {
        let handle = self.handles.get_mut(&id)?;
        handle.syncs = handle.syncs.saturating_sub(1);
        if handle.closed { self.close(id) } else { None }
    }

    /// Closes a handle; its file is closed when nobody uses it any more. Returns the file if it has
    /// no name any more: to close that can take time.
    pub(super) fn close(&mut self, id: FileId) -> Option<Arc<File>> {
        let handle = self.handles.get_mut(&id)?;
        handle.closed = true;
        if handle.syncs > 0 {
            return None;
        }
        let handle = self.handles.remove(&id)?;
        if let Some(rank) = handle.rank {
            self.idle.remove(&rank);
        }
        self.open -= usize::from(handle.file.is_some());
        if let Some(ids) = self.by_path.get_mut(&handle.path) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_path.remove(&handle.path);
            }
        }
        handle.file.filter(|_| handle.unnamed)
    }

    /// A path is about to lose its file: those who have it open keep it.
    pub(super) fn unname(
        &mut self,
        path: &str,
        open: impl Fn(&str) -> io::Result<File>,
    ) -> io::Result<()> {
        let ids = self.by_path.get(path).cloned().unwrap_or_default();
        for id in ids {
            // First of all, or it would be closed again at once where few may be open.
            if let Some(handle) = self.handles.get_mut(&id) {
                handle.unnamed = true;
            }
            match self.hold(id, &open) {
                // Somebody else has removed it: there is nothing to keep.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// A file has another path now.
    pub(super) fn renamed(&mut self, from: &str, to: &str) {
        let Some(ids) = self.by_path.remove(from) else { return };
        let to = Arc::<str>::from(to);
        for id in &ids {
            if let Some(handle) = self.handles.get_mut(id) {
                handle.path = Arc::clone(&to);
            }
        }
        self.by_path.entry(to).or_default().extend(ids);
    }

    /// How many files are open, as far as this table knows.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    fn hold(
        &mut self,
        id: FileId,
        open: impl FnOnce(&str) -> io::Result<File>,
    ) -> io::Result<Option<Opened>> {
        let Some(handle) = self.handles.get_mut(&id) else { return Ok(None) };
        let path = Arc::clone(&handle.path);
        let file = match &handle.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = Arc::new(open(&path)?);
                handle.file = Some(Arc::clone(&file));
                self.open += 1;
                file
            }
        };
        self.settle(id);
        Ok(Some(Opened { file, path }))
    }

    /// Puts a file that is in use behind the idle ones of its kind, and closes the first of them if
    /// too many are open.
    fn settle(&mut self, id: FileId) {
        if let Some(handle) = self.handles.get_mut(&id) {
            if let Some(rank) = handle.rank.take() {
                self.idle.remove(&rank);
            }
            if handle.file.is_some() && !handle.unnamed {
                self.uses += 1;
                let rank = (handle.unsynced, self.uses);
                handle.rank = Some(rank);
                self.idle.insert(rank, id);
            }
        }
        while self.open > self.open_max
            && let Some((_, id)) = self.idle.pop_first()
        {
            if let Some(handle) = self.handles.get_mut(&id) {
                handle.rank = None;
                handle.file = None;
                self.open -= 1;
            }
        }
    }
}

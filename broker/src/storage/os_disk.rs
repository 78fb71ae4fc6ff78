//! `Disk` on files of the operating system: positioned reads and writes through the page cache.
//! Syncing is left to [`super::syncer`], which gets the open files from here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use chronik_core::log::disk::{Disk, DiskError, FileId};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::closer::Closer;
use super::open_files::{OpenFiles, Opened, Use};

/// What one `pwritev` takes on Linux.
const WRITE_PARTS_MAX: usize = 1024;
/// Reads above this size look at the file's length before they reserve memory.
const READ_UNCHECKED_BYTES_MAX: usize = 1 << 20;
/// Zeroes are written in pieces of this size where space cannot be reserved.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// Files under one directory of the operating system.
#[derive(Clone, Debug)]
pub struct OsDisk {
    root: Arc<Path>,
    table: Arc<Mutex<Table>>,
    closer: Closer,
}

#[derive(Debug)]
struct Table {
    files: OpenFiles,
    /// Directories in which a directory was made that no sync has covered yet.
    unsynced_dirs: Vec<PathBuf>,
    /// Files with many bytes that no sync has covered.
    behind: Vec<FileId>,
}

impl OsDisk {
    /// The files under `root`, which must exist. About `open_max` of them are open at a time.
    #[must_use]
    pub fn new(root: &Path, open_max: usize) -> OsDisk {
        let table = Table {
            files: OpenFiles::new(open_max),
            unsynced_dirs: Vec::new(),
            behind: Vec::new(),
        };
        OsDisk { root: root.into(), table: Arc::new(Mutex::new(table)), closer: Closer::start() }
    }

    /// The open file behind a handle. It stays readable however soon the handle is closed.
    pub fn file(&self, file: FileId) -> Result<Arc<File>, DiskError> {
        self.used("opening", file, Use::Read).map(|opened| opened.file)
    }

    /// A file that has to be synced, also if its handle is closed before that; none if it is
    /// closed already.
    #[must_use]
    pub fn to_sync(&self, file: FileId) -> Option<ToSync> {
        let known = self.table().files.begin_sync(file);
        known.then(|| ToSync { disk: self.clone(), file })
    }

    /// How many of its files are open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.table().files.open()
    }

    /// Where `path` lies in the file system.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.to_path_buf() } else { self.root.join(path) }
    }

    /// Directories that got new directories since the last call: a crash could take these back.
    #[must_use]
    pub fn take_unsynced_dirs(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.table().unsynced_dirs)
    }

    /// Whether [`OsDisk::take_behind`] has something.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.table().behind.is_empty()
    }

    /// Files that got many bytes since they were synced last: to be synced in the background, so
    /// that no checkpoint and no write-back of the operating system has much to do at once.
    #[must_use]
    pub fn take_behind(&self) -> Vec<ToSync> {
        let behind = std::mem::take(&mut self.table().behind);
        behind.into_iter().filter_map(|file| self.to_sync(file)).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self, attempt: &'static str, file: FileId, purpose: Use) -> Result<Opened, DiskError> {
        let found = self.table().files.get(file, purpose, |path| self.open_again(path));
        let fail = |reason| DiskError::Io { attempt, path: format!("file {}", file.0), reason };
        found.map_err(|e| fail(e.to_string()))?.ok_or_else(|| fail("its handle was closed".into()))
    }

    fn open_again(&self, path: &str) -> io::Result<File> {
        let opened = OpenOptions::new().read(true).write(true).open(self.path(path));
        opened.map_err(|e| io::Error::new(e.kind(), format!("opening {path} again: {e}")))
    }

    /// Makes `dir` and its parents, and remembers which directories changed by that.
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = dir.ancestors().take_while(|d| !d.exists()).collect();
        while let Some(dir) = missing.pop() {
            match fs::create_dir(dir) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
            if let Some(parent) = dir.parent() {
                self.table().unsynced_dirs.push(parent.to_path_buf());
            }
        }
        Ok(())
    }
}

/// A file that has to be synced.
#[derive(Debug)]
pub struct ToSync {
    disk: OsDisk,
    file: FileId,
}

impl ToSync {
    /// Syncs it, and waits for the disk.
    pub fn sync(&self) -> Result<(), DiskError> {
        let Opened { file, path } = self.disk.used("syncing", self.file, Use::Sync)?;
        file.sync_data().map_err(|e| failed("syncing", &path, e))
    }
}

impl Drop for ToSync {
    fn drop(&mut self) {
        let removed = self.disk.table().files.end_sync(self.file);
        removed.into_iter().for_each(|file| self.disk.closer.close(file));
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &str, create: bool) -> Result<FileId, DiskError> {
        let full = self.path(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create);
        let file = match options.open(&full) {
            Err(e) if create && e.kind() == ErrorKind::NotFound => {
                if let Some(parent) = full.parent() {
                    self.make_dirs(parent).map_err(|e| failed("making directories of", path, e))?;
                }
                options.open(&full)
            }
            opened => opened,
        }
        .map_err(|e| failed("opening", path, e))?;
        Ok(self.table().files.insert(path, file))
    }

    fn close(&self, file: FileId) {
        let removed = self.table().files.close(file);
        removed.into_iter().for_each(|file| self.closer.close(file));
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        let open = self.used("measuring", file, Use::Read)?;
        let meta = open.file.metadata().map_err(|e| failed("measuring", &open.path, e))?;
        Ok(meta.len())
    }

    fn write_at(&self, file: FileId, pos: u64, parts: &[&[u8]]) -> Result<(), DiskError> {
        let open = self.used("writing", file, Use::Write)?;
        write_all(&open.file, pos, parts).map_err(|e| failed("writing", &open.path, e))?;
        let mut table = self.table();
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        if table.files.wrote(file, bytes) {
            table.behind.push(file);
        }
        Ok(())
    }

    fn read_at(&self, file: FileId, pos: u64, len: usize) -> Result<Bytes, DiskError> {
        let open = self.used("reading", file, Use::Read)?;
        if len > READ_UNCHECKED_BYTES_MAX {
            let have = self.len(file)?.saturating_sub(pos);
            if (len as u64) > have {
                let short = io::Error::new(
                    ErrorKind::UnexpectedEof,
                    format!("{len} bytes at {pos} are wanted where {have} are"),
                );
                return Err(failed("reading", &open.path, short));
            }
        }
        let mut buf = BytesMut::zeroed(len);
        open.file.read_exact_at(&mut buf, pos).map_err(|e| failed("reading", &open.path, e))?;
        Ok(buf.freeze())
    }

    fn set_len(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let open = self.used("resizing", file, Use::Write)?;
        open.file.set_len(len).map_err(|e| failed("resizing", &open.path, e))
    }

    fn allocate(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let open = self.used("reserving space for", file, Use::Write)?;
        let fail = |e: io::Error| failed("reserving space for", &open.path, e);
        let have = open.file.metadata().map_err(fail)?.len();
        if len == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&*open.file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                write_zeroes(&open.file, have, len).map_err(fail)
            }
            Err(errno) => Err(fail(errno.into())),
        }
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let fail = |e: io::Error| failed("listing", dir, e);
        let entries = match fs::read_dir(self.path(dir)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail(e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not UTF-8 was never made by us.
            if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let fail = |e: io::Error| failed("renaming", from, e);
        let mut table = self.table();
        table.files.unname(to, |path| self.open_again(path)).map_err(fail)?;
        fs::rename(self.path(from), self.path(to)).map_err(fail)?;
        table.files.renamed(from, to);
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let full = self.path(path);
        self.table()
            .files
            .unname(path, |path| self.open_again(path))
            .map_err(|e| failed("removing", path, e))?;
        let removed = match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => fs::remove_dir(&full),
            Ok(meta) => {
                let held = meta.is_file().then(|| File::open(&full));
                let removed = fs::remove_file(&full);
                held.into_iter().flatten().for_each(|file| self.closer.close(Arc::new(file)));
                removed
            }
            Err(e) => Err(e),
        };
        match removed {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("removing", path, e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn free_bytes(&self) -> u64 {
        // A file system that cannot say is not to be taken for a full one.
        rustix::fs::statvfs(&*self.root).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize))
    }
}

fn write_all(file: &File, mut pos: u64, parts: &[&[u8]]) -> io::Result<()> {
    if let [one] = parts {
        return file.write_all_at(one, pos);
    }
    for group in parts.chunks(WRITE_PARTS_MAX) {
        let mut slices: Vec<IoSlice<'_>> = group.iter().map(|p| IoSlice::new(p)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0); // Drops empty parts at the front.
        while !rest.is_empty() {
            match rustix::io::pwritev(file, rest, pos) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    pos += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}

fn write_zeroes(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut pos = from;
    while pos < to {
        let n = usize::try_from(to - pos).unwrap_or(usize::MAX).min(ZEROES.len());
        file.write_all_at(&ZEROES[..n], pos)?;
        pos += n as u64;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it closes a `map_err`")]
fn failed(attempt: &'static str, path: &str, error: io::Error) -> DiskError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::Full { path: path.into() },
        _ => DiskError::Io { attempt, path: path.into(), reason: error.to_string() },
    }
}

//! What the log needs of a disk: files under one directory, written and read through the page
//! cache. Syncing is not here: it is an [`Output`](crate::core::output::Output), because it takes long.

use std::fmt;

use bytes::Bytes;

/// A handle to an open file. Handles are never reused within one run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u64);

/// A file operation that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DiskError {
    /// No space is left; what was there before is unharmed.
    #[error("no space left while writing {path}")]
    Full {
        /// The file, relative to the data directory.
        path: String,
    },
    /// Anything else: the operating system's words.
    #[error("{attempt} {path}: {reason}")]
    Io {
        /// What was being done, as a gerund: "reading", "renaming", ...
        attempt: &'static str,
        /// The file, relative to the data directory.
        path: String,
        /// The operating system's words.
        reason: String,
    },
}

/// Files under one directory. Cheap to clone: all clones are the same disk. Paths are relative,
/// with `/` between parts.
pub trait Disk: Clone + fmt::Debug + 'static {
    /// Opens a file for reading and writing; makes it, and its parent directories, if `create`.
    fn open(&self, path: &str, create: bool) -> Result<FileId, DiskError>;
    /// Closes a handle. The file stays.
    fn close(&self, file: FileId);
    /// The file's length in bytes.
    fn len(&self, file: FileId) -> Result<u64, DiskError>;
    /// Writes all of `parts`, one after the other, at `pos`; readable at once, durable after a sync.
    fn write_at(&self, file: FileId, pos: u64, parts: &[&[u8]]) -> Result<(), DiskError>;
    /// Reads exactly `len` bytes at `pos`. A file that ends before is an error.
    fn read_at(&self, file: FileId, pos: u64, len: usize) -> Result<Bytes, DiskError>;
    /// Cuts or extends (with zeroes) the file to `len` bytes.
    fn set_len(&self, file: FileId, len: u64) -> Result<(), DiskError>;
    /// Reserves space up to `len` bytes, so that a later write cannot run out of it; the reserved
    /// part reads as zeroes and counts into the length.
    fn allocate(&self, file: FileId, len: u64) -> Result<(), DiskError>;
    /// Names of files and directories in `dir`, sorted; empty if there is no such directory.
    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError>;
    /// Renames a file over another.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file, or an empty directory. One that does not exist is not an error.
    fn remove(&self, path: &str) -> Result<(), DiskError>;
    /// Bytes that can still be written.
    fn free_bytes(&self) -> u64;
}

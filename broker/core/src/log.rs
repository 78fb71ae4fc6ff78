//! One shard's durable state: a write-ahead log for all groups, and segments per group.
//!
//! ```text
//!   append, hard state, ... --> Wal (one write and one fdatasync for all groups)
//!            |
//!            v
//!   GroupLog: tail in memory --applied entries, lazily--> segments (page cache)
//!                                                             |
//!   Checkpoint: segments synced -> image of all groups -> WAL files recycled
//! ```
//!
//! What is durable is decided by the write-ahead log alone; segments are written behind it, and
//! recovery cuts them to what the last checkpoint vouches for. Syncs are asked for as
//! [`wal::SyncJob`]s and done by others. What an entry means is not known here.

pub mod cache;
pub mod checkpoint;
pub mod disk;
pub mod entry;
pub mod group_log;
pub mod image;
pub mod mem_disk;
pub mod record;
pub mod recover;
pub mod row;
pub mod segment;
pub mod terms;
pub mod wal;

#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use entry::{BatchInfo, Body, Descriptor, Entry, EntryError, Kind, describe};
pub use group_log::{Birth, GroupLog, Read, SegmentInfo, Slice};
pub use image::Image;
pub use recover::{OpenError, Recovered, open};
pub use row::Row;
pub use wal::{SyncJob, Wal};

use crate::codec::CodecError;
use crate::ids::{Index, PartitionId};
use disk::DiskError;

/// How large things may become. Lengths in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A segment is full at this length ...
    pub segment_bytes: u64,
    /// ... or with this many entries.
    pub segment_entries: u64,
    /// Applied entries go to a segment in runs of at least this length.
    pub flush_bytes: u64,
    /// With this many applied bytes outside segments, over all groups, a checkpoint is wanted.
    pub unflushed_bytes_max: u64,
    /// The length that a WAL file is preallocated to.
    pub wal_file_bytes: u64,
    /// With more WAL files in use than this, a checkpoint is wanted.
    pub wal_files_max: u64,
    /// With this much in segments that are only waiting to be dropped, a checkpoint is wanted.
    pub reclaim_bytes: u64,
    /// Flushed entries that are still kept in memory, over all groups.
    pub cache_bytes: u64,
    /// A starting checkpoint up to this length needs no file of its own.
    pub inline_state_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            segment_bytes: 1 << 30,
            segment_entries: 1 << 20,
            flush_bytes: 256 << 10,
            unflushed_bytes_max: 48 << 20,
            wal_file_bytes: 64 << 20,
            wal_files_max: 3,
            reclaim_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            inline_state_bytes: 256,
        }
    }
}

/// What went wrong with a group's log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes on disk are not what was written there; the replica must be rebuilt from its peers.
    #[error("{file} of {group} is damaged: {reason}; rebuild this replica from its peers")]
    Corrupt {
        /// The group.
        group: PartitionId,
        /// The file, relative to the data directory.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// The caller asked for an entry that was dropped, or is not there yet.
    #[error("entry {index} of {group} is outside its log, which holds {first}..={last}")]
    OutOfRange {
        /// The group.
        group: PartitionId,
        /// What was asked for.
        index: Index,
        /// The first entry that is there.
        first: Index,
        /// The last one.
        last: Index,
    },
    /// A snapshot that is not newer than what is applied.
    #[error("a snapshot at {index} cannot replace the log of {group}, which has applied {applied}")]
    StaleImage {
        /// The group.
        group: PartitionId,
        /// The snapshot's index.
        index: Index,
        /// What is applied.
        applied: Index,
    },
    /// Bytes of our own format that do not decode.
    #[error("a snapshot's data does not decode")]
    Image(#[from] CodecError),
    /// A snapshot without the metadata that raft gives to every snapshot.
    #[error("a snapshot came without metadata")]
    NoMetadata,
}

//! The bytes on disk, pinned.

//! The data directory: its layout and lock, files as the core's `Disk`, and the threads that sync.

mod closer;
pub mod layout;
mod open_files;
pub mod os_disk;
pub mod syncer;

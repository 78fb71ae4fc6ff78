//! Whole cores over disks in memory.

mod apis;
mod cluster;
mod groups;
mod kafka;
mod membership;
mod topics;

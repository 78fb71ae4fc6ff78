//! Whole cores over disks in memory.

mod cluster;
mod membership;

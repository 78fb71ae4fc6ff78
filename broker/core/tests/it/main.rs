//! Whole cores over disks in memory.

#![allow(clippy::unwrap_used, reason = "a test's world is test code too")]

mod apis;
mod balance;
mod cluster;
mod fetch;
mod groups;
mod kafka;
mod membership;
mod offsets;
mod produce;
mod topics;

//! Whole cores over disks in memory.

#![allow(clippy::unwrap_used, reason = "a test's world is test code too")]

mod apis;
mod balance;
mod cluster;
mod damage;
mod fetch;
mod full;
mod groups;
mod kafka;
mod listeners;
mod membership;
mod moves;
mod offsets;
mod operator;
mod power;
mod produce;
mod proposals;
mod racks;
mod records;
mod refused;
mod relaxed;
mod retention;
mod stalled;
mod state_hash;
mod streams;
mod throttle;
mod topic_orders;
mod topics;
mod unreported;
mod unsynced;

//! Which enum numbers raft 0.7.0 knows.
//!
//! prost keeps an unknown number as an `i32`, and raft-proto's accessors panic on it, later and
//! elsewhere. Every type is walked here instead. All fields are named, without `..`, so that an
//! enum that a new raft adds does not slip through.

use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, EntryType, MessageType,
};
use raft::prelude::Message as RaftMessage;
use raft::prelude::{
    ConfChange, ConfChangeV2, ConfState, Entry, HardState, Snapshot, SnapshotMetadata,
};

use crate::error::UnknownValue;

/// Whether every enum inside is one that raft knows.
pub(crate) trait Check {
    /// The first number that is not.
    fn check(&self) -> Result<(), UnknownValue>;
}

fn known(field: &'static str, number: i32, is_valid: bool) -> Result<(), UnknownValue> {
    if is_valid { Ok(()) } else { Err(UnknownValue { field, number }) }
}

impl Check for RaftMessage {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self {
            msg_type,
            to: _,
            from: _,
            term: _,
            log_term: _,
            index: _,
            entries,
            commit: _,
            commit_term: _,
            snapshot,
            request_snapshot: _,
            reject: _,
            reject_hint: _,
            context: _,
            deprecated_priority: _,
            priority: _,
        } = self;
        known("message type", *msg_type, MessageType::is_valid(*msg_type))?;
        entries.iter().try_for_each(Check::check)?;
        snapshot.as_ref().map_or(Ok(()), Check::check)
    }
}

impl Check for Entry {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { entry_type, term: _, index: _, data: _, context: _, sync_log: _ } = self;
        known("entry type", *entry_type, EntryType::is_valid(*entry_type))
    }
}

impl Check for ConfChange {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { change_type, node_id: _, context: _, id: _ } = self;
        known("change type", *change_type, ConfChangeType::is_valid(*change_type))
    }
}

impl Check for ConfChangeV2 {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { transition, changes, context: _ } = self;
        known("transition", *transition, ConfChangeTransition::is_valid(*transition))?;
        changes.iter().try_for_each(Check::check)
    }
}

impl Check for ConfChangeSingle {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { change_type, node_id: _ } = self;
        known("change type", *change_type, ConfChangeType::is_valid(*change_type))
    }
}

impl Check for Snapshot {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { data: _, metadata } = self;
        metadata.as_ref().map_or(Ok(()), Check::check)
    }
}

impl Check for SnapshotMetadata {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { conf_state, index: _, term: _ } = self;
        conf_state.as_ref().map_or(Ok(()), Check::check)
    }
}

impl Check for ConfState {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { voters: _, learners: _, voters_outgoing: _, learners_next: _, auto_leave: _ } =
            self;
        Ok(())
    }
}

impl Check for HardState {
    fn check(&self) -> Result<(), UnknownValue> {
        let Self { term: _, vote: _, commit: _ } = self;
        Ok(())
    }
}

//! Any value of every raft type, for the property tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use raft::eraftpb::ConfChangeSingle;
use raft::prelude::Message as RaftMessage;
use raft::prelude::{
    ConfChange, ConfChangeV2, ConfState, Entry, HardState, Snapshot, SnapshotMetadata,
};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn ids() -> impl Strategy<Value = Vec<u64>> {
    vec(any::<u64>(), 0..6)
}

pub(crate) fn hard_state() -> impl Strategy<Value = HardState> {
    any::<(u64, u64, u64)>().prop_map(|(term, vote, commit)| HardState { term, vote, commit })
}

pub(crate) fn conf_state() -> impl Strategy<Value = ConfState> {
    (ids(), ids(), ids(), ids(), any::<bool>()).prop_map(
        |(voters, learners, voters_outgoing, learners_next, auto_leave)| ConfState {
            voters,
            learners,
            voters_outgoing,
            learners_next,
            auto_leave,
        },
    )
}

pub(crate) fn conf_change() -> impl Strategy<Value = ConfChange> {
    (0..3i32, any::<u64>(), bytes(), any::<u64>()).prop_map(
        |(change_type, node_id, context, id)| ConfChange { change_type, node_id, context, id },
    )
}

pub(crate) fn conf_change_v2() -> impl Strategy<Value = ConfChangeV2> {
    let single = (0..3i32, any::<u64>())
        .prop_map(|(change_type, node_id)| ConfChangeSingle { change_type, node_id });
    (0..3i32, vec(single, 0..6), bytes()).prop_map(|(transition, changes, context)| ConfChangeV2 {
        transition,
        changes,
        context,
    })
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    (0..3i32, any::<u64>(), any::<u64>(), bytes(), bytes(), any::<bool>()).prop_map(
        |(entry_type, term, index, data, context, sync_log)| Entry {
            entry_type,
            term,
            index,
            data,
            context,
            sync_log,
        },
    )
}

pub(crate) fn snapshot_metadata() -> impl Strategy<Value = SnapshotMetadata> {
    (option::of(conf_state()), any::<u64>(), any::<u64>())
        .prop_map(|(conf_state, index, term)| SnapshotMetadata { conf_state, index, term })
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    (bytes(), option::of(snapshot_metadata()))
        .prop_map(|(data, metadata)| Snapshot { data, metadata })
}

pub(crate) fn raft_message() -> impl Strategy<Value = RaftMessage> {
    let position = any::<(u64, u64, u64, u64, u64)>();
    let commits = any::<(u64, u64, u64)>();
    let answer = (any::<bool>(), any::<u64>(), bytes());
    let priorities = any::<(u64, i64)>();
    let parts = (vec(entry(), 0..4), option::of(snapshot()));
    (0..19i32, position, commits, answer, priorities, parts).prop_map(
        |(msg_type, position, commits, answer, priorities, (entries, snapshot))| {
            let (to, from, term, log_term, index) = position;
            let (commit, commit_term, request_snapshot) = commits;
            let (reject, reject_hint, context) = answer;
            let (deprecated_priority, priority) = priorities;
            RaftMessage {
                msg_type,
                to,
                from,
                term,
                log_term,
                index,
                entries,
                commit,
                commit_term,
                snapshot,
                request_snapshot,
                reject,
                reject_hint,
                context,
                deprecated_priority,
                priority,
            }
        },
    )
}

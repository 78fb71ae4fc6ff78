//! The bytes of every type, pinned: they lie on disks and travel between versions.

use chronik_raft_bridge::*;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, EntryType, MessageType,
};
use raft::prelude::Message as RaftMessage;
use raft::prelude::{
    ConfChange, ConfChangeV2, ConfState, Entry, HardState, Snapshot, SnapshotMetadata,
};

/// Encodes to these bytes, and these bytes decode to the value.
macro_rules! check {
    ($encode:ident, $decode:ident, $value:expr, $hex:expr) => {
        let value = $value;
        let bytes = $encode(&value).unwrap();
        assert_eq!(hex(&bytes), $hex.replace(' ', ""));
        assert_eq!($decode(&bytes).unwrap(), value);
    };
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn conf_state_value() -> ConfState {
    ConfState {
        voters: vec![1, 2, 300],
        learners: vec![4],
        voters_outgoing: vec![1, 2],
        learners_next: vec![5],
        auto_leave: true,
    }
}

fn metadata_value() -> SnapshotMetadata {
    SnapshotMetadata { conf_state: Some(conf_state_value()), index: 9, term: 3 }
}

fn entry_value() -> Entry {
    Entry {
        entry_type: EntryType::EntryConfChangeV2 as i32,
        term: 3,
        index: 10,
        data: b"data".to_vec(),
        context: b"ctx".to_vec(),
        sync_log: true,
    }
}

const CONF_STATE: &str = "0a0401 02ac02 120104 1a020102 220105 2801";

#[test]
fn hard_state() {
    check!(
        encode_hard_state,
        decode_hard_state,
        HardState { term: 70, vote: 1, commit: 1 << 40 },
        "0846 1001 18808080808020"
    );
}

#[test]
fn conf_state() {
    check!(encode_conf_state, decode_conf_state, conf_state_value(), CONF_STATE);
}

#[test]
fn conf_change() {
    check!(
        encode_conf_change,
        decode_conf_change,
        ConfChange {
            id: 1,
            change_type: ConfChangeType::AddLearnerNode as i32,
            node_id: 7 << 20 | 2,
            context: b"why".to_vec(),
        },
        "0801 1002 188280c003 2203776879"
    );
}

#[test]
fn conf_change_v2() {
    check!(
        encode_conf_change_v2,
        decode_conf_change_v2,
        ConfChangeV2 {
            transition: ConfChangeTransition::Implicit as i32,
            changes: vec![
                ConfChangeSingle { change_type: ConfChangeType::AddNode as i32, node_id: 5 },
                ConfChangeSingle { change_type: ConfChangeType::RemoveNode as i32, node_id: 2 },
            ],
            context: vec![0xff],
        },
        "0801 12021005 120408011002 1a01ff"
    );
}

#[test]
fn the_change_that_leaves_a_joint_state_is_empty() {
    check!(encode_conf_change_v2, decode_conf_change_v2, ConfChangeV2::default(), "");
}

#[test]
fn entry() {
    check!(
        encode_entry,
        decode_entry,
        entry_value(),
        "0802 1003 180a 220464617461 2801 3203637478"
    );
}

#[test]
fn snapshot_metadata() {
    check!(
        encode_snapshot_metadata,
        decode_snapshot_metadata,
        metadata_value(),
        format!("0a12 {CONF_STATE} 1009 1803")
    );
}

#[test]
fn snapshot() {
    check!(
        encode_snapshot,
        decode_snapshot,
        Snapshot { data: b"image".to_vec(), metadata: Some(metadata_value()) },
        format!("0a05696d616765 1218 0a12 {CONF_STATE} 1009 1803")
    );
}

#[test]
fn heartbeat_of_eight_bytes() {
    check!(
        encode_raft_message,
        decode_raft_message,
        RaftMessage {
            msg_type: MessageType::MsgHeartbeat as i32,
            to: 2,
            from: 1,
            term: 70,
            ..Default::default()
        },
        "0808 1002 1801 2046"
    );
}

#[test]
fn message_with_every_field() {
    check!(
        encode_raft_message,
        decode_raft_message,
        RaftMessage {
            msg_type: MessageType::MsgAppend as i32,
            to: 2,
            from: 1,
            term: 3,
            log_term: 2,
            index: 9,
            entries: vec![entry_value()],
            commit: 8,
            commit_term: 2,
            snapshot: Some(Snapshot { data: vec![], metadata: Some(metadata_value()) }),
            request_snapshot: 4,
            reject: true,
            reject_hint: 6,
            context: b"c".to_vec(),
            deprecated_priority: 1,
            priority: -1,
        },
        format!(
            "0803 1002 1801 2003 2802 3009 \
             3a13 0802 1003 180a 220464617461 2801 3203637478 \
             4008 4a1a 1218 0a12 {CONF_STATE} 1009 1803 \
             5001 5806 620163 6804 7001 7802 8001ffffffffffffffffff01"
        )
    );
}

//! Bytes from strangers: an error or a value that raft can look at, never a panic.

use crate::strategies as any;
use chronik_raft_bridge::*;
use proptest::collection::vec;
use proptest::prelude::*;
use raft::prelude::Message as RaftMessage;

/// Everything that raft itself would ask of a message; its accessors panic on unknown numbers.
fn look_at(message: &RaftMessage) {
    let _ = message.get_msg_type();
    for entry in message.get_entries() {
        let _ = entry.get_entry_type();
    }
    let _ = message.get_snapshot().get_metadata().get_conf_state();
}

fn decode_all(bytes: &[u8]) {
    if let Ok(message) = decode_raft_message(bytes) {
        look_at(&message);
        encode_raft_message(&message).expect("what was accepted can be passed on");
    }
    if let Ok(change) = decode_conf_change(bytes) {
        let _ = change.get_change_type();
    }
    if let Ok(change) = decode_conf_change_v2(bytes) {
        let _ = (change.get_transition(), change.enter_joint(), change.leave_joint());
        change.get_changes().iter().for_each(|single| {
            let _ = single.get_change_type();
        });
    }
    if let Ok(entry) = decode_entry(bytes) {
        let _ = entry.get_entry_type();
    }
    let _ = decode_conf_state(bytes);
    let _ = decode_hard_state(bytes);
    let _ = decode_snapshot(bytes);
    let _ = decode_snapshot_metadata(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn noise(bytes in vec(any::<u8>(), 0..200)) {
        decode_all(&bytes);
    }

    #[test]
    fn a_message_with_bytes_changed(
        message in any::raft_message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode_raft_message(&message).unwrap();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        decode_all(&bytes);
    }

    #[test]
    fn a_message_cut_short(message in any::raft_message(), at in any::<prop::sample::Index>()) {
        let bytes = encode_raft_message(&message).unwrap();
        decode_all(&bytes[..at.index(bytes.len() + 1)]);
    }
}

#[test]
fn unknown_numbers_are_refused_in_both_directions() {
    let refused = |error: DecodeError, expected: &str| assert_eq!(error.to_string(), expected);
    refused(
        decode_raft_message(&[0x08, 19]).unwrap_err(),
        "a raft message was refused: it holds message type 19, which this version does not know",
    );
    refused(
        // Field 7, an entry of two bytes whose type is 3.
        decode_raft_message(&[0x3a, 2, 0x08, 3]).unwrap_err(),
        "a raft message was refused: it holds entry type 3, which this version does not know",
    );
    refused(
        decode_entry(&[0x08, 3]).unwrap_err(),
        "an entry was refused: it holds entry type 3, which this version does not know",
    );
    refused(
        decode_conf_change(&[0x10, 9]).unwrap_err(),
        "a ConfChange was refused: it holds change type 9, which this version does not know",
    );
    refused(
        decode_conf_change_v2(&[0x08, 3]).unwrap_err(),
        "a ConfChangeV2 was refused: it holds transition 3, which this version does not know",
    );
    refused(
        decode_conf_change_v2(&[0x12, 2, 0x08, 3]).unwrap_err(),
        "a ConfChangeV2 was refused: it holds change type 3, which this version does not know",
    );
    let message = RaftMessage { msg_type: -1, ..Default::default() };
    assert_eq!(
        encode_raft_message(&message).unwrap_err().to_string(),
        "a raft message cannot be encoded: it holds message type -1",
    );
}

#[test]
fn a_lying_length_is_an_error_and_allocates_nothing() {
    // Field 12, bytes, of nearly 2^63 bytes; and field 1 of a ConfState, as many voters.
    let lies = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let context = [&[0x62][..], &lies].concat();
    assert!(matches!(decode_raft_message(&context), Err(DecodeError::Malformed { .. })));
    let voters = [&[0x0a][..], &lies].concat();
    assert_eq!(decode_conf_state(&voters).unwrap_err().to_string(), "10 bytes are not a ConfState");
}

//! What was encoded comes back equal, for any value of every type.

use crate::strategies as any;
use chronik_raft_bridge::*;
use proptest::prelude::*;

macro_rules! round_trip {
    ($($name:ident: $encode:ident, $decode:ident;)*) => {
        proptest! {$(
            #[test]
            fn $name(value in any::$name()) {
                let bytes = $encode(&value).unwrap();
                prop_assert_eq!(&$decode(&bytes).unwrap(), &value);
                // A message read and written again is the same message byte for byte.
                prop_assert_eq!($encode(&$decode(&bytes).unwrap()).unwrap(), bytes);
            }
        )*}
    };
}

round_trip! {
    raft_message: encode_raft_message, decode_raft_message;
    conf_change: encode_conf_change, decode_conf_change;
    conf_change_v2: encode_conf_change_v2, decode_conf_change_v2;
    conf_state: encode_conf_state, decode_conf_state;
    entry: encode_entry, decode_entry;
    hard_state: encode_hard_state, decode_hard_state;
    snapshot: encode_snapshot, decode_snapshot;
    snapshot_metadata: encode_snapshot_metadata, decode_snapshot_metadata;
}

proptest! {
    #[test]
    fn a_shared_buffer_gets_the_same_bytes(value in any::raft_message()) {
        let mut shared = b"before".to_vec();
        put_raft_message(&value, &mut shared).unwrap();
        prop_assert_eq!(&shared[6..], &encode_raft_message(&value).unwrap()[..]);
        prop_assert_eq!(shared.len() - 6, raft_message_len(&value));
    }
}

#[test]
fn a_full_buffer_is_an_error() {
    let message = raft::prelude::Message { to: 7, ..Default::default() };
    let mut room = [0u8; 1];
    let error = put_raft_message(&message, &mut &mut room[..]).unwrap_err();
    assert_eq!(error.to_string(), "a raft message does not fit into the rest of the buffer");
}

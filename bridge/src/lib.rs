//! Raft types as bytes, and back: the one crate that names prost 0.11.
//!
//! raft 0.7.0 is generated with prost 0.11, while tonic uses a newer prost whose `Message` trait is
//! another one. raft-proto also implements a protobuf 2 trait for the same types, whose streaming
//! methods panic with "not implemented". Here the trait is named once and every call is fully
//! qualified; for everyone else a raft message is a `Vec<u8>`.
//!
//! A decoder never panics, and it also refuses what would panic later: the accessors of raft-proto
//! abort on an enum value that they do not know, so such a value is an error here.
//!
//! What this crate leaves to others: frames, payloads, checksums, and the sense of a message.

#![warn(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm
)]

mod check;
mod error;

use bytes::BufMut;
use prost::Message as ProstMessage;
use raft::prelude::Message as RaftMessage;
use raft::prelude::{
    ConfChange, ConfChangeV2, ConfState, Entry, HardState, Snapshot, SnapshotMetadata,
};

use crate::check::Check;
pub use crate::error::{DecodeError, EncodeError, UnknownValue};

/// A pair of functions for one type. Written as a list, so that a reader sees which types there are.
macro_rules! pair {
    ($($encode:ident, $decode:ident: $type:ty, $name:literal;)*) => {$(
        #[doc = concat!("The bytes of ", $name, ".")]
        pub fn $encode(value: &$type) -> Result<Vec<u8>, EncodeError> {
            encode(value, $name)
        }

        #[doc = concat!("Reads ", $name, " from exactly these bytes.")]
        pub fn $decode(bytes: &[u8]) -> Result<$type, DecodeError> {
            decode(bytes, $name)
        }
    )*};
}

pair! {
    encode_raft_message, decode_raft_message: RaftMessage, "a raft message";
    encode_conf_change, decode_conf_change: ConfChange, "a ConfChange";
    encode_conf_change_v2, decode_conf_change_v2: ConfChangeV2, "a ConfChangeV2";
    encode_conf_state, decode_conf_state: ConfState, "a ConfState";
    encode_entry, decode_entry: Entry, "an entry";
    encode_hard_state, decode_hard_state: HardState, "a HardState";
    encode_snapshot, decode_snapshot: Snapshot, "a snapshot";
    encode_snapshot_metadata, decode_snapshot_metadata: SnapshotMetadata, "a SnapshotMetadata";
}

/// How many bytes [`put_raft_message`] writes, so that a frame can state the length first.
pub fn raft_message_len(message: &RaftMessage) -> usize {
    ProstMessage::encoded_len(message)
}

/// Appends a raft message to a buffer that many messages share, without one of its own.
pub fn put_raft_message(message: &RaftMessage, buf: &mut impl BufMut) -> Result<(), EncodeError> {
    put(message, "a raft message", buf)
}

fn encode<T: ProstMessage + Check>(value: &T, name: &'static str) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(ProstMessage::encoded_len(value));
    put(value, name, &mut bytes)?;
    Ok(bytes)
}

/// Checks before it writes: what cannot be read back must not leave this process.
fn put<T: ProstMessage + Check>(
    value: &T,
    what: &'static str,
    buf: &mut impl BufMut,
) -> Result<(), EncodeError> {
    value.check().map_err(|value| EncodeError::UnknownValue { what, value })?;
    ProstMessage::encode(value, buf).map_err(|source| EncodeError::NoRoom { what, source })
}

fn decode<T>(bytes: &[u8], what: &'static str) -> Result<T, DecodeError>
where
    T: ProstMessage + Default + Check,
{
    let value: T = ProstMessage::decode(bytes).map_err(|source| DecodeError::Malformed {
        what,
        len: bytes.len(),
        source,
    })?;
    value.check().map_err(|value| DecodeError::UnknownValue { what, value })?;
    Ok(value)
}

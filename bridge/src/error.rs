//! What can go wrong between a raft type and its bytes.
//!
//! The texts say what happened to what; what to do about it depends on where the bytes came from,
//! which only the caller knows.

use std::fmt;

/// A raft type could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A field holds a number that its enum does not have.
    #[error("{what} cannot be encoded: it holds {value}")]
    UnknownValue {
        /// The type that was to be encoded.
        what: &'static str,
        /// The field and its number.
        value: UnknownValue,
    },
    /// The buffer ended first.
    #[error("{what} does not fit into the rest of the buffer")]
    NoRoom {
        /// The type that was to be encoded.
        what: &'static str,
        /// How much was needed and how much was left.
        source: prost::EncodeError,
    },
}

/// Bytes were not what they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no protobuf message of this shape.
    #[error("{len} bytes are not {what}")]
    Malformed {
        /// The type that was expected.
        what: &'static str,
        /// How many bytes there were.
        len: usize,
        /// Where it failed.
        source: prost::DecodeError,
    },
    /// A field holds a number that its enum does not have; raft would panic when it looks at it.
    #[error("{what} was refused: it holds {value}, which this version does not know")]
    UnknownValue {
        /// The type that was expected.
        what: &'static str,
        /// The field and its number.
        value: UnknownValue,
    },
}

/// A number where an enum should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownValue {
    pub(crate) field: &'static str,
    pub(crate) number: i32,
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.number)
    }
}

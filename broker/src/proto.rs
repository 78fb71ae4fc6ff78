//! Generated from `broker/proto`: types and services, nothing else.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    missing_debug_implementations,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::enum_glob_use,
    clippy::match_wildcard_for_single_variants,
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "generated code is not ours to shape"
)]

/// Operator to broker.
pub mod admin {
    tonic::include_proto!("chronik.admin.v1");
}

/// Broker to broker.
pub mod peer {
    tonic::include_proto!("chronik.peer.v1");
}

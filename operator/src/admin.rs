//! Talking to brokers.

pub mod convert;
pub mod grpc;
pub mod topics;

/// The admin service, generated from `broker/proto/admin.proto`.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    clippy::large_futures,
    clippy::needless_pass_by_value,
    unused_qualifications,
    reason = "generated"
)]
pub mod proto {
    tonic::include_proto!("chronik.admin.v1");
}

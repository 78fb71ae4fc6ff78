//! The operator's door: gRPC calls become the core's admin requests and back.

mod convert;
pub mod service;
mod topics;

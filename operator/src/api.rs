//! The Kubernetes API of Chronik.

pub mod cluster;
pub mod status;

//! The Kubernetes API of Chronik.

pub mod broker;
pub mod cluster;
pub mod external;
pub mod network;
pub mod pod;
pub mod policy;
pub mod status;
pub mod storage;
pub mod topic;

//! The node task.

pub mod engine;
pub mod handle;

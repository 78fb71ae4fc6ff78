//! One shard's durable state: a write-ahead log for all groups, and segments per group.
pub mod disk;

//! What a data partition means, beyond its log.

pub mod producers;

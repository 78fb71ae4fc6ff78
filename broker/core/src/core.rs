//! One node: inputs in, outputs out.
pub mod input;
pub mod output;

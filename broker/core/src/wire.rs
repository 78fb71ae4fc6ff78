//! Kafka bytes, both directions.

/// A decoded request.
#[derive(Debug)]
pub struct Request {}

/// A response to encode.
#[derive(Debug)]
pub struct Response {}

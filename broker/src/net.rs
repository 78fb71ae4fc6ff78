//! Kafka clients: accepting, reading requests, sending answers in the order of the requests.

pub mod connection;
pub mod held;
pub mod listener;
pub mod outbox;
pub mod tls;
mod wire;

//! The measurements behind `make bench`: Apache Kafka and Chronik, one after the other, with the
//! same clients. To be read; nothing here fails because a figure is bad.
//!
//! ```text
//!   system    what is measured: start, addresses, processes, kill, stop
//!   kafka, chronik   the two systems
//!   tools     Kafka's own performance tools, and what they print
//!   probe     what no tool measures: first record, pause after a leader's death
//!   rounds    the order of things, and which systems see which measurement
//!   table     the result
//! ```

pub mod chronik;
pub mod kafka;
pub mod pace;
pub mod probe;
pub mod rounds;
pub mod system;
pub mod table;
pub mod tools;

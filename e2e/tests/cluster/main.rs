//! Whole clusters of real processes. Each test starts its own, says what it does, and ends it.
//!
//! Run with `--test-threads 1 --nocapture`. What needs only Kafka's protocol also runs against any
//! other cluster (`CHRONIK_E2E_BOOTSTRAP=host:port,...`), and with `CHRONIK_E2E_REFERENCE=1` on
//! Apache Kafka itself: a check that Kafka fails is wrong.

#![allow(clippy::print_stdout, reason = "these tests take minutes and say where they are")]

mod clients;
mod compat;
mod damage;
mod descriptors;
mod disk;
mod full;
mod groups;
mod life;
mod metrics;
mod operator;
mod scenario;
mod size;
mod target;
mod tls;
mod topics;
mod traps;

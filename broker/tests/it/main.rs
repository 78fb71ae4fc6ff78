//! The shell on real sockets and files, with a scripted core in place of the real one.
#![allow(clippy::unwrap_used, reason = "these are tests; clippy looks for `#[test]` only")]

mod certificates;
mod client_tls;
mod clients;
mod disk;
mod fake_core;
mod http;
mod layout;
mod listeners;
mod peers;
mod process;
mod syncer;

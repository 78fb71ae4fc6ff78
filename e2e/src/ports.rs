//! Free ports: one block a cluster, found by binding.

use std::net::TcpListener;

use anyhow::{Result, bail};

/// Ports of one broker lie within a step, brokers one step apart, see the operator's local platform.
pub const BROKER_STEP: u16 = 10;
/// Brokers that a block has room for.
pub const BROKERS_MAX: u16 = 8;

/// The first port of a block that nobody listens on.
///
/// `CHRONIK_E2E_PORTS` names the first port of the range (default 32000, 1,000 ports). Each process
/// starts looking at another place, so that test binaries that run at the same time do not meet.
pub fn block() -> Result<u16> {
    let range = std::env::var("CHRONIK_E2E_PORTS").ok().and_then(|text| text.parse().ok());
    let first: u16 = range.unwrap_or(32_000);
    let size = BROKER_STEP * BROKERS_MAX;
    let blocks = 1_000 / size;
    let start = u16::try_from(std::process::id() % u32::from(blocks)).unwrap_or(0);
    for block in 0..blocks {
        let base = first + (start + block) % blocks * size;
        if (base..base + size).all(is_free) {
            return Ok(base);
        }
    }
    bail!("no {size} free ports in a row from {first}; set CHRONIK_E2E_PORTS to another range")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

//! Streams between brokers: one of our own to each peer, with our frames in order, and one of
//! each peer to us. What a frame holds is the core's.

pub mod accept;
pub mod admission;
pub mod client;
pub mod codec;
pub mod credentials;
pub mod hello;
pub mod server;

use std::time::Duration;

/// A frame above this size is refused by its receiver.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// The method that carries frames; see `proto/peer.proto`.
pub const STREAM_PATH: &str = "/chronik.peer.v1.Peer/Stream";

/// A stream has to say who opened it within this time.
pub const HELLO_MAX: Duration = Duration::from_secs(5);

/// HTTP/2 flow control windows. A window below what the round trip can carry would stall catch-up.
pub const WINDOW_BYTES: u32 = 16 << 20;

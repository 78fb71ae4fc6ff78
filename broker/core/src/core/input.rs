//! All that can happen to a node.

use bytes::Bytes;

use crate::admin::AdminRequest;
use crate::ids::{BrokerId, Uuid};
use crate::meta::Listener;
use crate::wire::Request;

/// One client connection of one listener; never reused within a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// One request of one connection. The shell pairs replies with requests by it and keeps a
/// connection's replies in the order of its requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// The connection.
    pub conn: ConnId,
    /// The request's number on that connection, from 0.
    pub seq: u64,
}

/// One sync that the core asked for; tickets of one [`SyncClass`](super::output::SyncClass) grow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// All that can happen to a node.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all inputs are requests, and moved once")]
pub enum Input {
    /// A Kafka request, decoded.
    Request {
        /// To answer with.
        token: Token,
        /// The client's address without port, for group members' `client_host`.
        host: std::sync::Arc<str>,
        /// The listener that the client came through.
        listener: Listener,
        /// The request.
        request: Request,
    },
    /// A client connection ended; nothing more is sent to it.
    Disconnected(ConnId),
    /// A peer opened its stream to us. Frames of an older stream of it are not delivered after this.
    PeerConnected(Hello),
    /// The stream that `from` opened to us broke.
    PeerGone {
        /// The peer.
        from: BrokerId,
    },
    /// Our own stream to a peer is open, or broke or could not be opened.
    PeerReachable {
        /// The peer.
        to: BrokerId,
        /// The number in the hello of the stream that is open now.
        stream: Option<u64>,
    },
    /// A frame from a peer's current stream, in its order.
    PeerFrame {
        /// The peer that the stream belongs to.
        from: BrokerId,
        /// The frame, see [`crate::raft::envelope`].
        frame: Bytes,
    },
    /// One raft message that came through the `Step` call.
    Step {
        /// The topic's name, or `name@uuid`.
        topic: String,
        /// The partition.
        partition: u32,
        /// The message, bridge-encoded.
        message: Bytes,
        /// Answered by [`Output::StepReply`](super::output::Output::StepReply).
        token: u64,
    },
    /// A sync that the core asked for has reached the disk.
    Synced(Ticket),
    /// An order or question of the operator.
    Admin {
        /// Answered by [`Output::AdminReply`](super::output::Output::AdminReply).
        token: u64,
        /// What is asked.
        request: AdminRequest,
    },
    /// Time has passed; at least every 100 ms.
    Tick,
    /// Hand all leaderships over, then say [`Output::Drained`](super::output::Output::Drained).
    Shutdown,
}

/// What a peer says of itself when it opens its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its id.
    pub broker: BrokerId,
    /// Its data directory.
    pub directory: Uuid,
    /// How often that directory was started.
    pub boot: u64,
    /// Its cluster; none while it belongs to none.
    pub cluster_id: Option<String>,
    /// `host:port` where it can be dialled.
    pub peer_address: String,
    /// The stream's number: not 0, and never the same for two streams of a broker to a peer.
    pub stream: u64,
}

//! All that a node can ask for.

use bytes::Bytes;

use crate::admin::{AdminError, AdminResponse};
use crate::core::input::{Ticket, Token};
use crate::ids::BrokerId;
use crate::log::disk::FileId;
use crate::wire::Response;

/// All that a node can ask for. Outputs are to be carried out in the order in which they come.
#[derive(Debug)]
pub enum Output {
    /// Answer a Kafka request. `None` answers nothing (acks=0) but lets later answers pass.
    Reply {
        /// The request.
        token: Token,
        /// The answer.
        response: Option<Response>,
    },
    /// End a client connection (its request cannot be answered in a way that it would understand).
    Close(Token),
    /// Send a frame to a peer, after all earlier ones. It may be lost, but not reordered.
    Send {
        /// The peer.
        to: BrokerId,
        /// The frame's bytes, in parts that need not be joined.
        frame: Vec<Bytes>,
    },
    /// Keep a stream open to exactly these peers.
    Peers(Vec<(BrokerId, String)>),
    /// Sync files, then say [`Input::Synced`](super::input::Input::Synced). Failure to sync ends the process.
    Sync {
        /// To answer with.
        ticket: Ticket,
        /// Which thread does it.
        class: SyncClass,
        /// fdatasync these, in this order.
        files: Vec<FileId>,
        /// Then fsync these directories.
        dirs: Vec<String>,
    },
    /// Answer an operator.
    AdminReply {
        /// The call.
        token: u64,
        /// The answer.
        result: Result<AdminResponse, AdminError>,
    },
    /// Answer a `Step` call.
    StepReply {
        /// The call.
        token: u64,
        /// Whether the message was taken, or why not.
        result: Result<(), String>,
    },
    /// All leaderships are handed over, or cannot be; the process may end.
    Drained,
    /// Empty the data directory, then exit with code 3: whoever started this broker starts it again.
    Wipe,
    /// The node cannot go on; exit with this reason.
    Fatal(String),
}

/// Which queue a sync waits in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncClass {
    /// The write-ahead log: acknowledgements wait for it.
    Wal,
    /// Segments and checkpoints: nobody waits.
    Background,
}

//! The way into the node task for everything that runs beside it. Cheap to clone; never waits.

use bytes::Bytes;
use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::core::input::Input;
use chronik_core::ids::{BrokerId, Uuid};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::engine::Inspection;
use crate::storage::syncer::Done;

/// What reaches the node task.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "requests are what there is most of")]
pub enum Event {
    /// Something for the core as it is.
    Input(Input),
    /// A peer's frame. Its permit is given back once the core has seen it, so that a peer cannot
    /// fill our memory.
    Frame {
        /// Whose stream.
        from: BrokerId,
        /// The frame.
        frame: Bytes,
        /// Its share of what may wait.
        permit: OwnedSemaphorePermit,
    },
    /// A sync has reached the disk.
    Synced(Done),
    /// An operator's call.
    Admin {
        /// What is asked.
        request: AdminRequest,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<AdminResponse, AdminError>>,
    },
    /// A raft message by the unary call.
    Step {
        /// The topic's name, or `name@uuid`.
        topic: String,
        /// The partition.
        partition: u32,
        /// The message, bridge-encoded.
        message: Bytes,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A look at the node, for metrics and readiness.
    Inspect(oneshot::Sender<Inspection>),
    /// Which directory the cluster knows a broker by.
    Registered {
        /// The broker.
        broker: BrokerId,
        /// Where the answer goes.
        reply: oneshot::Sender<Option<Uuid>>,
    },
    /// Hand the leaderships over and end; a second one ends at once.
    Stop,
    /// The process cannot go on.
    Die(String),
}

/// The node task is gone: the process is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this broker is stopping")]
pub struct Stopped;

/// The way into the node task.
#[derive(Clone, Debug)]
pub struct Handle {
    events: mpsc::UnboundedSender<Event>,
}

impl Handle {
    /// A handle, and what the node task reads.
    #[must_use]
    pub fn new() -> (Handle, mpsc::UnboundedReceiver<Event>) {
        let (events, queue) = mpsc::unbounded_channel();
        (Handle { events }, queue)
    }

    /// Queues an event. Once the node has ended nobody is left to miss it.
    pub fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Queues an input.
    pub fn input(&self, input: Input) {
        self.send(Event::Input(input));
    }

    /// Carries an operator's call to the core and back.
    pub async fn admin(
        &self,
        request: AdminRequest,
    ) -> Result<Result<AdminResponse, AdminError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Admin { request, reply });
        answer.await.map_err(|_| Stopped)
    }

    /// Carries one raft message to the core and its answer back.
    pub async fn step(
        &self,
        topic: String,
        partition: u32,
        message: Bytes,
    ) -> Result<Result<(), String>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Step { topic, partition, message, reply });
        answer.await.map_err(|_| Stopped)
    }

    /// The directory that the cluster knows a broker by, if it knows that broker.
    pub async fn registered(&self, broker: BrokerId) -> Result<Option<Uuid>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Registered { broker, reply });
        answer.await.map_err(|_| Stopped)
    }

    /// Looks at the node between two batches.
    pub async fn inspect(&self) -> Result<Inspection, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Inspect(reply));
        answer.await.map_err(|_| Stopped)
    }
}

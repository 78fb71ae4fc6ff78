//! What is still to happen, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::core::input::{Ticket, Token};
use chronik_core::ids::BrokerId;
use chronik_core::log::disk::FileId;
use chronik_core::wire::{Request, Response};

use crate::node::Death;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node works off its inputs.
    Wake(BrokerId),
    /// A node's own deadline has come; void if it has another one by then.
    Timer(BrokerId),
    /// A node that stood still, or was down, goes on.
    Resume(BrokerId),
    /// A process ends, and is started again so much later.
    Dies(BrokerId, Life, Death, u64),
    /// A process is started.
    Start(BrokerId),
    /// A sync has ended.
    Synced(BrokerId, Life, Ticket, Option<(Vec<FileId>, Vec<String>)>),
    /// A broker tries to open its stream to another.
    Dial(BrokerId, BrokerId),
    /// The oldest frames of a stream arrive.
    Frame(StreamId),
    /// A stream stood still for too long.
    Stuck(StreamId),
    /// One end of a stream learns that it broke.
    Broken(StreamId, End),
    /// A client has something to do.
    Client(usize),
    /// A request reaches a broker.
    Request(BrokerId, Life, Token, Box<Request>),
    /// An answer reaches a client; none if the connection broke.
    Answer(usize, Token, Option<Box<Response>>),
    /// The operator has something to do.
    Operator(u64),
    /// An order of the operator reaches a broker.
    Order(BrokerId, Life, u64, AdminRequest),
    /// Its answer reaches the operator.
    OrderDone(u64, Result<AdminResponse, AdminError>),
    /// The next thing goes wrong.
    Fault,
    /// A partition of the network ends.
    Heal(Vec<(BrokerId, BrokerId)>),
    /// A link is as it was again.
    Unhinder(u64),
    /// A raft message that was sent by a call of its own.
    Call(BrokerId, Box<Call>),
    /// A full disk has space again.
    Space(BrokerId),
    /// The user wants another number of brokers.
    Resize(u32),
    /// The user wants all brokers to run something newer.
    Roll,
    /// An order reaches a broker that nobody waits for.
    Stray,
    /// The user wants replicas to catch up at so many bytes a second.
    Rate(u64),
    /// From here on nothing goes wrong any more.
    Calm,
}

/// A call of `Step`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    pub topic: String,
    pub partition: u32,
    pub message: Bytes,
}

/// Which run of a process.
pub(crate) type Life = u64;

/// One stream; a new one after each break.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct StreamId {
    /// Who sends.
    pub from: BrokerId,
    /// Who receives.
    pub to: BrokerId,
    /// The how-manieth stream between the two.
    pub number: u64,
}

/// One end of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Who sends.
    Sender,
    /// Who receives.
    Receiver,
}

/// Events in the order of their time, and of their making where the time is the same.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Time, number, and place in `events`.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    made: u64,
}

impl Queue {
    /// Adds an event.
    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.made += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.order.push(Reverse((time, self.made, place)));
    }

    /// The next event and its time.
    pub(crate) fn next(&mut self) -> Option<(u64, Event)> {
        let Reverse((time, _, place)) = self.order.pop()?;
        self.free.push(place);
        Some((time, self.events[place].take()?))
    }
}

//! One connection's requests that are not answered yet, and answers that have not left yet.
//! Answers come in any order and leave in the order of the requests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::held::Held;

/// A piece of an answer. Files are held open by it, however soon the core closes them.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes at hand.
    Memory(Bytes),
    /// A range of a file.
    File {
        /// The file.
        file: Arc<File>,
        /// Where the range begins.
        pos: u64,
        /// How long it is.
        len: usize,
    },
}

impl Piece {
    /// How many bytes it stands for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Piece::Memory(bytes) => bytes.len(),
            Piece::File { len, .. } => *len,
        }
    }

    /// How much of our memory it holds.
    fn held_bytes(&self) -> usize {
        match self {
            Piece::Memory(bytes) => bytes.len(),
            Piece::File { .. } => 0,
        }
    }
}

/// What a request gets.
#[derive(Debug)]
pub enum Answer {
    /// These bytes.
    Send(Vec<Piece>),
    /// Nothing, but later answers may pass.
    Nothing,
    /// The end of the connection, once all earlier answers have left.
    Close,
}

/// What may be outstanding on one connection before it is read no further.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Requests without an answer.
    pub requests_max: usize,
    /// Bytes of these requests.
    pub request_bytes_max: usize,
    /// Bytes of answers that have not left.
    pub answer_bytes_max: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { requests_max: 256, request_bytes_max: 32 << 20, answer_bytes_max: 32 << 20 }
    }
}

/// What leaves next.
#[derive(Debug, Default)]
pub struct Departure {
    /// Pieces, in order.
    pub pieces: VecDeque<Piece>,
    /// Which APIs were answered, and after how long.
    pub answered: Vec<(&'static str, Duration)>,
    /// The connection ends after these pieces.
    pub last: bool,
    held_bytes: usize,
}

/// One connection's open requests and unsent answers. All on one thread.
#[derive(Debug)]
pub struct Outbox {
    room: Room,
    /// What all connections hold together; `answer_bytes` of each is in it.
    held: Rc<Held>,
    state: RefCell<State>,
    answered: Notify,
    freed: Notify,
    given_up: Notify,
    last_used: Cell<Instant>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the request at the front of `open`.
    first: u64,
    open: VecDeque<Open>,
    request_bytes: usize,
    answer_bytes: usize,
    /// Since when the client has taken nothing of them.
    waits_since: Option<Instant>,
    given_up: bool,
}

#[derive(Debug)]
struct Open {
    api: &'static str,
    since: Instant,
    bytes: usize,
    answer: Option<Answer>,
}

impl Outbox {
    /// Nothing outstanding.
    #[must_use]
    pub fn new(room: Room, held: Rc<Held>) -> Outbox {
        Outbox {
            room,
            held,
            state: RefCell::default(),
            answered: Notify::new(),
            freed: Notify::new(),
            given_up: Notify::new(),
            last_used: Cell::new(Instant::now()),
        }
    }

    /// Takes a request of `bytes` in; returns its number on this connection, from 0.
    pub fn admit(&self, api: &'static str, bytes: usize) -> u64 {
        let since = Instant::now();
        self.last_used.set(since);
        let mut state = self.state.borrow_mut();
        state.request_bytes += bytes;
        state.open.push_back(Open { api, since, bytes, answer: None });
        state.first + state.open.len() as u64 - 1
    }

    /// Answers a request. An answer to no open request, or a second one, is ignored.
    pub fn answer(&self, seq: u64, answer: Answer) {
        let mut state = self.state.borrow_mut();
        let held: usize = match &answer {
            Answer::Send(pieces) => pieces.iter().map(Piece::held_bytes).sum(),
            Answer::Nothing | Answer::Close => 0,
        };
        if state.given_up {
            return;
        }
        let Some(at) = seq.checked_sub(state.first).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        match state.open.get_mut(at) {
            Some(open) if open.answer.is_none() => open.answer = Some(answer),
            Some(_) | None => return,
        }
        state.answer_bytes += held;
        self.held.add(held);
        if held > 0 {
            state.waits_since.get_or_insert_with(Instant::now);
        }
        if at == 0 {
            self.answered.notify_one();
        }
    }

    /// Waits until another request may be read.
    pub async fn has_room(&self) {
        loop {
            {
                let state = self.state.borrow();
                if state.open.len() < self.room.requests_max
                    && state.request_bytes < self.room.request_bytes_max
                    && state.answer_bytes < self.room.answer_bytes_max
                {
                    return;
                }
            }
            self.freed.notified().await;
        }
    }

    /// Waits for answers that may leave, and takes them.
    pub async fn next(&self) -> Departure {
        loop {
            if let Some(departure) = self.take() {
                return departure;
            }
            self.answered.notified().await;
        }
    }

    /// These answers have left.
    pub fn sent(&self, departure: &Departure) {
        let now = Instant::now();
        self.last_used.set(now);
        let mut state = self.state.borrow_mut();
        // One that was given up has given all of its bytes back already.
        if !state.given_up {
            state.answer_bytes -= departure.held_bytes;
            self.held.take(departure.held_bytes);
            state.waits_since = (state.answer_bytes > 0).then_some(now);
        }
        self.freed.notify_one();
    }

    /// Since when answers wait here of which the client has taken none.
    #[must_use]
    pub fn waits_since(&self) -> Option<Instant> {
        self.state.borrow().waits_since
    }

    /// Gives up what waits here, to make room for others; the connection has to end. How many
    /// bytes that were.
    pub fn give_up(&self) -> usize {
        let mut state = self.state.borrow_mut();
        state.given_up = true;
        state.waits_since = None;
        let bytes = std::mem::take(&mut state.answer_bytes);
        self.held.take(bytes);
        self.given_up.notify_one();
        bytes
    }

    /// Waits until it is given up.
    pub async fn is_given_up(&self) {
        self.given_up.notified().await;
    }

    /// Whether every request is answered and every answer has left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let state = self.state.borrow();
        state.open.is_empty() && state.answer_bytes == 0
    }

    /// When a request last came or an answer last left.
    #[must_use]
    pub fn last_used(&self) -> Instant {
        self.last_used.get()
    }

    fn take(&self) -> Option<Departure> {
        let mut state = self.state.borrow_mut();
        let mut departure = Departure::default();
        while let Some(Open { answer: Some(_), .. }) = state.open.front() {
            let Some(Open { api, since, bytes, answer }) = state.open.pop_front() else { break };
            state.first += 1;
            state.request_bytes -= bytes;
            match answer {
                Some(Answer::Send(pieces)) => {
                    departure.answered.push((api, since.elapsed()));
                    departure.held_bytes += pieces.iter().map(Piece::held_bytes).sum::<usize>();
                    departure.pieces.extend(pieces);
                }
                Some(Answer::Close) => {
                    departure.last = true;
                    break;
                }
                Some(Answer::Nothing) | None => departure.answered.push((api, since.elapsed())),
            }
        }
        if departure.answered.is_empty() && !departure.last {
            return None;
        }
        self.freed.notify_one();
        Some(departure)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.held.take(self.state.get_mut().answer_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Answer {
        Answer::Send(vec![Piece::Memory(Bytes::from_static(text.as_bytes()))])
    }

    fn text(departure: &Departure) -> String {
        departure
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Memory(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Piece::File { len, .. } => format!("<{len}>"),
            })
            .collect()
    }

    #[test]
    fn answers_leave_in_the_order_of_the_requests() {
        let outbox = Outbox::new(Room::default(), Rc::default());
        let seqs: Vec<u64> = (0..5).map(|_| outbox.admit("Produce", 1)).collect();
        assert_eq!(seqs, [0, 1, 2, 3, 4]);
        outbox.answer(2, bytes("c"));
        outbox.answer(1, Answer::Nothing);
        assert!(outbox.take().is_none());
        outbox.answer(0, bytes("a"));
        outbox.answer(0, bytes("twice"));
        let departure = outbox.take().unwrap();
        assert_eq!(text(&departure), "ac");
        outbox.answer(4, bytes("never"));
        outbox.answer(3, Answer::Close);
        let departure = outbox.take().unwrap();
        assert!(departure.last && departure.pieces.is_empty());
    }

    #[tokio::test]
    async fn what_is_outstanding_has_limits() {
        let room = Room { requests_max: 2, request_bytes_max: 100, answer_bytes_max: 3 };
        let outbox = Outbox::new(room, Rc::default());
        let full = async |outbox: &Outbox| {
            tokio::select! { biased; () = outbox.has_room() => false, () = std::future::ready(()) => true }
        };
        outbox.admit("Fetch", 10);
        assert!(!full(&outbox).await);
        outbox.admit("Fetch", 10);
        assert!(full(&outbox).await, "two requests are open");
        outbox.answer(0, bytes("abcd"));
        let departure = outbox.take().unwrap();
        assert!(full(&outbox).await, "four bytes have not left");
        outbox.sent(&departure);
        assert!(!full(&outbox).await);
        outbox.answer(1, Answer::Nothing);
        outbox.take().unwrap();
        outbox.admit("Fetch", 100);
        assert!(full(&outbox).await, "the open request is large");
    }

    #[test]
    fn what_all_connections_hold_is_counted_and_given_back() {
        let held = Rc::new(Held::default());
        let of = |answer| {
            let outbox = Outbox::new(Room::default(), Rc::clone(&held));
            outbox.admit("Fetch", 1);
            outbox.answer(0, answer);
            outbox
        };
        let (sent, dropped, given_up) = (of(bytes("abc")), of(bytes("defgh")), of(bytes("ij")));
        assert_eq!(held.bytes(), 10);
        assert!(sent.waits_since().is_some());
        let departure = sent.take().unwrap();
        assert_eq!(held.bytes(), 10, "it is on its way, and still in memory");
        sent.sent(&departure);
        assert_eq!((held.bytes(), sent.waits_since()), (7, None));
        drop(dropped);
        assert_eq!(held.bytes(), 2);
        let departure = given_up.take().unwrap();
        assert_eq!((given_up.give_up(), held.bytes()), (2, 0));
        // Whatever happens to it until its connection is gone counts no more.
        given_up.sent(&departure);
        given_up.admit("Fetch", 1);
        given_up.answer(1, bytes("late"));
        drop(given_up);
        assert_eq!(held.bytes(), 0);
    }
}

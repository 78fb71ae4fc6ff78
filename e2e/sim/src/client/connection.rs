//! Requests and answers on their way between clients and brokers. A connection keeps both in their
//! order, and ends with the process at its other end; what was under way then is answered by nobody.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chronik_core::core::input::{ConnId, Input, Token};
use chronik_core::ids::BrokerId;
use chronik_core::log::disk::Disk;
use chronik_core::meta::Listener;
use chronik_core::wire::{Part, Request, RequestBody, RequestHeader, Response, ResponseBody};

use super::{Came, Client, Kind};
use crate::event::{Event, Life};
use crate::invariants::Via;
use crate::world::World;

/// How long a client waits for an answer.
const ANSWER_MAX: u64 = 8_000_000;

/// A client's connections.
#[derive(Debug, Default)]
pub(super) struct Wire {
    open: BTreeMap<BrokerId, Connection>,
    /// Requests without an answer, oldest first; all to the same broker.
    waits: VecDeque<Waits>,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    id: ConnId,
    life: Life,
    next: u64,
    /// When the last request arrives there, and the last answer here.
    arrives: (u64, u64),
}

#[derive(Debug)]
struct Waits {
    token: Token,
    broker: BrokerId,
    /// The broker has answered; the answer leaves it after all earlier ones.
    answer: Option<Response>,
    /// The answer is on its way.
    sent: bool,
}

impl Wire {
    fn waits_for(&self, token: Token) -> bool {
        self.waits.iter().any(|waits| waits.token == token)
    }

    /// The connection that requests wait on is gone.
    fn hang_up(&mut self) -> Option<(ConnId, BrokerId)> {
        let waits = self.waits.front()?;
        let (conn, broker) = (waits.token.conn, waits.broker);
        self.waits.clear();
        self.open.remove(&broker);
        Some((conn, broker))
    }
}

impl World {
    pub(super) fn ask_broker(
        &mut self,
        client: usize,
        to: BrokerId,
        version: i16,
        body: RequestBody,
    ) {
        let life = self.nodes.get(&to).map_or(0, |node| node.life);
        let clients = &mut self.clients;
        let state = &mut clients.all[client];
        let known = state.wire.open.get(&to).filter(|open| open.life == life).copied();
        let mut open = known.unwrap_or_else(|| {
            clients.connections += 1;
            Connection { id: ConnId(clients.connections), life, next: 0, arrives: (0, 0) }
        });
        let token = Token { conn: open.id, seq: open.next };
        open.next += 1;
        let delay = self.chance.net.skewed(100, 5_000);
        let arrives = open.arrives.0.max(self.now + delay);
        open.arrives.0 = arrives;
        state.wire.open.insert(to, open);
        state.wire.waits.push_back(Waits { token, broker: to, answer: None, sent: false });
        let patience = self.now + ANSWER_MAX;
        state.due = patience;
        self.queue.at(patience, Event::Client(client));
        let api = body.api();
        self.note(&format!("client {client} asks {to:?}: {api:?}"));
        let header = RequestHeader { api, version, correlation_id: 0, client_id: None };
        let request = Box::new(Request { header, body });
        self.queue.at(arrives, Event::Request(to, life, token, request));
    }

    pub(crate) fn request(&mut self, node: BrokerId, life: Life, token: Token, request: Request) {
        if self.nodes.get(&node).is_some_and(|n| n.life == life && n.core.is_some()) {
            let host: Arc<str> = Arc::from("10.0.0.1");
            let listener = Listener::Internal;
            return self.input(node, Input::Request { token, host, listener, request });
        }
        self.hang_up(token);
    }

    /// The connection of `token` broke.
    fn hang_up(&mut self, token: Token) {
        let waits = |client: &Client| client.wire.waits_for(token);
        let Some(client) = self.clients.all.iter().position(waits) else { return };
        let delay = self.chance.net.skewed(100, 5_000);
        self.later(delay, Event::Answer(client, token, None));
    }

    pub(crate) fn cut_connections_of(&mut self, node: BrokerId) {
        let waiting = self.clients.all.iter().filter_map(|client| client.wire.waits.front());
        let broken: Vec<Token> =
            waiting.filter(|waits| waits.broker == node).map(|waits| waits.token).collect();
        broken.into_iter().for_each(|token| self.hang_up(token));
    }

    /// A broker answers; what it sends from files is read now.
    pub(crate) fn reply(&mut self, from: BrokerId, token: Token, response: Option<Response>) {
        let Some(mut response) = response else { return self.hang_up(token) };
        if let ResponseBody::Fetch(fetched) = &mut response.body {
            let partitions = fetched.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            for part in partitions.flat_map(|partition| &mut partition.records) {
                let Part::File { file, pos, len } = part else { continue };
                self.coverage.count("fetches from files");
                let disk = self.nodes[&from].disk.clone();
                match disk.read_at(*file, *pos, *len as usize) {
                    Ok(bytes) => *part = Part::Memory(bytes),
                    Err(error) => {
                        let what = format!("{from:?} sends what it cannot read: {error}");
                        return self.fail("files that are sent can be read", what);
                    }
                }
            }
        }
        let waits = |client: &Client| client.wire.waits_for(token);
        let Some(client) = self.clients.all.iter().position(waits) else { return };
        self.promised(from, client, token, &response.body);
        let Some(waits) =
            self.clients.all[client].wire.waits.iter_mut().find(|waits| waits.token == token)
        else {
            return;
        };
        waits.answer = Some(response);
        self.send_answers(client, from);
    }

    /// Answers leave a connection in the order of its requests.
    fn send_answers(&mut self, client: usize, from: BrokerId) {
        let Wire { open, waits } = &mut self.clients.all[client].wire;
        for waits in waits.iter_mut().skip_while(|waits| waits.sent) {
            let Some(answer) = waits.answer.take() else { return };
            waits.sent = true;
            let at = self.now + self.chance.net.skewed(100, 5_000);
            let last = open.get_mut(&from).map(|open| &mut open.arrives.1);
            let at = last.map_or(at, |last| {
                *last = at.max(*last + 1);
                *last
            });
            self.queue.at(at, Event::Answer(client, waits.token, Some(Box::new(answer))));
        }
    }

    pub(crate) fn answer(&mut self, client: usize, token: Token, response: Option<Response>) {
        let wire = &mut self.clients.all[client].wire;
        if !wire.waits_for(token) {
            return;
        }
        let Some(response) = response else {
            wire.hang_up();
            self.clients.all[client].due = 0;
            return self.act(client, Came::Unknown, Via::default());
        };
        let Some(waits) = wire.waits.pop_front() else { return };
        let life = wire.open.get(&waits.broker).map_or(0, |open| open.life);
        self.clients.all[client].due = 0;
        if !self.clients.all[client].wire.waits.is_empty() {
            let patience = self.now + ANSWER_MAX;
            self.clients.all[client].due = patience;
            self.queue.at(patience, Event::Client(client));
        }
        let via = Via { broker: waits.broker, life };
        self.act(client, Came::Answer(response.body), via);
    }

    /// A client has waited for too long: it closes the connection. False if it waits for nothing.
    pub(super) fn give_up_waiting(&mut self, client: usize) -> bool {
        let Some((conn, broker)) = self.clients.all[client].wire.hang_up() else { return false };
        self.input(broker, Input::Disconnected(conn));
        true
    }

    /// What a broker says is a promise from then on, whether or not it arrives.
    fn promised(&mut self, from: BrokerId, client: usize, token: Token, body: &ResponseBody) {
        let (Kind::Producer(producer), ResponseBody::Produce(answer)) =
            (&self.clients.all[client].kind, body)
        else {
            return;
        };
        let wire = &self.clients.all[client].wire;
        let Some(at) = wire.waits.iter().position(|waits| waits.token == token) else { return };
        if let Some(promise) = producer.promise(at, answer) {
            let judged = self.checks.promised(from, &promise);
            self.judge(judged);
        }
    }
}

//! The users of the cluster: they ask over connections that can break, wait for answers that may
//! not come, look up metadata again and retry. An outcome that they do not know stays unknown.

mod ask;
mod consumer;
mod creator;
mod producer;

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_core::core::input::{ConnId, Input, Token};
use chronik_core::error::KafkaError;
use chronik_core::ids::BrokerId;
use chronik_core::log::disk::Disk;
use chronik_core::wire::records::Record;
use chronik_core::wire::{Part, Request, RequestBody, RequestHeader, Response, ResponseBody};

use crate::coverage::Coverage;
use crate::event::{Event, Life};
use crate::invariants::{Checks, Serial, Violation};
use crate::options::Options;
use crate::prng::Prng;
use crate::world::{WALL_MS, World};

use consumer::Consumer;
use creator::Creator;
use producer::Producer;

/// How long a client waits for an answer.
const ANSWER_MAX: u64 = 8_000_000;
/// What every record of a client of this world has as its key.
const KEY: &[u8] = b"sim";

/// The record's name, if a client of this world wrote it.
pub(crate) fn serial_of(record: &Record) -> Option<Serial> {
    if record.key.as_deref() != Some(KEY) {
        return None;
    }
    let value: [u8; 16] = record.value.as_deref()?.get(..16)?.try_into().ok()?;
    let word = u128::from_be_bytes(value);
    Some(((word >> 64) as u64, word as u64))
}

/// Whether a producer is idempotent: its number says so.
pub(crate) fn is_idempotent(producer: u64) -> bool {
    producer % 3 != 2
}

/// What a client does next.
#[derive(Debug)]
enum Action {
    /// Ask a broker.
    Ask { to: BrokerId, version: i16, body: Box<RequestBody> },
    /// Do nothing for so long.
    Sleep(u64),
}

/// What came of what it did last.
#[derive(Debug)]
enum Came {
    /// The time that it wanted to sleep.
    Time,
    /// An answer.
    Answer(ResponseBody),
    /// The connection broke, or the answer did not come in time.
    Unknown,
}

/// What a client can see and use.
struct Env<'a> {
    now: u64,
    wall_ms: i64,
    rng: &'a mut Prng,
    checks: &'a mut Checks,
    coverage: &'a mut Coverage,
    /// Brokers that it knows from its configuration.
    bootstrap: &'a [BrokerId],
}

impl Env<'_> {
    fn any_broker(&mut self) -> BrokerId {
        self.rng.pick(self.bootstrap).copied().unwrap_or(BrokerId(1))
    }
}

#[derive(Debug)]
enum Kind {
    Creator(Creator),
    Producer(Producer),
    Consumer(Consumer),
}

#[derive(Debug)]
struct Client {
    kind: Kind,
    connections: BTreeMap<BrokerId, (ConnId, Life, u64)>,
    waits_for: Option<(Token, BrokerId)>,
    due: u64,
}

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    all: Vec<Client>,
    connections: u64,
}

impl Clients {
    pub(crate) fn new(options: &Options) -> Clients {
        let creator = Kind::Creator(Creator::new(options));
        let producers = (0..options.producers).map(|n| Kind::Producer(Producer::new(n, options)));
        let consumers = (0..options.consumers).map(|n| Kind::Consumer(Consumer::new(n, options)));
        let all = std::iter::once(creator).chain(producers).chain(consumers);
        let client = |kind| Client { kind, connections: BTreeMap::new(), waits_for: None, due: 0 };
        Clients { all: all.map(client).collect(), connections: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn due(&mut self, client: usize, at: u64) {
        self.all[client].due = at;
    }

    /// Whether every topic was made with three replicas or more.
    pub(crate) fn topics_are_replicated(&self) -> bool {
        self.all.iter().all(|client| match &client.kind {
            Kind::Creator(creator) => creator.replication_min() >= 3,
            Kind::Producer(_) | Kind::Consumer(_) => true,
        })
    }

    /// A client that has not got anything done since `since`.
    pub(crate) fn stuck(&self, since: u64) -> Option<String> {
        self.all.iter().find_map(|client| match &client.kind {
            Kind::Creator(creator) => creator.stuck(),
            Kind::Producer(producer) => producer.stuck(since),
            Kind::Consumer(consumer) => consumer.stuck(since),
        })
    }
}

impl World {
    pub(crate) fn client_due(&mut self, client: usize) {
        let state = &mut self.clients.all[client];
        if state.due != self.now {
            return;
        }
        let Some((token, broker)) = state.waits_for.take() else {
            return self.act(client, Came::Time);
        };
        state.connections.remove(&broker);
        self.coverage.count("requests without an answer");
        self.input(broker, Input::Disconnected(token.conn));
        self.act(client, Came::Unknown);
    }

    fn act(&mut self, client: usize, came: Came) {
        let wall_ms = WALL_MS + i64::try_from(self.now / 1000).unwrap_or(0);
        let bootstrap: Vec<BrokerId> = self.nodes.keys().copied().collect();
        let mut env = Env {
            now: self.now,
            wall_ms,
            rng: &mut self.chance.workload,
            checks: &mut self.checks,
            coverage: &mut self.coverage,
            bootstrap: &bootstrap,
        };
        let action = match &mut self.clients.all[client].kind {
            Kind::Creator(creator) => Ok(creator.next(&mut env, came)),
            Kind::Producer(producer) => producer.next(&mut env, came),
            Kind::Consumer(consumer) => consumer.next(&mut env, came),
        };
        match action {
            Ok(Action::Sleep(after)) => {
                let at = self.now + after.max(1);
                self.clients.all[client].due = at;
                self.queue.at(at, Event::Client(client));
            }
            Ok(Action::Ask { to, version, body }) => self.ask_broker(client, to, version, *body),
            Err(Violation { invariant, what }) => self.fail(invariant, what),
        }
    }

    fn ask_broker(&mut self, client: usize, to: BrokerId, version: i16, body: RequestBody) {
        let life = self.nodes.get(&to).map_or(0, |node| node.life);
        let clients = &mut self.clients;
        let state = &mut clients.all[client];
        let known = state.connections.get(&to).filter(|(_, of, _)| *of == life).copied();
        let (conn, _, seq) = known.unwrap_or_else(|| {
            clients.connections += 1;
            (ConnId(clients.connections), life, 0)
        });
        state.connections.insert(to, (conn, life, seq + 1));
        let token = Token { conn, seq };
        state.waits_for = Some((token, to));
        let at = self.now + ANSWER_MAX;
        state.due = at;
        self.queue.at(at, Event::Client(client));
        let api = body.api();
        self.note(&format!("client {client} asks {to:?}: {api:?}"));
        let header = RequestHeader { api, version, correlation_id: 0, client_id: None };
        let request = Box::new(Request { header, body });
        let delay = self.chance.net.skewed(100, 5_000);
        self.later(delay, Event::Request(to, life, token, request));
    }

    pub(crate) fn request(&mut self, node: BrokerId, life: Life, token: Token, request: Request) {
        if self.nodes.get(&node).is_some_and(|n| n.life == life && n.core.is_some()) {
            let host: Arc<str> = Arc::from("10.0.0.1");
            return self.input(node, Input::Request { token, host, request });
        }
        self.hang_up(token);
    }

    /// The connection of `token` broke.
    fn hang_up(&mut self, token: Token) {
        let waits = |client: &Client| client.waits_for.is_some_and(|(waits, _)| waits == token);
        let Some(client) = self.clients.all.iter().position(waits) else { return };
        let delay = self.chance.net.skewed(100, 5_000);
        self.later(delay, Event::Answer(client, token, None));
    }

    pub(crate) fn cut_connections_of(&mut self, node: BrokerId) {
        let waiting = self.clients.all.iter().filter_map(|client| client.waits_for);
        let broken: Vec<Token> =
            waiting.filter(|(_, of)| *of == node).map(|(token, _)| token).collect();
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
        let waits = |client: &Client| client.waits_for.is_some_and(|(waits, _)| waits == token);
        let Some(client) = self.clients.all.iter().position(waits) else { return };
        let delay = self.chance.net.skewed(100, 5_000);
        self.later(delay, Event::Answer(client, token, Some(Box::new(response))));
    }

    pub(crate) fn answer(&mut self, client: usize, token: Token, response: Option<Response>) {
        let state = &mut self.clients.all[client];
        let Some((_, broker)) = state.waits_for.take_if(|(waits, _)| *waits == token) else {
            return;
        };
        state.due = 0;
        match response {
            Some(response) => self.act(client, Came::Answer(response.body)),
            None => {
                state.connections.remove(&broker);
                self.act(client, Came::Unknown);
            }
        }
    }
}

/// The error behind a code in an answer.
fn error_of(code: i16) -> Option<KafkaError> {
    (code != 0).then(|| KafkaError::from_code(code).unwrap_or(KafkaError::UnknownServerError))
}

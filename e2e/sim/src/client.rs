//! The users of the cluster: they ask over connections that can break, wait for answers that may
//! not come, look up metadata again and retry. An outcome that they do not know stays unknown.
//!
//! Each kind of client is one file, a machine that is told what came and says what it does next;
//! requests and answers on their way are `connection`'s.

mod ask;
mod churner;
mod cleaner;
mod connection;
mod consumer;
mod creator;
mod group_ask;
mod member;
mod producer;
mod records;
mod tuner;

use chronik_core::error::KafkaError;
use chronik_core::ids::BrokerId;
use chronik_core::wire::{RequestBody, ResponseBody};

use crate::coverage::Coverage;
use crate::event::Event;
use crate::invariants::{Checks, Via, Violation};
use crate::options::Options;
use crate::prng::Prng;
use crate::world::{WALL_MS, World};

use churner::Churner;
use cleaner::Cleaner;
use connection::Wire;
use consumer::Consumer;
use creator::Creator;
use member::Member;
use producer::Producer;
use tuner::Tuner;

pub(crate) use records::{repeats, serial_of};

/// What a client does next.
#[derive(Debug)]
enum Action {
    /// Ask a broker. With answers of that broker still to come, it is asked over the same connection.
    Ask { to: BrokerId, version: i16, body: Box<RequestBody> },
    /// Nothing, until an answer comes.
    Wait,
    /// Nothing for so long.
    Sleep(u64),
}

/// What came of what it did last.
#[derive(Debug)]
enum Came {
    /// The time that it wanted to sleep is over, or it may ask for more.
    Time,
    /// The answer to the oldest request that waits for one.
    Answer(ResponseBody),
    /// The connection broke, or the answer did not come in time: no answer comes to any request.
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
    /// Who has answered.
    via: Via,
}

impl Env<'_> {
    fn any_broker(&mut self) -> BrokerId {
        self.rng.pick(self.bootstrap).copied().unwrap_or(BrokerId(1))
    }
}

#[derive(Debug)]
enum Kind {
    Churner(Churner),
    Cleaner(Cleaner),
    Consumer(Consumer),
    Creator(Creator),
    Member(Member),
    Producer(Producer),
    Tuner(Tuner),
}

impl Kind {
    fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        match self {
            Kind::Churner(churner) => churner.next(env, came),
            Kind::Cleaner(cleaner) => cleaner.next(env, came),
            Kind::Consumer(consumer) => consumer.next(env, came),
            Kind::Creator(creator) => Ok(creator.next(env, came)),
            Kind::Member(member) => member.next(env, came),
            Kind::Producer(producer) => producer.next(env, came),
            Kind::Tuner(tuner) => tuner.next(env, came),
        }
    }

    fn stuck(&self, since: u64) -> Option<String> {
        match self {
            Kind::Churner(churner) => churner.stuck(since),
            Kind::Cleaner(cleaner) => cleaner.stuck(since),
            Kind::Consumer(consumer) => consumer.stuck(since),
            Kind::Creator(creator) => creator.stuck(),
            Kind::Member(member) => member.stuck(since),
            Kind::Producer(producer) => producer.stuck(since),
            Kind::Tuner(tuner) => tuner.stuck(since),
        }
    }
}

#[derive(Debug)]
struct Client {
    kind: Kind,
    wire: Wire,
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
        let work = &options.workload;
        let creator = Kind::Creator(Creator::new(options));
        let producers = (0..options.producers).map(|n| Kind::Producer(Producer::new(n, options)));
        let consumers = (0..options.consumers).map(|n| Kind::Consumer(Consumer::new(n, options)));
        let members = (0..work.members).map(|n| Kind::Member(Member::new(n, options)));
        let churners = (0..work.churners).map(|n| Kind::Churner(Churner::new(n, options)));
        let tuner = work.tunes.then(|| Kind::Tuner(Tuner::new(options)));
        let limiter = work.limits.then(|| Kind::Tuner(Tuner::of_cluster()));
        let cleaner = work.deletes_records.then(|| Kind::Cleaner(Cleaner::new(options)));
        let all = std::iter::once(creator).chain(producers).chain(consumers);
        let all = all.chain(members).chain(churners).chain(tuner).chain(cleaner).chain(limiter);
        let client = |kind| Client { kind, wire: Wire::default(), due: 0 };
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
            Kind::Churner(_)
            | Kind::Cleaner(_)
            | Kind::Consumer(_)
            | Kind::Member(_)
            | Kind::Producer(_)
            | Kind::Tuner(_) => true,
        })
    }

    /// A client that has not got anything done since `since`.
    pub(crate) fn stuck(&self, since: u64) -> Option<String> {
        self.all.iter().find_map(|client| client.kind.stuck(since))
    }
}

impl World {
    /// The time that a client waits for has come: the end of its sleep, or of its patience.
    pub(crate) fn client_due(&mut self, client: usize) {
        if self.clients.all[client].due != self.now {
            return;
        }
        if self.give_up_waiting(client) {
            self.coverage.count("requests without an answer");
            return self.act(client, Came::Unknown, Via::default());
        }
        if self.quiet_since.is_none() {
            self.act(client, Came::Time, Via::default());
        }
    }

    /// A client is told what came, and does what it does next until it waits for something.
    fn act(&mut self, client: usize, came: Came, via: Via) {
        let mut came = Some(came);
        let bootstrap: Vec<BrokerId> = self.nodes.keys().copied().collect();
        while let Some(what) = came.take() {
            let wall_ms = WALL_MS + i64::try_from(self.now / 1000).unwrap_or(0);
            let mut env = Env {
                now: self.now,
                wall_ms,
                rng: &mut self.chance.workload,
                checks: &mut self.checks,
                coverage: &mut self.coverage,
                bootstrap: &bootstrap,
                via,
            };
            let action = self.clients.all[client].kind.next(&mut env, what);
            match action {
                // What was answered counts; nothing more is asked.
                Ok(_) if self.quiet_since.is_some() => {}
                Ok(Action::Wait) => {}
                Ok(Action::Sleep(after)) => {
                    let at = self.now + after.max(1);
                    self.clients.all[client].due = at;
                    self.queue.at(at, Event::Client(client));
                }
                Ok(Action::Ask { to, version, body }) => {
                    self.ask_broker(client, to, version, *body);
                    if let Kind::Producer(producer) = &self.clients.all[client].kind
                        && producer.has_room()
                    {
                        came = Some(Came::Time);
                    }
                }
                Err(Violation { invariant, what }) => self.fail(invariant, what),
            }
        }
    }
}

/// The error behind a code in an answer.
fn error_of(code: i16) -> Option<KafkaError> {
    (code != 0).then(|| KafkaError::from_code(code).unwrap_or(KafkaError::UnknownServerError))
}

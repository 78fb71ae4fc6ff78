//! A whole cluster in one thread: nodes, network, clients and operator, one queue of events, one
//! clock. Here is the loop and nothing else; each concern has its own file.

use std::collections::{BTreeMap, VecDeque};

use chronik_core::ids::{BrokerId, Now};

use crate::client::Clients;
use crate::coverage::Coverage;
use crate::crash_points::{NEVER, Stage};
use crate::event::{Event, Queue};
use crate::invariants::{Checks, Violation};
use crate::net::Net;
use crate::node::Node;
use crate::operator::Operator;
use crate::options::Options;
use crate::prng::{Prng, Salt};
use crate::trace::Trace;

/// Virtual time begins here, so that zero can mean "never".
const BEGIN: u64 = 1_000_000;
/// What the wall clocks show at the beginning: some day in 2026, in milliseconds.
pub(crate) const WALL_MS: i64 = 1_780_000_000_000;
/// How long a healed cluster may take to be whole again.
const CALM_MAX: u64 = 60_000_000;
/// How long replicas may take to be equal once nobody writes any more.
const QUIET_MAX: u64 = 20_000_000;
/// How often a healed cluster is asked whether it is whole.
const CALM_CHECK: u64 = 500_000;

/// The streams of chance of one run.
#[derive(Debug)]
pub(crate) struct Chance {
    pub(crate) schedule: Prng,
    pub(crate) net: Prng,
    pub(crate) disk: Prng,
    pub(crate) workload: Prng,
    pub(crate) faults: Prng,
    pub(crate) operator: Prng,
    pub(crate) platform: Prng,
    pub(crate) orders: Prng,
}

/// A whole cluster.
#[derive(Debug)]
pub struct World {
    pub(crate) now: u64,
    pub(crate) options: Options,
    pub(crate) chance: Chance,
    pub(crate) queue: Queue,
    pub(crate) nodes: BTreeMap<BrokerId, Node>,
    pub(crate) net: Net,
    pub(crate) clients: Clients,
    pub(crate) operator: Operator,
    pub(crate) checks: Checks,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    /// When things stopped going wrong.
    pub(crate) calm_since: Option<u64>,
    /// What is still to be asked of the cluster, each once it is whole.
    pub(crate) stages: VecDeque<Stage>,
    /// When the cluster was whole and the clients stopped.
    pub(crate) quiet_since: Option<u64>,
    pub(crate) broken: Option<Violation>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Events.
    pub steps: u64,
    /// Simulated time in microseconds.
    pub simulated: u64,
    /// All that happened, in one number.
    pub hash: u64,
    /// What the run went through.
    pub coverage: Coverage,
    /// What broke.
    pub broken: Option<Violation>,
    /// The last events.
    pub last: Vec<String>,
}

impl World {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new(options: Options, echo: bool) -> World {
        let stream = |salt| Prng::new(options.seed, salt);
        let mut world = World {
            now: BEGIN,
            chance: Chance {
                schedule: stream(Salt::Schedule),
                net: stream(Salt::Net),
                disk: stream(Salt::Disk),
                workload: stream(Salt::Workload),
                faults: stream(Salt::Faults),
                operator: stream(Salt::Operator),
                platform: stream(Salt::Platform),
                orders: stream(Salt::Orders),
            },
            queue: Queue::default(),
            nodes: BTreeMap::new(),
            net: Net::default(),
            clients: Clients::new(&options),
            operator: Operator::new(&options),
            checks: Checks::default(),
            coverage: Coverage::default(),
            trace: Trace::new(echo),
            calm_since: None,
            stages: VecDeque::new(),
            quiet_since: None,
            broken: None,
            options,
        };
        world.begin();
        world
    }

    /// Does not look at these rules, to see what else would notice that something is wrong.
    #[must_use]
    pub fn without(mut self, invariants: &[&'static str]) -> World {
        self.checks.mute(invariants);
        self
    }

    fn begin(&mut self) {
        let calm = BEGIN + self.options.hostile_for;
        self.queue.at(BEGIN, Event::Operator(0));
        for client in 0..self.clients.len() {
            let at = BEGIN + 1_000_000 + 10_000 * client as u64;
            self.clients.due(client, at);
            self.queue.at(at, Event::Client(client));
        }
        let resizes = self.options.resizes.clone();
        let gap = self.options.hostile_for / (resizes.len() as u64 + 1);
        for (n, size) in (1u64..).zip(resizes) {
            self.queue.at(BEGIN + gap * n, Event::Resize(size));
        }
        self.queue.at(BEGIN + 3_000_000, Event::Fault);
        self.queue.at(calm, Event::Calm);
        for at in self.options.rolls.clone() {
            self.queue.at(BEGIN + at, Event::Roll);
        }
        for (at, size) in self.options.second_thoughts.clone() {
            self.queue.at(BEGIN + at, Event::Resize(size));
        }
        if self.options.stray_orders > 0 {
            self.queue.at(BEGIN + 4_000_000, Event::Stray);
        }
        for (at, rate) in self.options.catch_up_rates.clone() {
            self.queue.at(BEGIN + at, Event::Rate(rate));
        }
    }

    /// Runs until the healed cluster is whole and its replicas are equal, or something breaks, or so
    /// many steps are done.
    pub fn run(mut self, steps_max: u64) -> Report {
        let mut checked = 0;
        while self.broken.is_none() && self.trace.steps() < steps_max {
            let Some((time, event)) = self.queue.next() else { break };
            self.now = self.now.max(time);
            self.happen(event);
            let checks = self.calm_since.is_some() && self.broken.is_none();
            if !checks || self.now.saturating_sub(checked) < CALM_CHECK {
                continue;
            }
            checked = self.now;
            if self.is_whole() {
                break;
            }
        }
        if let Some(crash) = self.operator.crash {
            self.fail(NEVER, format!("the operator never came to {crash}"));
        }
        Report {
            seed: self.options.seed,
            steps: self.trace.steps(),
            simulated: self.now - BEGIN,
            hash: self.trace.hash(),
            coverage: self.coverage,
            broken: self.broken,
            last: self.trace.last(),
        }
    }

    /// Whether the healed cluster has become all that it has to. It gets its time first to be whole
    /// while clients write, then to be equal once they do not.
    fn is_whole(&mut self) -> bool {
        let Some(calm) = self.calm_since else { return false };
        let Some(quiet) = self.quiet_since else {
            match self.unfinished().or_else(|| self.next_stage()) {
                None => {
                    self.note("all is well: the clients stop");
                    self.quiet_since = Some(self.now);
                }
                Some(what) if self.now - calm > CALM_MAX => self.fail("liveness", what),
                Some(_) => {}
            }
            return false;
        };
        match self.unequal() {
            Ok(Some(_)) if self.now - quiet <= QUIET_MAX => return false,
            Ok(Some(what)) => self.fail("replicas converge", what),
            Ok(None) => {}
            Err(violation) => self.fail(violation.invariant, violation.what),
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(node) => self.wake(node),
            Event::Timer(node) => self.timer(node),
            Event::Resume(node) => self.resume(node),
            Event::Dies(node, life, death, back_after) => self.dies(node, life, death, back_after),
            Event::Start(node) => {
                if self.operator.may_revive(node) {
                    self.start(node);
                }
            }
            Event::Synced(node, life, ticket, rest) => self.synced(node, life, ticket, rest),
            Event::Dial(from, to) => self.dial(from, to),
            Event::Frame(stream) => self.frames(stream),
            Event::Stuck(stream) => self.stuck(stream),
            Event::Broken(stream, end) => self.stream_broken(stream, end),
            Event::Client(client) => self.client_due(client),
            Event::Request(node, life, token, request) => {
                self.request(node, life, token, *request);
            }
            Event::Answer(client, token, response) => {
                self.answer(client, token, response.map(|response| *response));
            }
            Event::Operator(turn) => self.operator_due(turn),
            Event::Order(node, life, token, request) => self.order(node, life, token, request),
            Event::OrderDone(token, result) => self.order_done(token, result),
            Event::Fault => self.next_fault(),
            Event::Heal(links) => self.heal(&links),
            Event::Unhinder(number) => self.unhinder(number),
            Event::Call(to, call) => self.call_arrives(to, *call),
            Event::Space(node) => self.space(node),
            Event::Resize(size) => self.resize(size),
            Event::Roll => self.roll(),
            Event::Stray => self.stray_order(),
            Event::Rate(rate) => self.limit_catching_up(rate),
            Event::Calm => self.calm(),
        }
    }

    /// What the clocks of a node show.
    pub(crate) fn clock(&self, node: &Node) -> Now {
        let wall_ms = WALL_MS + i64::try_from(self.now / 1000).unwrap_or(0) + node.wall_offset_ms;
        Now { mono: chronik_core::ids::Micros(self.now), wall_ms }
    }

    /// Writes down what happened.
    pub(crate) fn note(&mut self, what: &str) {
        self.trace.note(self.now, what);
    }

    /// Something that must never happen has happened.
    pub(crate) fn fail(&mut self, invariant: &'static str, what: String) {
        if self.checks.muted().is(invariant) {
            return;
        }
        self.note(&format!("BROKEN {invariant}: {what}"));
        self.broken.get_or_insert(Violation { invariant, what });
    }

    /// Keeps what a check found.
    pub(crate) fn judge(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.fail(violation.invariant, violation.what);
        }
    }

    /// So many microseconds from now.
    pub(crate) fn later(&mut self, after: u64, event: Event) {
        self.queue.at(self.now + after, event);
    }
}

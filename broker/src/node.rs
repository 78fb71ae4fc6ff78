//! The node task: drains a batch of events, steps the core with each, flushes once, carries the
//! outputs out. Batches form by themselves: whatever came in while one was worked off is the next.

pub mod engine;
pub mod handle;
mod outputs;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chronik_core::admin::{AdminError, AdminResponse};
use chronik_core::core::input::{Hello, Input, Ticket};
use chronik_core::core::output::SyncClass;
use chronik_core::ids::{Micros, Now};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep};

use crate::metrics::Metrics;
use crate::net::listener::Clients;
use crate::peer::accept::Credentials;
use crate::peer::client::Links;
use crate::storage::os_disk::OsDisk;
use crate::storage::syncer::{Done, Syncer};
use engine::Engine;
use handle::{Event, Handle};

/// The core hears of time at least this often.
const TICK: Duration = Duration::from_millis(100);
/// Events of one batch.
const BATCH_MAX: usize = 4096;
/// A disk that takes longer for one sync of the write-ahead log is taken for dead.
const SYNC_MAX: Duration = Duration::from_secs(30);
/// Handing leaderships over takes at most this long.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// After that, syncs and answers on their way get this long.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// How a node ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As it was asked to.
    Clean,
    /// To come back with an empty data directory.
    Wipe,
    /// It cannot go on, for this reason.
    Fatal(String),
}

/// What a node needs around it.
#[derive(Debug)]
pub struct Surroundings {
    /// Its files.
    pub disk: OsDisk,
    /// Its clock.
    pub clock: Clock,
    /// The way into it.
    pub handle: Handle,
    /// What comes that way.
    pub events: mpsc::UnboundedReceiver<Event>,
    /// Its clients.
    pub clients: Rc<Clients>,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Who it is to its peers, if they ask.
    pub credentials: Credentials,
}

/// A core and all that it works on.
#[derive(Debug)]
pub struct Node<E> {
    engine: E,
    disk: OsDisk,
    clock: Clock,
    events: mpsc::UnboundedReceiver<Event>,
    clients: Rc<Clients>,
    metrics: Arc<Metrics>,
    links: Links,
    hello: watch::Sender<Hello>,
    wal_syncer: Syncer,
    background_syncer: Syncer,
    syncs: BTreeMap<(bool, Ticket), Instant>,
    behind: outputs::Behind,
    calls: u64,
    admin_calls: BTreeMap<u64, oneshot::Sender<Result<AdminResponse, AdminError>>>,
    step_calls: BTreeMap<u64, oneshot::Sender<Result<(), String>>>,
    last_tick: Instant,
    drain_until: Option<Instant>,
    ending: Option<Ending>,
}

impl<E: Engine> Node<E> {
    /// Puts a core into its surroundings and starts the threads that sync.
    pub fn new(engine: E, around: Surroundings) -> std::io::Result<Node<E>> {
        let Surroundings { disk, clock, handle, events, clients, metrics, credentials } = around;
        let (hello, hello_seen) = watch::channel(engine.hello());
        let start = |class| {
            let (done, failed) = (handle.clone(), handle.clone());
            Syncer::start(
                class,
                move |job| done.send(Event::Synced(job)),
                move |reason| failed.send(Event::Die(reason)),
            )
        };
        Ok(Node {
            links: Links::new(handle.clone(), Arc::clone(&metrics), hello_seen, credentials),
            wal_syncer: start(SyncClass::Wal)?,
            background_syncer: start(SyncClass::Background)?,
            engine,
            disk,
            clock,
            events,
            clients,
            metrics,
            hello,
            syncs: BTreeMap::new(),
            behind: outputs::Behind::default(),
            calls: 0,
            admin_calls: BTreeMap::new(),
            step_calls: BTreeMap::new(),
            last_tick: Instant::now(),
            drain_until: None,
            ending: None,
        })
    }

    /// Works until the node ends.
    pub async fn run(&mut self) -> Ending {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut sleep = Box::pin(tokio::time::sleep_until(self.last_tick));
        // What opening the core left to be done.
        self.carry_out();
        while self.ending.is_none() {
            self.round(&mut batch, sleep.as_mut()).await;
        }
        self.ending.take().unwrap_or(Ending::Clean)
    }

    /// Lets syncs and answers that are on their way arrive.
    pub async fn finish(mut self) {
        self.clients.dismiss();
        let until = Instant::now() + FINISH_MAX;
        let mut batch = Vec::new();
        let mut sleep = Box::pin(tokio::time::sleep_until(self.last_tick));
        self.engine.flush(self.clock.now());
        self.carry_out();
        while Instant::now() < until && !(self.syncs.is_empty() && self.clients.is_idle()) {
            self.round(&mut batch, sleep.as_mut()).await;
            // Gives the connections' tasks their turn.
            tokio::task::yield_now().await;
        }
        self.wal_syncer.finish();
        self.background_syncer.finish();
    }

    /// Waits for events or the time, and works off what there is.
    async fn round(&mut self, batch: &mut Vec<Event>, mut sleep: Pin<&mut Sleep>) {
        let wake = self.wake_at();
        if sleep.deadline() != wake {
            sleep.as_mut().reset(wake);
        }
        tokio::select! {
            biased;
            taken = self.events.recv_many(batch, BATCH_MAX) => {
                if taken == 0 {
                    // Cannot be while `links` has a handle; if it is, nobody can reach the node.
                    self.ending = Some(Ending::Fatal("the node's queue was closed".into()));
                    return;
                }
            }
            () = sleep => {}
        }
        let begin = Instant::now();
        // One reading for both kinds of time, so that what is due by one is due by the other.
        let now = self.clock.at(begin);
        self.metrics.batch_inputs.observe(batch.len() as f64);
        for event in batch.drain(..) {
            self.take(now, event);
        }
        if begin >= self.wake_at() {
            self.tick(now, begin);
        }
        self.engine.flush(now);
        self.carry_out();
        if self.engine.serves_clients() {
            self.clients.invite();
        }
        self.metrics.batch_seconds.observe(begin.elapsed().as_secs_f64());
    }

    fn wake_at(&self) -> Instant {
        let tick = self.last_tick + TICK;
        match self.engine.next_deadline() {
            Some(deadline) => tick.min(self.clock.instant(deadline)),
            None => tick,
        }
    }

    /// However late it is, the core ticks once: a pause must not replay ticks.
    fn tick(&mut self, now: Now, begin: Instant) {
        self.engine.step(now, Input::Tick);
        if begin < self.last_tick + TICK {
            return;
        }
        self.last_tick = begin;
        let hello = self.engine.hello();
        self.hello.send_if_modified(|said| {
            let changed = *said != hello;
            *said = hello;
            changed
        });
        let stuck = |(&(is_wal, _), &since): (&(bool, Ticket), &Instant)| {
            is_wal && begin.duration_since(since) > SYNC_MAX
        };
        if self.syncs.iter().any(stuck) {
            let reason = format!("a sync of the write-ahead log takes longer than {SYNC_MAX:?}");
            self.ending = Some(Ending::Fatal(reason));
        }
        if self.drain_until.is_some_and(|until| begin >= until) {
            tracing::warn!("not all leaderships were handed over within {DRAIN_MAX:?}; ending");
            self.ending = Some(Ending::Clean);
        }
    }

    fn take(&mut self, now: Now, event: Event) {
        match event {
            Event::Input(input) => self.engine.step(now, input),
            Event::Frame { from, frame, permit } => {
                self.engine.step(now, Input::PeerFrame { from, frame });
                drop(permit);
            }
            Event::Synced(done) => {
                let Done { ticket, class, took } = done;
                self.syncs.remove(&(class == SyncClass::Wal, ticket));
                self.metrics.synced(class, took);
                self.engine.step(now, Input::Synced(ticket));
            }
            Event::Admin { request, reply } => {
                let token = self.next_call();
                self.admin_calls.insert(token, reply);
                self.engine.step(now, Input::Admin { token, request });
            }
            Event::Step { topic, partition, message, reply } => {
                let token = self.next_call();
                self.step_calls.insert(token, reply);
                self.engine.step(now, Input::Step { topic, partition, message, token });
            }
            Event::Inspect(reply) => {
                let _ = reply.send(self.engine.inspect());
            }
            Event::Registered { broker, reply } => {
                let _ = reply.send(self.engine.registered(broker));
            }
            Event::Stop if self.drain_until.is_some() => self.ending = Some(Ending::Clean),
            Event::Stop => {
                tracing::info!("stopping: handing leaderships over");
                self.drain_until = Some(Instant::now() + DRAIN_MAX);
                self.engine.step(now, Input::Shutdown);
            }
            Event::Die(reason) => self.ending = Some(Ending::Fatal(reason)),
        }
    }

    fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }
}

/// The two clocks of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Monotonic time counts from now on.
    #[must_use]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// What both show.
    #[must_use]
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Now {
        let since = instant.duration_since(self.start);
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let wall_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        Now { mono: Micros(micros), wall_ms }
    }

    fn instant(&self, at: Micros) -> Instant {
        // A deadline beyond all reason is one that the next tick precedes anyway.
        self.start.checked_add(Duration::from_micros(at.0)).unwrap_or(self.start + SYNC_MAX)
    }
}

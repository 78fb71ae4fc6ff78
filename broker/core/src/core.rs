//! One node: inputs in, outputs out. Dispatch and no policy; each concern has its own file.
//!
//! A round is: [`Core::step`] for each input of a batch, then [`Core::flush`], which works off the
//! groups that became ready, writes the write-ahead log once, asks for one sync, and closes one
//! frame for each peer. However many requests came in a batch, they share that write and that sync.

pub mod config;
pub mod input;
pub mod node;
pub mod output;
pub mod peer_message;

mod apply;
mod balance;
mod configs;
mod coordinators;
mod describe;
pub mod inspect;
mod log_limit;
mod log_starts;
pub mod observe;
mod orders;
mod parked;
mod peers;
mod proposals;
mod reconcile;
mod relaxed;
mod replica;
mod reports;
mod round;
mod scrub;
mod sessions;
mod shutdown;
mod stalled;
pub mod state_hash;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use apply::OFFSETS_TOPIC;
use config::TICK;
pub use config::{Config, Limits};
use input::{Hello, Input, Token};
use node::NodeRecord;
use output::Output;
pub(crate) use parked::Parked;
use peers::Peers;
use proposals::Proposals;
pub(crate) use proposals::ProposeError;
use replica::Offline;
pub(crate) use replica::{AppendWaiter, Leader, Machine, Replica, epoch};
use round::Syncs;

use crate::codec::CodecError;
use crate::handlers;
use crate::ids::{BrokerId, Index, Micros, Now, PartitionId, Uuid};
use crate::log::disk::Disk;
use crate::log::group_log::GroupLog;
use crate::log::recover::OpenError as LogOpenError;
use crate::log::wal::Wal;
use crate::meta;
use crate::meta::configs::ClusterConfig;
use crate::partition::refused::RefusedBatches;
use crate::raft::group::GroupSettings;
use crate::raft::outbox::Outbox;
use crate::wire::Response;

/// A node without IO.
pub struct Core<D: Disk> {
    pub(crate) config: Config,
    pub(crate) now: Now,
    disk: D,
    pub(crate) wal: Wal<D>,
    node: NodeRecord,
    asked: describe::Asked,
    /// This node's image of the cluster, as of `meta_applied`.
    pub(crate) meta: meta::State,
    meta_applied: Index,
    pub(crate) replicas: BTreeMap<PartitionId, Replica<D>>,
    /// Logs found at the start that the image has not named yet.
    dormant: BTreeMap<PartitionId, GroupLog<D>>,
    offline: BTreeMap<PartitionId, Offline<D>>,
    /// Replicas in service that wait to be replaced.
    damaged: BTreeMap<PartitionId, scrub::Damaged>,
    scrub: scrub::Scrub,
    dirty: BTreeSet<PartitionId>,
    /// Groups of relaxed topics with entries in this round.
    relaxed: BTreeSet<PartitionId>,
    syncs: Syncs,
    outbox: Outbox,
    peers: Peers,
    proposals: Proposals<D>,
    pub(crate) parked: Parked,
    /// Batches that were refused here and may come again.
    pub(crate) refused: RefusedBatches,
    outputs: Vec<Output>,
    /// See [`Core::uncommitted_bytes`].
    uncommitted: usize,
    ticked: Micros,
    report_due: bool,
    reporting: bool,
    said_alive: Micros,
    registering: bool,
    meta_led_since: Micros,
    deciding: bool,
    replacing: bool,
    shutdown: shutdown::Shutdown,
    /// Whether a sync hangs.
    stalled: bool,
    pub(crate) counters: inspect::Counters,
    pub(crate) producer_ids: handlers::ProducerIds,
    pub(crate) groups: handlers::Groups,
    log_starts: log_starts::LogStarts<D>,
    uuids: u64,
    expired: Micros,
    balanced: Micros,
}

/// A node that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be read.
    #[error("opening the log")]
    Log(#[from] LogOpenError),
    /// The cluster's image is lost here. Without it the node does not know what it is to hold.
    #[error(
        "this broker's replica of __meta is damaged ({reason}); if other brokers of its cluster live, \
         remove the data directory and start the broker again, and it comes back empty under its id; \
         if none does, restore the directory from a copy"
    )]
    Meta {
        /// What is wrong with it.
        reason: String,
    },
    /// Replicas may be missing whose votes and entries others count on.
    #[error(
        "this broker's write-ahead log is damaged, and it cannot be said whose votes and entries are \
         lost ({reason}); if other brokers of its cluster live, remove the data directory and start \
         the broker again, and it comes back empty under its id; if none does, restore the directory \
         from a copy"
    )]
    Unnamed {
        /// What is wrong with it.
        reason: String,
    },
    /// What the node wrote of itself does not decode.
    #[error("reading what this node wrote of itself; its data directory is damaged")]
    Node(#[source] CodecError),
}

impl<D: Disk> std::fmt::Debug for Core<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("broker", &self.config.broker)
            .field("node", &self.node)
            .field("replicas", &self.replicas.len())
            .finish_non_exhaustive()
    }
}

impl<D: Disk> Core<D> {
    /// Starts a node over what its disk holds. Also returns what recovery has to say.
    pub fn open(config: Config, disk: D, now: Now) -> Result<(Core<D>, Vec<String>), OpenError> {
        let found = crate::log::recover::open(disk.clone(), config.limits.log.clone())?;
        // Where the replica of `__meta` is known to be damaged, the words for that say as much.
        if let Some(reason) = found.unnamed
            && found.corrupt.iter().all(|(id, ..)| *id != PartitionId::META)
        {
            return Err(OpenError::Unnamed { reason });
        }
        let mut node = match found.wal.node() {
            Some(bytes) => NodeRecord::decode(bytes).map_err(OpenError::Node)?,
            None => NodeRecord::default(),
        };
        node.boot += 1;
        let offline = |(id, peer, reason)| (id, Offline { peer, reason, log: None });
        let offline = found.corrupt.into_iter().map(offline);
        let counters =
            inspect::Counters { free_bytes: disk.free_bytes(), ..inspect::Counters::default() };
        let mut core = Core {
            peers: Peers::new(config.broker, &config.seeds),
            proposals: Proposals::default(),
            config,
            now,
            disk,
            wal: found.wal,
            node,
            asked: describe::Asked::default(),
            meta: meta::State::new(),
            meta_applied: 0,
            replicas: BTreeMap::new(),
            dormant: found.groups,
            offline: offline.collect(),
            damaged: BTreeMap::new(),
            scrub: scrub::Scrub::default(),
            dirty: BTreeSet::new(),
            relaxed: BTreeSet::new(),
            syncs: Syncs::default(),
            outbox: Outbox::default(),
            parked: Parked::default(),
            refused: RefusedBatches::default(),
            outputs: Vec::new(),
            uncommitted: 0,
            ticked: Micros(0),
            report_due: false,
            reporting: false,
            said_alive: Micros(0),
            registering: false,
            meta_led_since: Micros(0),
            deciding: false,
            replacing: false,
            shutdown: shutdown::Shutdown::default(),
            stalled: false,
            counters,
            producer_ids: handlers::ProducerIds::default(),
            groups: handlers::Groups::default(),
            log_starts: log_starts::LogStarts::default(),
            uuids: 0,
            expired: now.mono,
            balanced: now.mono,
        };
        core.remember_node();
        core.wake_meta();
        core.check_meta()?;
        core.show_peers();
        core.flush(now);
        // What it had committed is applied by now.
        core.check_meta()?;
        Ok((core, found.notes))
    }

    fn check_meta(&self) -> Result<(), OpenError> {
        let damaged = self.offline.get(&PartitionId::META);
        damaged.map_or(Ok(()), |damaged| Err(OpenError::Meta { reason: damaged.reason.clone() }))
    }

    /// Takes one input. What follows from it is done by [`Core::flush`].
    pub fn step(&mut self, now: Now, input: Input) {
        self.now = now;
        match input {
            Input::Request { token, host, listener, request } => {
                handlers::handle(self, token, &host, listener, request);
            }
            Input::Disconnected(conn) => self.forget_connection(conn),
            Input::PeerConnected(hello) => self.peer_connected(hello),
            Input::PeerGone { from } => self.peers.gone(from),
            Input::PeerReachable { to, stream } => self.peer_reachable(to, stream),
            Input::PeerFrame { from, frame } => self.peer_frame(from, frame),
            Input::Step { topic, partition, message, token } => {
                let result = self.step_call(&topic, partition, &message);
                self.outputs.push(Output::StepReply { token, result });
            }
            Input::Synced(ticket) => self.synced(ticket),
            Input::Admin { token, request } => self.order(token, request),
            Input::Tick => self.tick(),
            Input::Shutdown => self.shut_down(),
        }
    }

    /// What has to be done, in order.
    pub fn outputs(&mut self) -> std::vec::Drain<'_, Output> {
        self.outputs.drain(..)
    }

    /// When [`Input::Tick`] is needed at the latest.
    pub fn next_deadline(&self) -> Option<Micros> {
        let tick = self.ticked.after(TICK);
        Some(self.parked.next_deadline().map_or(tick, |parked| parked.min(tick)))
    }

    /// What to say when dialling a peer. Whoever dials numbers the stream.
    pub fn hello(&self) -> Hello {
        Hello {
            broker: self.config.broker,
            directory: self.config.directory,
            boot: self.node.boot,
            cluster_id: self.cluster_id().map(str::to_owned),
            peer_address: self.config.peer_address.clone(),
            stream: 0,
        }
    }

    /// The directory that the cluster, as far as this node's image goes, knows a broker by.
    pub fn registered(&self, broker: BrokerId) -> Option<Uuid> {
        self.meta.broker(broker).map(|broker| broker.registration.directory)
    }

    /// The cluster that this node belongs to.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.node.membership.as_ref().map(|membership| membership.cluster_id.as_str())
    }

    /// Answers a client.
    pub(crate) fn reply(&mut self, token: Token, response: Option<Response>) {
        self.outputs.push(Output::Reply { token, response });
    }

    /// Ends a client's connection.
    pub(crate) fn close(&mut self, token: Token) {
        self.outputs.push(Output::Close(token));
    }

    /// This broker.
    pub(crate) fn me(&self) -> BrokerId {
        self.config.broker
    }

    /// Whether records can still be taken without endangering what has to be written.
    pub(crate) fn has_space(&self) -> bool {
        !self.syncs.met_full() && self.counters.free_bytes >= self.config.limits.free_bytes_min
    }

    /// Time has passed. However late it is, groups tick once: a pause must not replay ticks.
    fn tick(&mut self) {
        self.expire_parked();
        if self.now.mono.since(self.ticked) < TICK {
            return;
        }
        self.ticked = self.now.mono;
        let config = ClusterConfig::of(&self.meta);
        self.outbox.throttle.refill(self.now.mono, config.catch_up_bytes_per_second);
        self.counters.free_bytes = self.disk.free_bytes();
        let mut broken = Vec::new();
        for (id, replica) in &mut self.replicas {
            match round::guarded(|| Ok(replica.tick())) {
                Ok(true) => {
                    self.dirty.insert(*id);
                }
                Ok(false) => {}
                Err(reason) => broken.push((*id, reason)),
            }
        }
        for (id, reason) in broken {
            self.take_offline(id, reason);
        }
        self.tick_coordinators();
        self.tick_node();
        self.tick_proposals();
        self.tick_log_starts();
        self.tick_sessions();
        self.report();
        self.tick_retention();
        self.tick_scrub();
        self.tick_stalled();
        self.tick_balance();
        self.tick_shutdown();
        if let Err(error) = self.wal.vouch() {
            self.fatal(format!("writing the write-ahead log: {error}"));
        }
    }

    /// Retention is looked at now and then; a record lives a little longer rather than shorter.
    fn tick_retention(&mut self) {
        if self.now.mono.since(self.expired) >= self.config.limits.retention_check {
            self.expired = self.now.mono;
            self.expire_records();
        }
    }

    /// Has a group driven at the end of the round.
    pub(crate) fn mark_dirty(&mut self, id: PartitionId) {
        self.dirty.insert(id);
    }

    fn group_settings(&self, broadcast_commit: bool) -> GroupSettings {
        GroupSettings {
            seed: self.config.seed,
            node: self.config.broker,
            logger: self.config.logger.clone(),
            broadcast_commit,
        }
    }

    fn fatal(&mut self, reason: String) {
        tracing::error!(%reason, "the node cannot go on");
        self.outputs.push(Output::Fatal(reason));
    }
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

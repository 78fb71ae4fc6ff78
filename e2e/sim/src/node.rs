//! One broker of the world: its disk, and the process on it while it runs. What the shell does in
//! production (clocks, sockets, the sync threads) is done here by events.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chronik_core::core::input::{Input, Ticket};
use chronik_core::core::output::{Output, SyncClass};
use chronik_core::core::{Config, Core, Limits, OpenError};
use chronik_core::ids::{BrokerId, Micros, Uuid};
use chronik_core::log::disk::{Disk, DiskError, FileId};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::log::recover::OpenError as LogOpenError;

use crate::event::{Event, Life};
use crate::net::joined;
use crate::world::World;

/// Below this the brokers take no more records.
pub(crate) const FREE_BYTES_MIN: u64 = 1 << 20;

/// Chance in a million of a process's first sync to take its time.
const FIRST_SYNC_SLOW: u64 = 200_000;

/// One broker of the world.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) disk: MemDisk,
    pub(crate) directory: Uuid,
    pub(crate) core: Option<Core<MemDisk>>,
    /// How often a process was started.
    pub(crate) life: Life,
    /// Whom it wants a stream to.
    pub(crate) peers: Vec<BrokerId>,
    pub(crate) inbox: Vec<Input>,
    pub(crate) wakes_at: Option<u64>,
    pub(crate) timer_at: Option<u64>,
    pub(crate) paused_until: u64,
    pub(crate) wall_offset_ms: i64,
    /// When each of the two sync threads is free.
    pub(crate) sync_free: [u64; 2],
    /// Volumes that were deleted, or lost, have no directory until the next start makes one.
    pub(crate) volume: bool,
    /// The next start ends after so many writes.
    pub(crate) dies_after: Option<u32>,
    /// The revision that its process runs, or ran last.
    pub(crate) runs: u64,
    /// The revision that it would come back as.
    pub(crate) template: u64,
    /// It was told to end, and is started again once it has.
    pub(crate) ending: bool,
    /// When its process last ended.
    pub(crate) ended: u64,
    /// The process ends in the middle of its next sync, and is started again so much later.
    pub(crate) dies_in_sync: Option<(Death, u64)>,
    /// The first sync of the next start takes its time.
    pub(crate) syncs_slowly: bool,
}

fn is_full(error: &OpenError) -> bool {
    matches!(error, OpenError::Log(LogOpenError::Disk(DiskError::Full { .. })))
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// The page cache stays.
    Killed,
    /// What was not synced goes, or stays in part.
    PowerLost,
}

impl World {
    /// Starts the process of a broker, if it does not run.
    pub(crate) fn start(&mut self, id: BrokerId) {
        let fresh =
            || Uuid::from_u64_pair(self.options.seed, self.trace.steps() << 20 | u64::from(id.0));
        let wanted = self.operator.wanted;
        let node = self.nodes.entry(id).or_insert_with(|| Node {
            disk: MemDisk::new(),
            directory: fresh(),
            core: None,
            life: 0,
            peers: Vec::new(),
            inbox: Vec::new(),
            wakes_at: None,
            timer_at: None,
            paused_until: 0,
            wall_offset_ms: 0,
            sync_free: [0; 2],
            volume: true,
            dies_after: None,
            runs: wanted,
            template: wanted,
            ending: false,
            ended: 0,
            dies_in_sync: None,
            syncs_slowly: false,
        });
        if node.core.is_some() {
            return;
        }
        if !node.volume {
            node.disk = MemDisk::new();
            node.directory = fresh();
            node.volume = true;
        }
        node.life += 1;
        (node.runs, node.ending) = (node.template, false);
        (node.paused_until, node.wakes_at, node.timer_at) = (0, None, None);
        node.sync_free = [0; 2];
        let (directory, disk, life) = (node.directory, node.disk.clone(), node.life);
        let dies_after = node.dies_after.take();
        let config = self.config(id, directory);
        let now = self.clock(&self.nodes[&id]);
        self.note(&format!("{id:?} starts, life {life}, directory {directory}"));
        disk.fail_writes_after(dies_after);
        let opened = catch_unwind(AssertUnwindSafe(|| Core::open(config, disk, now)));
        if dies_after.is_some() && opened.is_ok() {
            return self.die_in_recovery(id);
        }
        match opened {
            Ok(Ok((core, notes))) => {
                for note in notes {
                    self.coverage.count("recovery notes");
                    self.note(&format!("{id:?} recovery: {note}"));
                }
                self.node(id).core = Some(core);
                self.checks.started(id);
                self.after_flush(id);
            }
            Ok(Err(error)) => self.cannot_start(id, &error),
            Err(panic) => self.fail("no panic", format!("{id:?} at its start: {}", words(&*panic))),
        }
    }

    fn cannot_start(&mut self, id: BrokerId, error: &OpenError) {
        if self.checks.may_be_damaged(id) {
            self.note(&format!("{id:?} cannot start: {error}"));
            return self.wipe_damaged(id);
        }
        // What reading back writes may not fit. Its platform starts it until there is space.
        if self.node(id).disk.free_bytes() < FREE_BYTES_MIN && is_full(error) {
            self.coverage.count("starts without space");
            self.note(&format!("{id:?} cannot start yet: no space"));
            return self.later(1_000_000, Event::Start(id));
        }
        let cause = std::error::Error::source(error).map(ToString::to_string);
        self.fail("recovery", format!("{id:?} cannot start: {error}: {cause:?}"));
    }

    fn config(&self, id: BrokerId, directory: Uuid) -> Config {
        let mut limits = Limits { free_bytes_min: FREE_BYTES_MIN, ..Limits::default() };
        limits.log.wal_file_bytes = 256 << 10;
        limits.log.unflushed_bytes_max = 128 << 10;
        limits.log.reclaim_bytes = 128 << 10;
        if self.options.small_logs {
            limits.log.segment_bytes = 16 << 10;
            limits.log.segment_entries = 64;
            limits.log.flush_bytes = 2 << 10;
            limits.log.unflushed_bytes_max = 8 << 10;
            limits.log.wal_file_bytes = 16 << 10;
            limits.log.wal_files_max = 2;
            limits.log.reclaim_bytes = 8 << 10;
            limits.log.cache_bytes = 4 << 10;
        }
        let seeds = (1..=self.options.brokers).map(BrokerId).filter(|seed| *seed != id);
        Config {
            broker: id,
            directory,
            seed: self.options.seed,
            kafka_address: format!("b{id}:9092"),
            peer_address: format!("b{id}:9093"),
            rack: None,
            seeds: seeds.map(|seed| (seed, format!("b{seed}:9093"))).collect(),
            version: "sim".to_owned(),
            limits,
            logger: slog::Logger::root(slog::Discard, slog::o!()),
        }
    }

    /// Ends the process of a broker.
    pub(crate) fn stop(&mut self, id: BrokerId, death: Death) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.core.take().is_none() {
            return;
        }
        node.inbox.clear();
        node.peers.clear();
        node.ended = self.now;
        match death {
            Death::Killed => node.disk.kill(),
            Death::PowerLost => {
                let survives = self.chance.disk.range(0, 1_000_000);
                node.disk.crash(|| self.chance.disk.chance(survives));
                self.checks.unsynced_lost(self.now);
            }
        }
        let life = node.life;
        self.note(&format!("{id:?} life {life} ends: {death:?}"));
        self.checks.stopped(id);
        self.cut_streams_of(id, death);
        self.cut_connections_of(id);
    }

    pub(crate) fn node(&mut self, id: BrokerId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node that was started stays in the world")
    }

    /// Whether a process runs.
    pub(crate) fn runs(&self, id: BrokerId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.core.is_some())
    }

    /// Brokers whose process runs.
    pub(crate) fn running(&self) -> Vec<BrokerId> {
        self.nodes.keys().copied().filter(|id| self.runs(*id)).collect()
    }

    /// Lays an input before a node, which takes it up soon, with whatever else has come by then.
    pub(crate) fn input(&mut self, id: BrokerId, input: Input) {
        if !self.runs(id) {
            return;
        }
        let delay = self.chance.schedule.skewed(10, 800);
        let at = (self.now + delay).max(self.nodes[&id].paused_until);
        let node = self.node(id);
        node.inbox.push(input);
        if node.wakes_at.is_none() {
            node.wakes_at = Some(at);
            self.queue.at(at, Event::Wake(id));
        }
    }

    pub(crate) fn wake(&mut self, id: BrokerId) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.core.is_none() || node.wakes_at != Some(now) {
            return;
        }
        if node.paused_until > now {
            node.wakes_at = Some(node.paused_until);
            let at = node.paused_until;
            return self.queue.at(at, Event::Wake(id));
        }
        node.wakes_at = None;
        let mut inputs = std::mem::take(&mut node.inbox);
        let clock = self.clock(&self.nodes[&id]);
        let Some(core) = self.node(id).core.as_mut() else { return };
        let count = inputs.len();
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            for input in inputs.drain(..) {
                core.step(clock, input);
            }
            core.flush(clock);
        }));
        self.node(id).inbox = inputs;
        self.trace.absorb(&now.to_le_bytes());
        self.trace.absorb(&[u8::try_from(id.0).unwrap_or(0), u8::try_from(count).unwrap_or(0)]);
        match stepped {
            Ok(()) => self.after_flush(id),
            Err(panic) => self.fail("no panic", format!("{id:?}: {}", words(&*panic))),
        }
    }

    /// Checks what a node holds now, then does what it asks for.
    fn after_flush(&mut self, id: BrokerId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(core) = node.core.as_mut() else { return };
        let outputs: Vec<Output> = core.outputs().collect();
        let checked = self.checks.observe(id, core, self.now, &mut self.coverage);
        let deadline = core.next_deadline().map(|at| at.0);
        let now = self.now;
        if let Some(at) = deadline.map(|at| at.max(now + 1_000))
            && node.timer_at.is_none_or(|timer| timer > at || timer <= now)
        {
            node.timer_at = Some(at);
            self.queue.at(at, Event::Timer(id));
        }
        self.judge(checked);
        let life = self.nodes[&id].life;
        for output in outputs {
            if self.broken.is_some() || !self.runs(id) || self.nodes[&id].life != life {
                return;
            }
            self.carry_out(id, output);
        }
    }

    fn carry_out(&mut self, id: BrokerId, output: Output) {
        match output {
            Output::Reply { token, response } => self.reply(id, token, response),
            Output::Close(token) => self.reply(id, token, None),
            Output::Send { to, frame } => {
                let frame = joined(&frame);
                let judged = self.checks.sent(id, frame.clone(), self.now, &mut self.coverage);
                self.judge(judged);
                self.send(id, to, frame);
            }
            Output::Peers(peers) => {
                let peers: Vec<BrokerId> = peers.into_iter().map(|(peer, _)| peer).collect();
                self.node(id).peers.clone_from(&peers);
                for peer in peers {
                    self.later(1_000, Event::Dial(id, peer));
                }
            }
            Output::Sync { ticket, class, files, dirs } => {
                self.sync(id, ticket, class, files, dirs)
            }
            Output::AdminReply { token, result } => {
                let delay = self.chance.operator.skewed(200, 5_000);
                self.later(delay, Event::OrderDone(token, result));
            }
            Output::StepReply { .. } => {}
            Output::Drained => {
                self.note(&format!("{id:?} drained"));
                self.coverage.count("drained");
                self.stop(id, Death::Killed);
                self.drained(id);
            }
            Output::Wipe => {
                self.judge_wipe(id);
                self.note(&format!("{id:?} wipes its disk"));
                self.coverage.count("wipes");
                self.stop(id, Death::Killed);
                self.lose_disk(id);
                self.later(200_000, Event::Start(id));
            }
            Output::Fatal(reason) if self.checks.may_be_damaged(id) => {
                self.note(&format!("{id:?} cannot go on: {reason}"));
                self.wipe_damaged(id);
            }
            Output::Fatal(reason) => self.fail("no fatal error", format!("{id:?}: {reason}")),
        }
    }

    /// The disk of a broker is gone; whatever it held must never be heard of again.
    pub(crate) fn lose_disk(&mut self, id: BrokerId) {
        self.checks.disk_lost(id);
        self.checks.unsynced_lost(self.now);
        self.node(id).volume = false;
    }

    fn sync(
        &mut self,
        id: BrokerId,
        ticket: Ticket,
        class: SyncClass,
        files: Vec<FileId>,
        dirs: Vec<String>,
    ) {
        let rng = &mut self.chance.disk;
        let hostile = self.calm_since.is_none();
        if hostile && rng.chance(self.options.sync_fail) {
            // Whether the bytes are on the medium is not known: the process must not live on.
            self.coverage.count("failed syncs");
            self.note(&format!("{id:?} a sync fails"));
            self.stop(id, Death::PowerLost);
            return self.later(1_000_000, Event::Start(id));
        }
        let node = self.nodes.get_mut(&id).expect("only a node that runs asks for a sync");
        let mut takes = rng.skewed(100, self.options.sync_max);
        if hostile && rng.chance(self.options.sync_stall) {
            self.coverage.count("stalled syncs");
            takes += rng.range(200_000, 3_000_000);
        }
        if hostile && class == SyncClass::Wal && ticket.0 == 1 {
            let slow = std::mem::take(&mut node.syncs_slowly);
            if rng.chance(FIRST_SYNC_SLOW) || slow {
                // What the process before it had written is still on its way to the medium.
                takes += rng.range(20_000, 1_000_000);
            }
        }
        let mut dies = if class == SyncClass::Wal { node.dies_in_sync.take() } else { None };
        let cut =
            if hostile && class == SyncClass::Background { self.options.checkpoint_cut } else { 0 };
        if cut > 0 && rng.chance(cut) {
            self.coverage.count("checkpoints cut");
            takes += rng.range(50_000, 1_000_000);
            dies = Some((Death::PowerLost, rng.range(100_000, 1_000_000)));
        }
        // The medium has it early in the sync, or only at its end.
        let early = rng.chance(500_000);
        let (now, thread) = (self.now, usize::from(class == SyncClass::Background));
        if class == SyncClass::Background {
            self.coverage.count("checkpoint syncs");
        }
        if class == SyncClass::Wal
            && let Some(core) = &node.core
        {
            self.checks.sync_begins(id, ticket, core);
        }
        let begin = node.sync_free[thread].max(now);
        node.sync_free[thread] = begin + takes;
        let rest = if early {
            let _ = node.disk.sync_files(&files, &dirs);
            None
        } else {
            Some((files, dirs))
        };
        let life = node.life;
        if let Some((death, back_after)) = dies {
            let at = rng.range(now, begin + takes - 1);
            self.queue.at(at, Event::Dies(id, life, death, back_after));
        }
        self.queue.at(begin + takes, Event::Synced(id, life, ticket, rest));
    }

    pub(crate) fn synced(
        &mut self,
        id: BrokerId,
        life: Life,
        ticket: Ticket,
        rest: Option<(Vec<FileId>, Vec<String>)>,
    ) {
        if self.nodes.get(&id).is_none_or(|node| node.life != life || node.core.is_none()) {
            return;
        }
        if let Some((files, dirs)) = rest {
            let _ = self.nodes[&id].disk.sync_files(&files, &dirs);
        }
        self.checks.synced(id, ticket);
        self.input(id, Input::Synced(ticket));
    }

    pub(crate) fn timer(&mut self, id: BrokerId) {
        let now = self.now;
        if self.nodes.get(&id).is_some_and(|node| node.timer_at == Some(now)) {
            self.node(id).timer_at = None;
            self.input(id, Input::Tick);
        }
    }

    pub(crate) fn resume(&mut self, id: BrokerId) {
        self.note(&format!("{id:?} goes on"));
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// How long a process takes to be noticed as gone.
pub(crate) fn notice_max(death: Death) -> Micros {
    match death {
        Death::Killed => Micros::from_millis(20),
        Death::PowerLost => Micros::from_millis(2_000),
    }
}

//! The shape of one run, drawn from its seed: how large, how busy, how hostile. Runs differ in
//! kind, not only in chance: what never happens in one run lets other things go further.

use crate::prng::{Prng, Salt};
use crate::workload::Workload;

/// The shape of one run. Times in microseconds, chances in a million.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The seed of everything.
    pub seed: u64,
    /// Brokers at the birth of the cluster.
    pub brokers: u32,
    /// How many brokers are wanted later, one after the other.
    pub resizes: Vec<u32>,
    /// Topics; each with up to `partitions_max` partitions.
    pub topics: u32,
    /// Partitions of a topic at most.
    pub partitions_max: u32,
    /// Producers.
    pub producers: u32,
    /// Consumers.
    pub consumers: u32,
    /// How long things go wrong.
    pub hostile_for: u64,
    /// The longest ordinary delay of a frame.
    pub net_delay_max: u64,
    /// Chance of each frame to break its stream.
    pub net_break: u64,
    /// The longest ordinary sync.
    pub sync_max: u64,
    /// Chance of a sync to take seconds.
    pub sync_stall: u64,
    /// Chance of a sync to fail, which ends the process.
    pub sync_fail: u64,
    /// Chance of a checkpoint's sync to be slow, and to end with a loss of power.
    pub checkpoint_cut: u64,
    /// Chance of a frame with a snapshot to be lost with its stream.
    pub snapshot_loss: u64,
    /// What can go wrong, with its weight.
    pub faults: Vec<(FaultKind, u64)>,
    /// Between two faults at most.
    pub fault_gap_max: u64,
    /// Chance of the operator to die after each of its steps.
    pub operator_dies: u64,
    /// Whether logs roll, checkpoint and recycle all the time.
    pub small_logs: bool,
    /// Chance of each frame to have messages that come by a call of their own as well, or instead.
    pub net_calls: u64,
    /// The other clients.
    pub workload: Workload,
    /// Replicas of each partition that a client makes.
    pub replicas: i16,
    /// When all brokers are wanted to run something newer, from the beginning on.
    pub rolls: Vec<u64>,
    /// Chance of a lost disk to be lost with its node: the broker comes back only once the plan has
    /// given the disk up.
    pub nodes_go: u64,
    /// Whether the volume of a broker that was removed is deleted.
    pub deletes_volumes: bool,
    /// How many brokers are wanted after all, and when, from the beginning on.
    pub second_thoughts: Vec<(u64, u32)>,
    /// Chance of each order of the operator to reach its broker late.
    pub late_orders: u64,
    /// The longest time between two orders of an operator that is gone; 0 if there are none.
    pub stray_orders: u64,
    /// When, from the beginning on, the manifest asks for another rate of catching up, and for how
    /// many bytes a second.
    pub catch_up_rates: Vec<(u64, u64)>,
}

/// What can go wrong, beside what goes wrong by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A process is killed; the page cache stays.
    Kill,
    /// Power is lost; unsynced bytes go, or stay in part.
    PowerLoss,
    /// Power is lost on all brokers at once.
    Blackout,
    /// A process stands still for a while.
    Pause,
    /// A process is asked to stop, and is started again.
    Shutdown,
    /// Two groups of brokers do not hear each other.
    Partition,
    /// One broker is not heard by another.
    OneWay,
    /// A stream breaks.
    Break,
    /// A wall clock steps.
    ClockStep,
    /// A disk is full for a while.
    DiskFull,
    /// A broker loses its disk.
    LoseDisk,
    /// Bits of a disk flip.
    Rot,
    /// A link is slow, though it carries everything.
    Clog,
    /// A link loses one kind of message.
    Mute,
    /// A process is killed, and again while it reads its logs back.
    KillInRecovery,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 15] = [
        FaultKind::Kill,
        FaultKind::PowerLoss,
        FaultKind::Blackout,
        FaultKind::Pause,
        FaultKind::Shutdown,
        FaultKind::Partition,
        FaultKind::OneWay,
        FaultKind::Break,
        FaultKind::ClockStep,
        FaultKind::DiskFull,
        FaultKind::LoseDisk,
        FaultKind::Rot,
        FaultKind::Clog,
        FaultKind::Mute,
        FaultKind::KillInRecovery,
    ];

    /// Its name, for the command line and the counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Kill => "kill",
            FaultKind::PowerLoss => "power-loss",
            FaultKind::Blackout => "blackout",
            FaultKind::Pause => "pause",
            FaultKind::Shutdown => "shutdown",
            FaultKind::Partition => "partition",
            FaultKind::OneWay => "one-way",
            FaultKind::Break => "break",
            FaultKind::ClockStep => "clock-step",
            FaultKind::DiskFull => "disk-full",
            FaultKind::LoseDisk => "lose-disk",
            FaultKind::Rot => "rot",
            FaultKind::Clog => "clog",
            FaultKind::Mute => "mute",
            FaultKind::KillInRecovery => "kill-in-recovery",
        }
    }
}

const SECOND: u64 = 1_000_000;

impl Options {
    /// The run of `seed`.
    #[must_use]
    pub fn swarm(seed: u64) -> Options {
        let rng = &mut Prng::new(seed, Salt::Options);
        let brokers: u32 = *rng.pick(&[1, 3, 3, 3, 3, 4, 5]).unwrap_or(&3);
        let mut size = brokers;
        let resizes = (0..rng.range(0, 3)).map(|_| {
            size = match rng.range(0, 2) {
                0 => size + 1,
                1 => size + 2,
                _ => size.saturating_sub(1),
            };
            size = size.clamp(if brokers >= 3 { 3 } else { 1 }, 6);
            size
        });
        let resizes = resizes.collect();
        let faults = FaultKind::ALL
            .into_iter()
            .filter_map(|kind| {
                let weight = rng.range(0, 12).saturating_sub(4);
                (weight > 0).then_some((kind, weight))
            })
            .collect();
        let mut options = Options {
            seed,
            brokers,
            resizes,
            topics: u32_of(rng.range(1, 3)),
            partitions_max: u32_of(rng.range(1, 4)),
            producers: u32_of(rng.range(1, 5)),
            consumers: u32_of(rng.range(1, 3)),
            hostile_for: rng.range(15, 45) * SECOND,
            net_delay_max: rng.skewed(500, 60_000),
            net_break: rng.range(0, 3).saturating_sub(1) * rng.range(0, 2_000),
            sync_max: rng.skewed(300, 40_000),
            sync_stall: rng.range(0, 2).saturating_sub(1) * 1_000,
            sync_fail: rng.range(0, 2).saturating_sub(1) * 300,
            checkpoint_cut: 0,
            snapshot_loss: 0,
            faults,
            fault_gap_max: rng.range(1, 8) * SECOND,
            operator_dies: rng.range(0, 1) * 200_000,
            small_logs: rng.range(0, 3) > 0,
            net_calls: rng.range(0, 3).saturating_sub(2) * 20_000,
            workload: Workload::swarm(seed),
            replicas: if brokers >= 3 { 3 } else { 1 },
            rolls: Vec::new(),
            nodes_go: 500_000,
            deletes_volumes: false,
            second_thoughts: Vec::new(),
            late_orders: 0,
            stray_orders: 0,
            catch_up_rates: Vec::new(),
        };
        // Drawn last and by themselves: all else stays as it was before there were any.
        let rng = &mut Prng::new(seed, Salt::Rolls);
        let count = *rng.pick(&[0, 0, 1, 1, 2]).unwrap_or(&0);
        options.rolls = (0..count).map(|_| rng.range(2 * SECOND, options.hostile_for)).collect();
        options.deletes_volumes = rng.chance(400_000);
        // One writer of the rate at a time: the plan puts back what others set.
        if !options.workload.limits && rng.chance(500_000) {
            let at = (0..rng.range(1, 2)).map(|n| n * rng.range(2 * SECOND, options.hostile_for));
            let at: Vec<u64> = at.collect();
            options.catch_up_rates = at.into_iter().map(|at| (at, catch_up_rate(rng))).collect();
        }
        options.hands().aimed()
    }

    /// In half of the runs one thing goes wrong at the moment when it hurts: by chance alone it would
    /// do so in one of hundreds. Drawn by itself, as `hands` is.
    fn aimed(mut self) -> Options {
        let rng = &mut Prng::new(self.seed, Salt::Aims);
        match rng.range(0, 5) {
            0 => (self.checkpoint_cut, self.small_logs) = (100_000, true),
            1 => self.snapshot_loss = 400_000,
            // Elections whose first entry waits for a disk.
            2 => self.sync_stall = 20_000,
            _ => {}
        }
        self
    }

    /// What people and former operators do to a cluster at the wrong moment: drawn last and by itself.
    fn hands(mut self) -> Options {
        let rng = &mut Prng::new(self.seed, Salt::Hands);
        let gap = self.hostile_for / (self.resizes.len() as u64 + 1);
        let sizes = std::iter::once(&self.brokers).chain(&self.resizes);
        for (n, (before, after)) in (1u64..).zip(sizes.zip(&self.resizes)) {
            let mut at = gap * n;
            for turn in 0..rng.range(0, 6).saturating_sub(2) {
                at += rng.skewed(50_000, 4 * SECOND);
                let size = if turn % 2 == 0 { *before } else { *after };
                self.second_thoughts.push((at, size));
            }
        }
        self.late_orders = rng.range(0, 2).saturating_sub(1) * 100_000;
        self.stray_orders = rng.range(0, 2).saturating_sub(1) * rng.range(1, 4) * SECOND;
        if self.stray_orders > 0 && self.brokers >= 3 {
            // Where each replica has more than one place to be.
            self.brokers = self.brokers.max(u32_of(rng.range(4, 5)));
        }
        self
    }

    /// The parts of a run that can be left out one by one: faults first, then what goes wrong by
    /// itself, then clients.
    pub const PARTS: &'static [&'static str] = &[
        "blackout",
        "lose-disk",
        "rot",
        "power-loss",
        "kill-in-recovery",
        "kill",
        "pause",
        "shutdown",
        "partition",
        "one-way",
        "break",
        "clock-step",
        "disk-full",
        "clog",
        "mute",
        "gone-nodes",
        "resizes",
        "rolls",
        "deleted-volumes",
        "second-thoughts",
        "late-orders",
        "stray-orders",
        "rates",
        "operator-deaths",
        "net-breaks",
        "net-calls",
        "sync-stalls",
        "sync-failures",
        "checkpoint-cuts",
        "snapshot-losses",
        "small-logs",
        "consumers",
        "members",
        "churners",
        "tuners",
        "cleaners",
        "limits",
        "acks-one",
        "relaxed",
        "windows",
    ];

    /// This run without some of its parts; names that are no parts change nothing.
    #[must_use]
    pub fn without(mut self, parts: &[&str]) -> Options {
        let is_in = |name: &str| !parts.contains(&name);
        self.faults.retain(|(kind, _)| is_in(kind.name()));
        for part in parts {
            match *part {
                "gone-nodes" => self.nodes_go = 0,
                "resizes" => self.resizes.clear(),
                "rolls" => self.rolls.clear(),
                "deleted-volumes" => self.deletes_volumes = false,
                "second-thoughts" => self.second_thoughts.clear(),
                "late-orders" => self.late_orders = 0,
                "stray-orders" => self.stray_orders = 0,
                "rates" => self.catch_up_rates.clear(),
                "operator-deaths" => self.operator_dies = 0,
                "net-breaks" => self.net_break = 0,
                "net-calls" => self.net_calls = 0,
                "sync-stalls" => self.sync_stall = 0,
                "sync-failures" => self.sync_fail = 0,
                "checkpoint-cuts" => self.checkpoint_cut = 0,
                "snapshot-losses" => self.snapshot_loss = 0,
                "small-logs" => self.small_logs = false,
                "consumers" => self.consumers = 0,
                "members" => self.workload.members = 0,
                "churners" => self.workload.churners = 0,
                "tuners" => self.workload.tunes = false,
                "cleaners" => self.workload.deletes_records = false,
                "limits" => self.workload.limits = false,
                "acks-one" => self.workload.acks_one = false,
                "relaxed" => self.workload.relaxed = false,
                "windows" => self.workload.windows = false,
                _ => {}
            }
        }
        self
    }

    /// This run with so many seconds in which things go wrong.
    #[must_use]
    pub fn hostile_for(mut self, seconds: u64) -> Options {
        self.hostile_for = seconds * SECOND;
        self
    }
}

/// Bytes a second that replicas may catch up at: more than all producers write, or nobody ever would,
/// and too little for the larger moves to go unnoticed.
pub(crate) fn catch_up_rate(rng: &mut Prng) -> u64 {
    CATCH_UP_RATE_MIN << rng.range(0, 1)
}

/// The busiest runs write a quarter of it.
const CATCH_UP_RATE_MIN: u64 = 256 << 10;

fn u32_of(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

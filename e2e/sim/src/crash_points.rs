//! The operator dies after its k-th side effect, for every k, in the lives of clusters in which
//! nothing else goes wrong. Whoever comes after it has to end where it would have ended, and none of
//! the invariants may break on the way.
//!
//! A life is run once without a death, to count its side effects, and then once for each of them and
//! each [`Moment`] at which the operator can die of it. Up to its death it does the same each time.

use std::fmt;
use std::str::FromStr;

use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, PartitionId};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::raft::group::Role;

use crate::event::Event;
use crate::node::Death;
use crate::world::World;
use crate::{Options, Report, STEPS_MAX, Workload};

/// The seed of lives where none is asked for. Each has its own order of things in each life.
pub const SEED: u64 = 1;

/// Counts what operators have done: calls to brokers, and steps of the platform.
pub(crate) const SIDE_EFFECTS: &str = "operator side effects";
/// What a run breaks in which the operator did not die where it was to: nothing was tried.
pub(crate) const NEVER: &str = "crash point";

/// When an operator dies of a side effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has asked for it, and never sees the answer. The next one begins before anything came of it.
    Sent,
    /// It has seen the answer, and not done anything since.
    Answered,
}

/// The death of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) effect: u64,
    pub(crate) moment: Moment,
}

/// What is asked of a cluster that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// So many brokers.
    Size(u32),
    /// The leader of `__meta` comes back without its disk.
    LoseDisk,
    /// The leader of `__meta` does not come back, until its disk is given up.
    LoseNode,
    /// All brokers run something newer.
    Roll,
}

/// The life of a cluster.
#[derive(Debug)]
pub struct Life {
    /// Its name.
    pub name: &'static str,
    brokers: u32,
    /// Of each partition that clients make.
    replicas: i16,
    deletes_volumes: bool,
    stages: &'static [Stage],
}

const fn life(name: &'static str, brokers: u32, stages: &'static [Stage]) -> Life {
    let replicas = if brokers < 3 { 1 } else { 3 };
    Life { name, brokers, replicas, deletes_volumes: false, stages }
}

/// All lives.
pub const LIVES: &[Life] = &[
    life("birth-1", 1, &[]),
    life("birth-3", 3, &[]),
    life("birth-5", 5, &[]),
    life("1-3", 1, &[Stage::Size(3)]),
    life("3-5", 3, &[Stage::Size(5)]),
    Life { deletes_volumes: true, ..life("5-3", 5, &[Stage::Size(3)]) },
    Life { replicas: 1, ..life("3-1-3", 3, &[Stage::Size(1), Stage::Size(3)]) },
    life("lost-disk", 3, &[Stage::LoseDisk]),
    life("lost-node", 3, &[Stage::LoseNode]),
    life("roll", 3, &[Stage::Roll]),
];

impl Life {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Life> {
        LIVES.iter().find(|life| life.name == name)
    }

    /// The life in which nobody dies.
    #[must_use]
    pub fn run(&self, seed: u64, echo: bool) -> Report {
        self.run_without(&[], seed, echo)
    }

    /// The same, without a look at these invariants.
    #[must_use]
    pub fn run_without(&self, invariants: &[&'static str], seed: u64, echo: bool) -> Report {
        self.world(seed, None, echo).without(invariants).run(STEPS_MAX)
    }

    /// All points of a life in which operators have so many side effects.
    #[must_use]
    pub fn points(&'static self, effects: u64) -> Vec<Point> {
        let both = |effect| {
            [Moment::Sent, Moment::Answered].map(|moment| Point { life: self, effect, moment })
        };
        (1..=effects).flat_map(both).collect()
    }

    fn world(&self, seed: u64, crash: Option<Crash>, echo: bool) -> World {
        let mut world = World::new(self.options(seed), echo);
        world.operator.crash = crash;
        world.stages = self.stages.iter().copied().collect();
        // Whatever is asked of it, it has to be whole again in the time that a healed one has.
        world.calm_since = Some(world.now);
        world
    }

    /// A run in which nothing goes wrong by itself, with few clients.
    fn options(&self, seed: u64) -> Options {
        const SECOND: u64 = 1_000_000;
        Options {
            seed,
            brokers: self.brokers,
            resizes: Vec::new(),
            topics: 2,
            partitions_max: 2,
            producers: 2,
            consumers: 1,
            hostile_for: 86_400 * SECOND,
            net_delay_max: 2_000,
            net_break: 0,
            sync_max: 2_000,
            sync_stall: 0,
            sync_fail: 0,
            checkpoint_cut: 0,
            snapshot_loss: 0,
            faults: Vec::new(),
            fault_gap_max: SECOND,
            operator_dies: 0,
            small_logs: true,
            net_calls: 0,
            workload: Workload { members: 1, groups: 1, ..Workload::default() },
            replicas: self.replicas,
            rolls: Vec::new(),
            nodes_go: 0,
            deletes_volumes: self.deletes_volumes,
            second_thoughts: Vec::new(),
            late_orders: 0,
            stray_orders: 0,
            catch_up_rates: Vec::new(),
        }
    }
}

/// One death of one operator.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// In which life.
    pub life: &'static Life,
    /// After which of its side effects, from 1 on.
    pub effect: u64,
    /// And when.
    pub moment: Moment,
}

impl Point {
    /// The life with this death.
    #[must_use]
    pub fn run(&self, seed: u64, echo: bool) -> Report {
        self.run_without(&[], seed, echo)
    }

    /// The same, without a look at these invariants.
    #[must_use]
    pub fn run_without(&self, invariants: &[&'static str], seed: u64, echo: bool) -> Report {
        let crash = Crash { effect: self.effect, moment: self.moment };
        self.life.world(seed, Some(crash), echo).without(invariants).run(STEPS_MAX)
    }
}

/// How many side effects the operators of a run had.
#[must_use]
pub fn effects(report: &Report) -> u64 {
    report.coverage.of(SIDE_EFFECTS)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Moment::Sent => "sent",
            Moment::Answered => "answered",
        })
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "side effect {}, {}", self.effect, self.moment)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.life.name, self.effect, self.moment)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Point, String> {
        let mut parts = text.split(':');
        let (Some(life), Some(effect), Some(moment), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("a point is LIFE:EFFECT:MOMENT, as in 3-5:12:sent".to_owned());
        };
        let names = || LIVES.iter().map(|life| life.name).collect::<Vec<_>>().join(", ");
        Ok(Point {
            life: Life::named(life)
                .ok_or_else(|| format!("no life {life}; there are {}", names()))?,
            effect: effect.parse().map_err(|error| format!("effect {effect}: {error}"))?,
            moment: match moment {
                "sent" => Moment::Sent,
                "answered" => Moment::Answered,
                _ => return Err(format!("no moment {moment}; there are sent and answered")),
            },
        })
    }
}

impl World {
    /// Asks the next thing of a cluster that is whole; what it has to do now, if there is one.
    pub(crate) fn next_stage(&mut self) -> Option<String> {
        let stage = *self.stages.front()?;
        let loses = matches!(stage, Stage::LoseDisk | Stage::LoseNode);
        if loses && !self.may_lose_a_disk() {
            return Some("no disk may be lost yet".to_owned());
        }
        self.stages.pop_front();
        self.note(&format!("next: {stage:?}"));
        match stage {
            Stage::Size(brokers) => self.operator.desired.brokers = brokers,
            Stage::LoseDisk => {
                let id = self.leader_of_meta();
                self.stop(id, Death::PowerLost);
                self.lose_disk(id);
                self.operator.lost = Some(id);
                self.later(1_000_000, Event::Start(id));
            }
            Stage::LoseNode => self.lose_node(self.leader_of_meta()),
            Stage::Roll => self.want_newer(),
        }
        // What the operator has seen so far was before this.
        self.operator.converged = false;
        self.rest();
        self.calm_since = Some(self.now);
        Some(format!("{stage:?} has just begun"))
    }

    fn leader_of_meta(&self) -> BrokerId {
        let leads = |core: &Core<MemDisk>| {
            let mut views = core.replica_views();
            views.any(|view| view.id == PartitionId::META && view.role == Role::Leader)
        };
        let mut nodes = self.nodes.iter();
        nodes.find(|(_, node)| node.core.as_ref().is_some_and(leads)).map_or(BrokerId(1), |n| *n.0)
    }
}

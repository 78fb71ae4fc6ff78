//! What is done to a cluster, in the order in which it is done. Each scenario begins and ends with
//! the cluster of `examples/three-brokers.yaml` at rest.

mod balancers;
mod baseline;
mod certificates;
mod exits;
mod faults;
mod install;
mod lifecycle;
mod listeners;
mod lost;
mod operator;
mod policy;
mod racks;
mod refusals;
mod roll;
mod size;
mod topics;

use anyhow::{Result, bail};

use crate::kube::world::World;

/// One thing that has to hold.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What is done.
    pub what: &'static str,
    /// Verbs of the provider without which it cannot run.
    pub needs: &'static [&'static str],
    /// Part of the short form.
    pub is_short: bool,
    /// Does it.
    pub run: fn(&mut World) -> Result<()>,
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    install::INSTALL,
    baseline::BASELINE,
    refusals::AT_THE_API,
    refusals::IN_STATUS,
    size::UP_AND_DOWN,
    size::CANCELLED,
    size::ONE,
    roll::CONFIG,
    roll::IMAGE,
    roll::BROKEN_IMAGE,
    roll::DRAIN,
    faults::KILL_PROCESS,
    faults::DELETE_PODS,
    faults::DELETE_SETS,
    faults::POWER_OFF,
    faults::CUT,
    lost::FOR_GOOD,
    lost::WHILE_SHRINKING,
    certificates::ROTATED,
    certificates::LOST,
    operator::REPLACED,
    operator::TWO,
    exits::EXITS,
    operator::WIPED_STATUS,
    operator::UPGRADED,
    operator::NO_API,
    operator::QUIET,
    racks::LABELS,
    listeners::OUTSIDE,
    balancers::BALANCED,
    policy::POLICY,
    topics::OBJECTS,
    topics::NAMESPACE,
    lifecycle::RECREATED,
    lifecycle::NAMESPACE,
];

/// An error unless it holds.
fn ensure(holds: bool, what: impl Into<String>) -> Result<()> {
    if holds { Ok(()) } else { bail!(what.into()) }
}

//! The operator without IO: what is wanted and what is seen in; the next steps, what is waited for,
//! or a refusal with numbers out.
//!
//! [`plan`] holds no state and never waits: a pass that is lost, repeated or made from an old view
//! costs time, never data. Talking to brokers, starting processes and telling people is left to
//! `chronik-operator`. Invariants: nothing here shrinks a cluster because something is unknown; no
//! member is stopped; no change of membership is proposed that lacks a majority on either side.

mod birth;
mod desired;
mod membership;
mod meta_group;
mod moves;
pub mod mutant;
mod observed;
mod outcome;
mod processes;
mod replace;
mod roll;
mod safety;
mod size;
mod step;
mod throttle;
mod told;
pub mod topic;
mod view;

pub use desired::{Desired, Rolling, VolumePolicy};
pub use observed::{
    BrokerId, Conf, Group, META_TOPIC, Member, Meta, Node, NodeState, Observed, PeerId, Process,
    Progress, Revision, broker_of,
};
pub use outcome::{Operation, Plan, Refusal, Wait};
pub use step::{Change, Step};

use view::{Sight, View};

/// Groups that may be on the move to a new target at the same time.
pub const MOVES_MAX: usize = 8;
/// The most voters that `__meta` ever has.
pub const META_VOTERS_MAX: usize = 5;

/// The voters of `__meta` that so many brokers carry: the largest odd number that fits.
#[must_use]
pub fn meta_voters(brokers: usize) -> usize {
    let most = brokers.min(META_VOTERS_MAX);
    if most.is_multiple_of(2) { most.saturating_sub(1) } else { most }
}

/// What to do next, given what is wanted and what was seen in one pass.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    if let Some(refusal) = birth::conflicting_ids(observed) {
        plan.refused.push(refusal);
        return plan;
    }
    match view::look(observed) {
        Sight::NoCluster => {
            birth::plan(desired, observed, &mut plan);
            roll::replace_idle(observed, &mut plan);
        }
        Sight::NoLeader { image } => {
            processes::revive(observed, image, &mut plan);
            roll::replace_idle(observed, &mut plan);
        }
        Sight::Leader(view) => plan_cluster(desired, &view, &mut plan),
    }
    safety::guard(desired, observed, &mut plan);
    plan
}

fn plan_cluster(desired: &Desired, view: &View<'_>, plan: &mut Plan) {
    let size = size::decide(desired, view, plan);
    processes::plan(desired, view, &size, plan);
    size::record_intent(view, &size, plan);
    let meta_settled = meta_group::plan(view, &size, plan);
    throttle::plan(desired, view, plan);
    let moving = moves::plan(view, plan);
    told::plan(desired, view, plan);
    if !view.meta.open && meta_settled {
        plan.steps.extend(birth::complete(desired, view));
    }
    if !size.leaving.is_empty() {
        size::shrink(view, &size, plan);
    } else if meta_settled && moving == 0 && plan.steps.is_empty() {
        size::rebalance(view, &size, plan);
    }
    roll::plan(desired.rolling, view, &size, plan);
    replace::plan(view, plan);
    plan.operation = view::operation(view, &size, meta_settled)
        .or_else(|| replace::operation(view))
        .or_else(|| roll::operation(desired.rolling, view));
    plan.spare = roll::any_could_stop(view);
}

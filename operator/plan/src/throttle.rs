//! How fast replicas catch up and move: what the manifest says is told to the cluster, before anything
//! moves. Brokers keep to it.

use crate::desired::Desired;
use crate::mutant::{self, Mutant};
use crate::outcome::Plan;
use crate::step::Step;
use crate::view::View;

/// Tells the cluster of a rate that is not its own.
pub(crate) fn plan(desired: &Desired, view: &View<'_>, plan: &mut Plan) {
    let Some(bytes_per_second) = desired.catch_up_rate else { return };
    let told = mutant::is(Mutant::TellRateOnce) && view.meta.catch_up_rate.is_some();
    if view.meta.catch_up_rate != Some(bytes_per_second) && !told {
        plan.steps.push(Step::SetCatchUpRate { to: view.leader, bytes_per_second });
    }
}

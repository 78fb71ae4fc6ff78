//! Birth: one call to one broker, and only when nothing speaks against it. Any initialized broker
//! proves that the cluster exists, and then nobody is ever initialized again.

use std::collections::BTreeSet;

use crate::desired::Desired;
use crate::mutant::{self, Mutant};
use crate::observed::{BrokerId, NodeState, Observed};
use crate::outcome::{Operation, Plan, Refusal, Wait};
use crate::step::Step;
use crate::view::View;

/// Brokers of two clusters under one name: nothing is safe.
pub(crate) fn conflicting_ids(observed: &Observed) -> Option<Refusal> {
    let mut named = observed.nodes.iter().filter_map(|(id, n)| Some((id, n.cluster_id.as_ref()?)));
    let (first, cluster) = named.next()?;
    let (other, theirs) = named.find(|(_, c)| *c != cluster)?;
    Some(Refusal {
        field: "cluster id".into(),
        value: theirs.clone(),
        reason: format!(
            "broker {other} belongs to cluster {theirs} and broker {first} to cluster {cluster}; \
             take away the data directory that is in the wrong place"
        ),
    })
}

/// Nobody who answers belongs to a cluster: start what is there, ask all, then form it.
pub(crate) fn plan(desired: &Desired, observed: &Observed, plan: &mut Plan) {
    let existing = observed.processes.iter().filter(|(_, p)| p.running || p.volume);
    let existing: BTreeSet<BrokerId> = existing.map(|(id, _)| *id).collect();
    let mut involved = existing.clone();
    if !observed.formed {
        involved.extend(1..=desired.brokers);
    }
    let asked = |id: &BrokerId| observed.nodes.contains_key(id);
    if observed.formed && (existing.is_empty() || existing.iter().all(asked)) {
        plan.refused.push(lost(desired));
        return;
    }
    let running = |id: &BrokerId| observed.processes.get(id).is_some_and(|p| p.running);
    plan.steps.extend(involved.iter().filter(|id| !running(id)).map(|id| Step::Start(*id)));
    plan.operation = Some(Operation::Form);
    if let Some(step) = unasked(desired, observed) {
        plan.steps.push(step);
        return;
    }
    let silent: Vec<BrokerId> = involved.iter().filter(|id| !asked(id)).copied().collect();
    if !silent.is_empty() {
        plan.waiting.push(Wait::Answer { brokers: silent });
    } else if plan.steps.is_empty()
        && is_unanimous(desired, observed)
        && let Some(lowest) = involved.first()
    {
        plan.steps.push(Step::Initialize {
            to: *lowest,
            cluster_id: desired.cluster_id.clone(),
            brokers: desired.brokers,
        });
    }
}

/// `__meta` has its size and produce is still refused: the size was changed before the cluster was
/// complete. The leader is told the size that it is complete at; it knows this cluster already.
pub(crate) fn complete(desired: &Desired, view: &View<'_>) -> Option<Step> {
    let cluster_id = view.observed.nodes.get(&view.leader)?.cluster_id.clone()?;
    let all_there = view.meta.brokers.len() == desired.brokers as usize;
    let step = Step::Initialize { to: view.leader, cluster_id, brokers: desired.brokers };
    all_there.then_some(step)
}

/// Every wanted broker, and every other that exists, answered `Uninitialized` in this very pass.
pub(crate) fn is_unanimous(desired: &Desired, observed: &Observed) -> bool {
    let existing = observed.processes.iter().filter(|(_, p)| p.running || p.volume);
    let must_answer = existing.map(|(id, _)| *id).chain(1..=desired.brokers);
    let blank =
        |id: BrokerId| observed.nodes.get(&id).is_some_and(|n| n.state == NodeState::Uninitialized);
    let unasked = mutant::is(Mutant::InitializeUnasked);
    unasked
        || !observed.formed
            && must_answer.into_iter().all(blank)
            && observed.nodes.values().all(|n| n.cluster_id.is_none())
}

/// The mistake of taking those who answer for all that there are.
fn unasked(desired: &Desired, observed: &Observed) -> Option<Step> {
    let lowest = observed.nodes.keys().next().filter(|_| mutant::is(Mutant::InitializeUnasked))?;
    let cluster_id = desired.cluster_id.clone();
    Some(Step::Initialize { to: *lowest, cluster_id, brokers: desired.brokers })
}

fn lost(desired: &Desired) -> Refusal {
    Refusal {
        field: "cluster id".into(),
        value: desired.cluster_id.clone(),
        reason: format!(
            "the cluster was formed before, and none of its {} data directories is left; put them \
             back, or delete the cluster's remains to begin anew",
            desired.brokers
        ),
    }
}

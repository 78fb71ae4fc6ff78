//! A member whose volume will not come back: the volume is given up, and the broker takes its place
//! again with an empty one, as a new incarnation. Silence is no proof of a loss: the platform, or
//! somebody who knows, has to say so. It is given up only while the cluster has all of its records without it.

use crate::observed::{BrokerId, Process};
use crate::outcome::{Operation, Plan, Refusal, Wait};
use crate::roll;
use crate::step::Step;
use crate::view::View;

/// One at a time, the lowest first, and nothing else meanwhile.
pub(crate) fn plan(view: &View<'_>, plan: &mut Plan) {
    for id in said_lost(view) {
        if view.observed.nodes.contains_key(&id) {
            plan.refused.push(Refusal {
                field: "volume of broker".into(),
                value: id.to_string(),
                reason: "is said to be lost, and the broker answers; take the word back".into(),
            });
        }
    }
    let Some(next) = next(view) else { return };
    match obstacle(view, plan, next) {
        None => plan.steps.push(Step::Replace(next)),
        Some(why) => plan.waiting.push(Wait::Replace { broker: next, why }),
    }
}

/// What it is for, if one is given up.
pub(crate) fn operation(view: &View<'_>) -> Option<Operation> {
    next(view).map(Operation::Replace)
}

fn said_lost(view: &View<'_>) -> impl Iterator<Item = BrokerId> {
    let is_lost = |id: &BrokerId| view.observed.processes.get(id).is_some_and(|p| p.lost);
    view.meta.brokers.keys().copied().filter(is_lost)
}

fn next(view: &View<'_>) -> Option<BrokerId> {
    said_lost(view).find(|id| !view.observed.nodes.contains_key(id))
}

fn obstacle(view: &View<'_>, plan: &Plan, id: BrokerId) -> Option<String> {
    let Process { idle, .. } = view.observed.processes.get(&id).copied().unwrap_or_default();
    if !idle {
        return Some("something of it may run yet".into());
    }
    if let Some(step) = plan.steps.first() {
        return Some(format!("first: {step}"));
    }
    roll::obstacle(view, id).or_else(|| {
        // A restart may make these wait; without its disk they would for ever.
        let needed = view.observed.nodes.values().filter_map(|node| node.needed.get(&id));
        let needed: u32 = needed.sum();
        (needed > 0).then(|| format!("{needed} groups of one or two replicas cannot do without it"))
    })
}

//! A rolling change: brokers that run something older than the manifest asks for are restarted, one
//! after the other: those that serve nobody first, then the others, whoever leads `__meta` last. A
//! broker that does not come back stops it, because the next one waits for all others. Leaderships
//! are handed over by the broker itself when it is told to end.

use crate::desired::Rolling;
use crate::mutant::{self, Mutant};
use crate::observed::{BrokerId, NodeState, Observed, Process, Revision};
use crate::outcome::{Operation, Plan, Wait};
use crate::size::Size;
use crate::step::Step;
use crate::view::View;

/// A broker that cannot come up as what it is can be replaced whatever else is wrong: it may be what
/// is wrong. One that is being started is left alone: it comes back as what it was, and what is asked
/// for now may be worse.
pub(crate) fn replace_idle(observed: &Observed, plan: &mut Plan) {
    let mut idle = observed.processes.iter().filter(|(_, p)| may_be_replaced(p));
    if let Some((id, _)) = idle.next() {
        plan.steps.push(Step::Update(*id));
    }
}

/// The next broker, once nothing else is going on and all others are well.
pub(crate) fn plan(rolling: Rolling, view: &View<'_>, size: &Size, plan: &mut Plan) {
    let hurries = mutant::is(Mutant::HurryRoll);
    let is_calm = plan.steps.is_empty() && plan.waiting.is_empty() && size.leaving.is_empty();
    let before = plan.steps.len();
    replace_idle(view.observed, plan);
    if plan.steps.len() > before || !(is_calm || hurries) || rolling.paused {
        return;
    }
    let Some(next) = next(view) else { return };
    let obstacle = obstacle(view, next).filter(|_| !hurries);
    match (obstacle, settling(rolling, view, next)) {
        (Some(why), _) => plan.waiting.push(Wait::Roll { broker: next, why }),
        (None, Some(other)) => {
            plan.waiting.push(Wait::Settle { broker: next, other, seconds: rolling.wait_s })
        }
        (None, None) => plan.steps.push(Step::Update(next)),
    }
}

/// Another broker that has not been ready for as long as the user wants.
fn settling(rolling: Rolling, view: &View<'_>, next: BrokerId) -> Option<BrokerId> {
    let is_young = |id: &BrokerId| {
        let process = view.observed.processes.get(id);
        process.and_then(|p| p.ready_for_s).is_some_and(|s| s < rolling.wait_s)
    };
    view.meta.brokers.keys().copied().filter(|id| *id != next).find(is_young)
}

/// How far a rolling change is, if there is one.
pub(crate) fn operation(rolling: Rolling, view: &View<'_>) -> Option<Operation> {
    let members = view.meta.brokers.keys().filter_map(|id| view.observed.processes.get(id));
    let (done, due): (Vec<&Process>, Vec<&Process>) = members.partition(|p| !is_outdated(p));
    let (done, due) = (done.len() as u32, due.len() as u32);
    (due > 0).then(|| Operation::Roll { done, of: done + due, paused: rolling.paused })
}

/// Whether anybody could be taken down now.
pub(crate) fn any_could_stop(view: &View<'_>) -> bool {
    view.meta.brokers.keys().all(|id| obstacle(view, *id).is_none())
}

/// Nobody loses anything by it, and it is outdated.
pub(crate) fn may_be_replaced(process: &Process) -> bool {
    let is_its_turn = process.revision == Revision::Begun;
    is_outdated(process) && process.idle && (process.stuck || is_its_turn)
}

fn is_outdated(process: &Process) -> bool {
    match process.revision {
        Revision::Current => false,
        Revision::Due | Revision::Begun => process.running,
    }
}

/// One that is begun is ended first; the leader of `__meta` is last, so that it moves only once.
fn next(view: &View<'_>) -> Option<BrokerId> {
    let outdated = view
        .observed
        .processes
        .iter()
        .filter(|(id, process)| is_outdated(process) && view.meta.brokers.contains_key(id));
    let rank = |(id, process): &(&BrokerId, &Process)| {
        (**id == view.leader, process.revision != Revision::Begun, **id)
    };
    outdated.min_by_key(rank).map(|(id, _)| *id)
}

/// Why this broker must not stop now.
pub(crate) fn obstacle(view: &View<'_>, broker: BrokerId) -> Option<String> {
    for id in view.meta.brokers.keys().filter(|id| **id != broker) {
        let Some(node) = view.observed.nodes.get(id).filter(|_| view.is_up(*id)) else {
            return Some(format!("broker {id} is down"));
        };
        if view.observed.processes.get(id).is_some_and(|process| process.ending) {
            return Some(format!("broker {id} is being restarted"));
        }
        if node.state != NodeState::Member {
            return Some(format!("broker {id} has not joined yet"));
        }
        if node.offline > 0 {
            return Some(format!("{} replicas of broker {id} are out of service", node.offline));
        }
    }
    let (groups, led) = (view.meta.partitions + 1, leaders(view));
    if led < groups {
        return Some(format!("{} of {groups} groups have no leader", groups - led));
    }
    let losses = view.observed.nodes.values().filter_map(|n| n.quorum_losses.get(&broker));
    let losses: u32 = losses.sum();
    (losses > 0).then(|| format!("{losses} groups would lose the quorum that has caught up"))
}

fn leaders(view: &View<'_>) -> u32 {
    let members = view.observed.nodes.iter().filter(|(id, _)| view.meta.brokers.contains_key(id));
    members.map(|(_, node)| node.leaders).sum()
}

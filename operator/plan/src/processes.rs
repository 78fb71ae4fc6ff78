//! Which processes run, and what becomes of volumes. Recovery comes first and is gated on nothing;
//! taking away comes last and only after the leader's image says that the broker is forgotten.

use crate::desired::{Desired, VolumePolicy};
use crate::mutant::{self, Mutant};
use crate::observed::{BrokerId, Meta, Node, NodeState, Observed, Process};
use crate::outcome::{Plan, Wait};
use crate::size::Size;
use crate::step::Step;
use crate::view::View;

/// The cluster has no leader in sight: bring back what has a volume, and touch nothing else. A
/// broker without one is not started from an old image: it may have been removed since.
pub(crate) fn revive(observed: &Observed, image: Option<&Meta>, plan: &mut Plan) {
    let is_member = |id: &BrokerId| image.is_none_or(|m| m.brokers.contains_key(id));
    for (id, process) in &observed.processes {
        if process.volume && !process.running && is_member(id) {
            plan.steps.push(Step::Start(*id));
        }
    }
    let silent = |id: &BrokerId| !observed.nodes.contains_key(id);
    let members: Vec<BrokerId> = match image {
        Some(meta) => meta.brokers.keys().copied().collect(),
        None => observed.processes.keys().copied().collect(),
    };
    let missing = members.iter().filter(|id| silent(id)).copied().collect();
    plan.waiting.push(Wait::MetaLeader { members: members.len() as u32, missing });
}

/// Starts what is wanted, ends what is forgotten.
pub(crate) fn plan(desired: &Desired, view: &View<'_>, size: &Size, plan: &mut Plan) {
    let (mut silent, mut unregistered) = (Vec::new(), Vec::new());
    let keep = size.wanted.iter().chain(&size.leaving);
    for id in keep.copied() {
        let process = view.observed.processes.get(&id).copied().unwrap_or_default();
        let member = view.meta.brokers.get(&id);
        if !process.running {
            plan.steps.push(Step::Start(id));
            silent.push(id);
            continue;
        }
        let Some(node) = view.observed.nodes.get(&id) else {
            silent.push(id);
            continue;
        };
        let registered = member.is_some_and(|m| m.directory == node.directory);
        if !registered && node.state == NodeState::Retired {
            plan.steps.push(Step::Wipe { to: id, directory: node.directory.clone() });
        } else if !registered {
            unregistered.push(id);
        }
    }
    if !silent.is_empty() {
        plan.waiting.push(Wait::Answer { brokers: silent });
    }
    let early = |id| mutant::is(Mutant::StopMember) && size.leaving.contains(id);
    let forgotten = view.observed.processes.iter().filter(|(id, _)| !size.keeps(**id) || early(id));
    for (
        id,
        Process {
            running,
            volume,
            revision: _,
            ending: _,
            idle: _,
            stuck: _,
            lost: _,
            ready_for_s: _,
        },
    ) in forgotten
    {
        // It may join, and be given replicas, before it is stopped: it leaves as a member does, then.
        let joins = |node: &Node| node.state == NodeState::Uninitialized;
        if *running && view.observed.nodes.get(id).is_some_and(joins) {
            unregistered.push(*id);
        } else if *running {
            plan.steps.push(Step::Stop(*id));
        }
        let is_its_turn = *running == mutant::is(Mutant::ForgetVolume);
        if *volume && is_its_turn && desired.when_scaled == VolumePolicy::Delete {
            plan.steps.push(Step::DeleteVolume(*id));
        }
    }
    if !unregistered.is_empty() {
        plan.waiting.push(Wait::Registration { brokers: unregistered });
    }
}

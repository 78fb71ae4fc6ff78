//! How many brokers, and which: who joins, who leaves, what is refused. Leaving is recorded as a
//! cordon before anything is moved, so that a crash resumes with the same broker, and so that the
//! user can take it back half-way.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::desired::Desired;
use crate::mutant::{self, Mutant};
use crate::observed::{BrokerId, broker_of};
use crate::outcome::{Plan, Refusal, Wait, list};
use crate::step::Step;
use crate::view::View;

/// The brokers that there should be.
pub(crate) struct Size {
    /// Members that stay, and new ids.
    pub(crate) wanted: BTreeSet<BrokerId>,
    /// Members that go, in this order, one at a time.
    pub(crate) leaving: Vec<BrokerId>,
}

impl Size {
    /// A member, or one to be.
    pub(crate) fn keeps(&self, id: BrokerId) -> bool {
        self.wanted.contains(&id) || self.leaving.contains(&id)
    }
}

/// Compares the size wanted with the registered brokers; a size that cannot be is refused, and the
/// cluster is kept as it is.
pub(crate) fn decide(desired: &Desired, view: &View<'_>, plan: &mut Plan) -> Size {
    let members: BTreeSet<BrokerId> = view.meta.brokers.keys().copied().collect();
    let wanted_len = desired.brokers as usize;
    if wanted_len >= members.len() {
        let mut wanted = members;
        let mut free = 1..;
        while wanted.len() < wanted_len {
            wanted.extend(free.next());
        }
        return Size { wanted, leaving: Vec::new() };
    }
    let leaving = victims(view, members.len() - wanted_len);
    let wanted: BTreeSet<BrokerId> =
        members.iter().filter(|id| !leaving.contains(id)).copied().collect();
    match unsafe_size(desired.brokers, view, &wanted, &leaving) {
        None => Size { wanted, leaving },
        Some(reason) => {
            plan.refused.push(Refusal {
                field: "spec.replicas".into(),
                value: desired.brokers.to_string(),
                reason,
            });
            Size { wanted: members, leaving: Vec::new() }
        }
    }
}

/// Those already marked, then the lost, then the highest ids.
fn victims(view: &View<'_>, count: usize) -> Vec<BrokerId> {
    let mut order: Vec<_> = view
        .meta
        .brokers
        .iter()
        .map(|(id, m)| (Reverse(m.cordoned), Reverse(view.is_lost(*id, m)), Reverse(*id)))
        .collect();
    order.sort_unstable();
    order.into_iter().take(count).map(|(_, _, Reverse(id))| id).collect()
}

fn unsafe_size(
    brokers: u32,
    view: &View<'_>,
    wanted: &BTreeSet<BrokerId>,
    leaving: &[BrokerId],
) -> Option<String> {
    if brokers == 0 {
        return Some("a cluster has at least 1 broker; delete it instead".into());
    }
    if let Some((topic, replicas)) = &view.meta.largest
        && brokers < *replicas
    {
        return Some(format!(
            "topic {topic} has {replicas} replicas a partition; {brokers} broker{} cannot carry them",
            if brokers == 1 { "" } else { "s" }
        ));
    }
    let begun = leaving.iter().any(|id| view.meta.brokers.get(id).is_some_and(|m| m.cordoned));
    let down: Vec<BrokerId> = wanted.iter().filter(|id| !view.is_up(**id)).copied().collect();
    let up = wanted.len() - down.len();
    (!begun && up <= wanted.len() / 2).then(|| {
        format!(
            "only {up} of the {brokers} brokers that would remain are up, which is no quorum; \
             broker {} is down",
            list(&down)
        )
    })
}

/// Cordons exactly the brokers that leave.
pub(crate) fn record_intent(view: &View<'_>, size: &Size, plan: &mut Plan) {
    let down: Vec<BrokerId> = size.wanted.iter().filter(|id| !view.is_up(**id)).copied().collect();
    for (id, member) in &view.meta.brokers {
        let leaves = size.leaving.contains(id);
        if member.cordoned && !leaves {
            plan.steps.push(Step::Uncordon { to: view.leader, broker: *id });
        } else if leaves && !member.cordoned && down.is_empty() {
            plan.steps.push(Step::Cordon { to: view.leader, broker: *id });
        }
    }
    if !size.leaving.is_empty() && !down.is_empty() {
        plan.waiting.push(Wait::Remaining { down, of: size.wanted.len() as u32 });
    }
}

/// One leaving broker at a time: drain it, and forget it once it holds nothing. Its replica of
/// `__meta` is taken out by [`crate::meta_group`] in between.
pub(crate) fn shrink(view: &View<'_>, size: &Size, plan: &mut Plan) {
    let all_marked = |id: &BrokerId| view.meta.brokers.get(id).is_some_and(|m| m.cordoned);
    let Some((victim, member)) =
        size.leaving.first().and_then(|id| Some((*id, view.meta.brokers.get(id)?)))
    else {
        return;
    };
    if !size.leaving.iter().all(all_marked) {
        return;
    }
    let forgets = mutant::is(Mutant::ForgetMember);
    if member.replicas > 0 && !forgets {
        let groups = view.data_groups();
        let aimed_at =
            |victim| groups.values().any(|(_, g)| g.target.iter().any(|p| broker_of(*p) == victim));
        if view.meta.off_target == 0 || aimed_at(victim) {
            plan.steps.push(Step::Drain { to: view.leader, broker: victim });
        }
        plan.waiting.push(Wait::Draining { broker: victim, replicas: member.replicas });
    } else if forgets || !view.group.conf.members().any(|p| broker_of(p) == victim) {
        plan.steps.push(Step::RemoveBroker {
            to: view.leader,
            broker: victim,
            directory: member.directory.clone(),
        });
    }
}

/// Nothing moves and everybody is there: give every broker its share, if it has not got it.
pub(crate) fn rebalance(view: &View<'_>, size: &Size, plan: &mut Plan) {
    let counts = view.meta.replica_counts();
    let all_up = size.wanted.iter().all(|id| view.is_up(*id));
    let most = counts.values().max().copied().unwrap_or_default();
    let least = counts.values().min().copied().unwrap_or_default();
    let is_off = most - least > 1 && view.observed.rebalanced_at.as_ref() != Some(&counts);
    if is_off && all_up && view.meta.off_target == 0 {
        plan.steps.push(Step::Rebalance { to: view.leader });
    }
}

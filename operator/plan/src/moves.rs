//! Data groups on their way from the members that they have to the target that `__meta` names.

use std::collections::BTreeSet;

use crate::MOVES_MAX;
use crate::membership::{Aim, Next, next};
use crate::observed::{Group, broker_of};
use crate::outcome::{Plan, Wait};
use crate::view::View;

/// Plans a step for each group on the move; returns how many are.
pub(crate) fn plan(view: &View<'_>, plan: &mut Plan) -> u32 {
    let mut groups = view.data_groups();
    // What nobody wants anywhere has nowhere to go; a change that is open is ended all the same.
    groups.retain(|_, (_, group)| !group.target.is_empty() || group.conf.is_joint());
    let none = BTreeSet::new();
    let can_move = |g: &Group| g.target.iter().all(|p| view.is_up(broker_of(*p)));
    let mut moving = groups.values().filter(|(_, g)| is_moving(g) && can_move(g)).count();
    let mut first_wait = None;
    for (to, group) in groups.values().copied() {
        if !is_moving(group) {
            if moving >= MOVES_MAX || group.conf.voters == group.target {
                continue;
            }
            moving += 1;
        }
        let aim = Aim { voters: &group.target, learners: &none };
        match next(to, group, &aim, |broker| view.is_up(broker)) {
            Next::Settled => {}
            Next::Step(step) => plan.steps.push(step),
            Next::Wait(wait) => {
                first_wait.get_or_insert(wait);
            }
        }
    }
    let (off_target, moving) = (view.meta.off_target.max(moving as u32), moving as u32);
    if off_target > 0 {
        plan.waiting.push(Wait::Moves { off_target, moving });
        plan.waiting.extend(first_wait);
    }
    off_target
}

/// Its membership is being changed: a replica is being filled, or a change is open.
fn is_moving(group: &Group) -> bool {
    let conf = &group.conf;
    // The last clause: the new voters are in, the old ones are not out yet.
    conf.is_joint()
        || !conf.learners.is_empty()
        || (conf.voters != group.target && group.target.is_subset(&conf.voters))
}

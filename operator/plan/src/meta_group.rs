//! The members of `__meta`: every broker has a replica, the largest odd number up to five of them
//! vote. A leaving broker gives its replica up once its data groups have left it.

use std::collections::BTreeSet;

use crate::membership::{Aim, Next, next};
use crate::meta_voters;
use crate::observed::{BrokerId, Member, PeerId};
use crate::outcome::Plan;
use crate::size::Size;
use crate::view::View;

/// Plans at most one step; true if `__meta` has the members that it should have.
pub(crate) fn plan(view: &View<'_>, size: &Size, plan: &mut Plan) -> bool {
    let voters = choose_voters(view, size);
    let everyone = view.meta.brokers.iter().filter(|(id, m)| !gives_up(size, **id, m));
    let learners: BTreeSet<PeerId> =
        everyone.map(|(_, m)| m.meta_peer).filter(|p| !voters.contains(p)).collect();
    let aim = Aim { voters: &voters, learners: &learners };
    match next(view.leader, view.group, &aim, |broker| view.is_up(broker)) {
        Next::Settled => true,
        Next::Step(step) => {
            plan.steps.push(step);
            false
        }
        Next::Wait(wait) => {
            plan.waiting.push(wait);
            false
        }
    }
}

/// The broker whose turn it is to leave, once it carries no data group any more.
fn gives_up(size: &Size, id: BrokerId, member: &Member) -> bool {
    size.leaving.first() == Some(&id) && member.cordoned && member.replicas == 0
}

/// Keeps those who vote already, so that a short absence changes nothing.
fn choose_voters(view: &View<'_>, size: &Size) -> BTreeSet<PeerId> {
    let mut ranked: Vec<(u8, BrokerId, PeerId)> = view
        .meta
        .brokers
        .iter()
        .filter(|(id, m)| !gives_up(size, **id, m))
        .map(|(id, m)| {
            let leaves = size.leaving.contains(id);
            let votes = view.group.conf.voters.contains(&m.meta_peer);
            let rank = match (leaves, votes) {
                (false, true) if m.meta_peer == view.group.leader => 0,
                (false, true) => 1,
                (false, false) if view.is_up(*id) => 2,
                (true, true) => 3,
                (false, false) => 4,
                (true, false) => 5,
            };
            (rank, *id, m.meta_peer)
        })
        .collect();
    ranked.sort_unstable();
    let count = meta_voters(ranked.len());
    ranked.into_iter().take(count).map(|(_, _, peer)| peer).collect()
}

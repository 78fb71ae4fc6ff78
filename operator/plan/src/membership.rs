//! One group, one step towards the members that it should have. The order is always: learner,
//! caught up, leadership off a leaving leader, and then one joint change that promotes the new and
//! removes the old. Nobody is removed first.

use std::collections::BTreeSet;

use crate::mutant::{self, Mutant};
use crate::observed::{BrokerId, Group, PeerId, broker_of};
use crate::outcome::Wait;
use crate::step::{Change, Step};

/// What a group needs next.
pub(crate) enum Next {
    /// It is what it should be.
    Settled,
    /// One step, proposed to its leader.
    Step(Step),
    /// Something must happen first.
    Wait(Wait),
}

/// The members that a group should have.
pub(crate) struct Aim<'a> {
    pub(crate) voters: &'a BTreeSet<PeerId>,
    pub(crate) learners: &'a BTreeSet<PeerId>,
}

/// The next step of `group`, led by broker `to`. `is_up` tells which brokers can take a replica.
pub(crate) fn next(
    to: BrokerId,
    group: &Group,
    aim: &Aim<'_>,
    is_up: impl Fn(BrokerId) -> bool,
) -> Next {
    let conf = &group.conf;
    if conf.is_joint() {
        return change(to, group, Change::LeaveJoint);
    }
    let stray = conf.learners.iter().find(|p| !aim.voters.contains(p) && !aim.learners.contains(p));
    if let Some(stray) = stray {
        return change(to, group, Change::Remove(*stray));
    }
    let missing: Vec<PeerId> =
        aim.voters.iter().chain(aim.learners).filter(|p| !conf.contains(**p)).copied().collect();
    if let Some(peer) = missing.iter().find(|p| is_up(broker_of(**p))) {
        return change(to, group, Change::AddLearner(*peer));
    }
    let first_out = conf.voters.iter().find(|p| !aim.voters.contains(p) && **p != group.leader);
    if let Some(out) = first_out.filter(|_| mutant::is(Mutant::RemoveFirst)) {
        return change(to, group, Change::Remove(*out));
    }
    if conf.voters != *aim.voters {
        return replace_voters(to, group, aim);
    }
    match missing.first() {
        Some(peer) => {
            Next::Wait(Wait::BrokerDown { group: group.name(), broker: broker_of(*peer) })
        }
        None => Next::Settled,
    }
}

fn replace_voters(to: BrokerId, group: &Group, aim: &Aim<'_>) -> Next {
    let conf = &group.conf;
    for peer in aim.voters.iter().filter(|p| !conf.voters.contains(p)) {
        if !group.is_caught_up(*peer) {
            let (group_name, broker) = (group.name(), broker_of(*peer));
            return Next::Wait(match group.progress.get(peer) {
                Some(p) if p.active => {
                    Wait::CatchUp { group: group_name, broker, percent: p.percent.min(99) }
                }
                _ => Wait::BrokerDown { group: group_name, broker },
            });
        }
    }
    let promote: Vec<PeerId> = aim.voters.difference(&conf.voters).copied().collect();
    let mut gone: BTreeSet<PeerId> = conf.voters.difference(aim.voters).copied().collect();
    if gone.remove(&group.leader) {
        // A leader is never removed while it leads.
        let heirs = aim.voters.intersection(&conf.voters).filter(|p| group.is_caught_up(**p));
        let matched = |p: &&PeerId| group.progress.get(*p).map_or(0, |p| p.matched);
        if let Some(heir) = heirs.max_by_key(matched) {
            return Next::Step(Step::TransferLeadership {
                to,
                topic: group.topic.clone(),
                partition: group.partition,
                peer: *heir,
            });
        }
        if promote.is_empty() {
            let broker = aim.voters.first().map_or(to, |p| broker_of(*p));
            return Next::Wait(Wait::BrokerDown { group: group.name(), broker });
        }
    }
    let (demote, remove) = gone.into_iter().partition(|p| aim.learners.contains(p));
    change(to, group, Change::Joint { promote, demote, remove })
}

fn change(to: BrokerId, group: &Group, change: Change) -> Next {
    Next::Step(Step::ChangeMembership {
        to,
        topic: group.topic.clone(),
        partition: group.partition,
        change,
        expected_conf_index: group.conf_index,
    })
}

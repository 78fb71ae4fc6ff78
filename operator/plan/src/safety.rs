//! Guards that every plan passes, whoever made it. Each rule has a name; a step that breaks one is
//! taken out of the plan and the plan says so.

use std::collections::BTreeSet;

use crate::birth::is_unanimous;
use crate::desired::Desired;
use crate::mutant::{self, Mutant};
use crate::observed::{
    BrokerId, Conf, Group, META_TOPIC, Meta, NodeState, Observed, PeerId, broker_of,
};
use crate::outcome::{Plan, Wait};
use crate::roll;
use crate::step::{Change, Step};
use crate::view::{Sight, look};

type Rule = (&'static str, fn(&Step, &Scene<'_>) -> Result<(), String>);

/// The rules, in the order in which they are asked.
const RULES: [Rule; 9] = [
    ("initialize-once", initialize_once),
    ("no-member-stopped", no_member_stopped),
    ("no-live-volume-deleted", no_live_volume_deleted),
    ("one-restart-at-a-time", one_restart_at_a_time),
    ("only-lost-volumes-given-up", only_lost_volumes_given_up),
    ("wipe-only-retired", wipe_only_retired),
    ("one-change-per-group", one_change_per_group),
    ("quorum-kept", quorum_kept),
    ("one-disruption-at-a-time", one_disruption),
];

struct Scene<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    passed: &'a [Step],
}

/// Takes out of the plan what no plan may do.
pub(crate) fn guard(desired: &Desired, observed: &Observed, plan: &mut Plan) {
    let mut passed: Vec<Step> = Vec::new();
    for step in std::mem::take(&mut plan.steps) {
        let scene = Scene { desired, observed, passed: &passed };
        let broken =
            RULES.iter().find_map(|(name, rule)| Some((*name, rule(&step, &scene).err()?)));
        match broken {
            None => passed.push(step),
            Some((rule, why)) => {
                plan.waiting.push(Wait::Held { rule, step: step.to_string(), why });
            }
        }
    }
    plan.steps = passed;
}

fn initialize_once(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let Step::Initialize { to, cluster_id, .. } = step else { return Ok(()) };
    let node = scene.observed.nodes.get(to);
    let knows_it = node.is_some_and(|n| n.cluster_id.as_ref() == Some(cluster_id));
    if knows_it || is_unanimous(scene.desired, scene.observed) {
        return Ok(());
    }
    Err("not every broker said in this pass that it belongs to no cluster".into())
}

/// Nothing is taken from a broker that the leader's image, or any group in sight, still names. No
/// leader in sight means that it is not known, and so not done.
fn no_member_stopped(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let (Step::Stop(id) | Step::DeleteVolume(id)) = step else { return Ok(()) };
    if mutant::is(Mutant::StopMember) {
        return Ok(());
    }
    let Sight::Leader(view) = look(scene.observed) else {
        return Err(format!("whether broker {id} is a member is not known"));
    };
    let groups = scene.observed.nodes.values().flat_map(|n| &n.groups);
    let named =
        |g: &Group| g.conf.members().chain(g.target.iter().copied()).any(|p| broker_of(p) == *id);
    if view.meta.brokers.contains_key(id) {
        return Err(format!("broker {id} is a member"));
    }
    match groups.into_iter().find(|g| is_newest(scene.observed, g) && named(g)) {
        Some(group) => Err(format!("broker {id} is named in {}", group.name())),
        None => Ok(()),
    }
}

fn no_live_volume_deleted(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let Step::DeleteVolume(id) = step else { return Ok(()) };
    if mutant::is(Mutant::ForgetVolume) {
        return Ok(());
    }
    let running = scene.observed.processes.get(id).is_some_and(|p| p.running);
    if running || scene.observed.nodes.contains_key(id) {
        return Err(format!("broker {id} still runs"));
    }
    Ok(())
}

/// A broker that serves is restarted only while every other broker of the cluster does.
fn one_restart_at_a_time(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let Step::Update(id) = step else { return Ok(()) };
    let may = scene.observed.processes.get(id).is_some_and(roll::may_be_replaced);
    if may || mutant::is(Mutant::HurryRoll) {
        return Ok(());
    }
    let Sight::Leader(view) = look(scene.observed) else {
        return Err(format!("what broker {id} is needed for is not known"));
    };
    let others = view.meta.brokers.keys().filter(|other| *other != id);
    match others.copied().find(|other| !view.is_up(*other)) {
        Some(down) => Err(format!("broker {down} is down")),
        None => Ok(()),
    }
}

/// A member's volume is given up only if it is known to be lost, nothing of the broker runs,
/// and whoever has the rest is there.
fn only_lost_volumes_given_up(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let Step::Replace(id) = step else { return Ok(()) };
    let process = scene.observed.processes.get(id).copied().unwrap_or_default();
    if !process.lost || !process.idle || scene.observed.nodes.contains_key(id) {
        return Err(format!("broker {id} may have its volume yet"));
    }
    let Sight::Leader(view) = look(scene.observed) else {
        return Err(format!("what broker {id} is needed for is not known"));
    };
    let others = view.meta.brokers.keys().filter(|other| *other != id);
    match others.copied().find(|other| !view.is_up(*other)) {
        Some(down) => Err(format!("broker {down} is down")),
        None => Ok(()),
    }
}

fn wipe_only_retired(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let Step::Wipe { to, directory } = step else { return Ok(()) };
    let retired = scene
        .observed
        .nodes
        .get(to)
        .is_some_and(|n| n.state == NodeState::Retired && n.directory == *directory);
    let newest = Meta::newest(scene.observed.nodes.values());
    let in_use =
        newest.is_some_and(|m| m.brokers.values().any(|member| member.directory == *directory));
    if retired && !in_use {
        return Ok(());
    }
    Err(format!("directory {directory} is not known to be retired"))
}

fn one_change_per_group(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let Some((topic, partition)) = step.group() else { return Ok(()) };
    if scene.passed.iter().any(|other| other.group() == step.group()) {
        return Err(format!("{topic}-{partition} has a change in this plan"));
    }
    let Some(group) = find(scene.observed, topic, partition) else {
        return Err(format!("no leader of {topic}-{partition} answered"));
    };
    let leaving = matches!(step, Step::ChangeMembership { change: Change::LeaveJoint, .. });
    if group.conf.is_joint() && !leaving {
        return Err(format!("{topic}-{partition} has a change open"));
    }
    Ok(())
}

/// Before and after the change a majority answers; nobody votes who has not caught up; the leader
/// stays a voter.
fn quorum_kept(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    let Some((topic, partition)) = step.group() else { return Ok(()) };
    let group = find(scene.observed, topic, partition)
        .ok_or_else(|| format!("no leader of {topic}-{partition} answered"))?;
    majority(group, &group.conf.voters, "vote")?;
    majority(group, &group.conf.outgoing, "vote in the joint state")?;
    if let Step::TransferLeadership { peer, .. } = step
        && !(group.conf.voters.contains(peer) && group.is_active(*peer))
    {
        return Err(format!("broker {} cannot lead {}", broker_of(*peer), group.name()));
    }
    let Step::ChangeMembership { change, .. } = step else { return Ok(()) };
    let after = voters_after(&group.conf, change);
    if let Change::Joint { promote, .. } = change
        && let Some(late) = promote.iter().find(|p| !group.is_caught_up(**p))
    {
        return Err(format!("broker {} has not caught up in {}", broker_of(*late), group.name()));
    }
    if *change != Change::LeaveJoint && !after.contains(&group.leader) {
        return Err(format!("the leader of {} would not vote any more", group.name()));
    }
    majority(group, &after, "would vote")
}

/// The voters once a change is complete.
fn voters_after(conf: &Conf, change: &Change) -> BTreeSet<PeerId> {
    let mut voters = conf.voters.clone();
    match change {
        Change::AddLearner(_) | Change::LeaveJoint => {}
        Change::Remove(peer) => {
            voters.remove(peer);
        }
        Change::Joint { promote, demote, remove } => {
            voters.extend(promote);
            voters.retain(|p| !demote.contains(p) && !remove.contains(p));
        }
    }
    voters
}

fn majority(group: &Group, voters: &BTreeSet<PeerId>, verb: &str) -> Result<(), String> {
    let active = voters.iter().filter(|p| group.is_active(**p)).count();
    if voters.is_empty() || active > voters.len() / 2 {
        return Ok(());
    }
    let all = voters.len();
    Err(format!("only {active} of {all} replicas that {verb} in {} answer", group.name()))
}

fn one_disruption(step: &Step, scene: &Scene<'_>) -> Result<(), String> {
    if mutant::is(Mutant::ForgetVolume) && matches!(step, Step::DeleteVolume(_)) {
        return Ok(());
    }
    match scene.passed.iter().find(|s| s.is_disruptive()) {
        Some(other) if step.is_disruptive() => Err(format!("first: {other}")),
        _ => Ok(()),
    }
}

/// The group as the leader of its highest term describes it.
fn find<'a>(observed: &'a Observed, topic: &str, partition: u32) -> Option<&'a Group> {
    let all = observed.nodes.iter().flat_map(|(id, n)| n.groups.iter().map(move |g| (*id, g)));
    all.filter(|(id, g)| g.topic == topic && g.partition == partition && led_by(*id, g))
        .map(|(_, g)| g)
        .max_by_key(|g| g.term)
}

/// Answers about other brokers' leaderships are hearsay, for `__meta` above all.
fn led_by(id: BrokerId, group: &Group) -> bool {
    group.topic != META_TOPIC || broker_of(group.leader) == id
}

fn is_newest(observed: &Observed, group: &Group) -> bool {
    find(observed, &group.topic, group.partition).is_some_and(|g| g.term == group.term)
}

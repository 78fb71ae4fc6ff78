//! Pure: from what was seen and planned to what people are told.

use std::collections::BTreeMap;

use chronik_plan::{
    BrokerId, Group, META_TOPIC, NodeState, Operation, Plan, Step, Wait, broker_of,
};

use crate::admin::proto;
use crate::api::status::{BrokerStatus, ClusterStatus};
use crate::observe::Sight;
use crate::validate::Wanted;

/// The status after a pass.
pub fn of(
    wanted: &Wanted,
    sight: &Sight,
    plan: &Plan,
    address: impl Fn(BrokerId) -> String,
) -> ClusterStatus {
    let leader = leader(sight);
    let image = match leader {
        Some((_, answer)) => answer.meta.as_ref(),
        None => sight.answers.values().filter_map(|a| a.meta.as_ref()).max_by_key(|m| m.applied),
    };
    let roles = leader.map(|(id, _)| roles(sight, id)).unwrap_or_default();
    let mut ids: Vec<BrokerId> = sight.observed.processes.keys().copied().collect();
    ids.extend(image.into_iter().flat_map(|m| &m.brokers).map(|b| b.id));
    ids.sort_unstable();
    ids.dedup();
    let catching_up = catching_up(sight);
    let brokers = ids.into_iter().map(|id| {
        let member = image.and_then(|m| m.brokers.iter().find(|b| b.id == id));
        let answer = sight.answers.get(&id);
        BrokerStatus {
            id,
            state: state(sight, id, member).into(),
            role: roles.get(&id).copied().unwrap_or("").into(),
            leaders: answer.map_or(0, |a| a.leaders),
            groups: answer.map_or(member.map_or(0, |m| m.replicas), |a| a.replicas),
            catching_up: catching_up.get(&id).cloned().unwrap_or_default(),
            directory: answer.map_or_else(
                || member.map_or(String::new(), |m| m.directory.clone()),
                |a| a.directory.clone(),
            ),
            version: answer.map(|a| a.version.clone()).unwrap_or_default(),
            address: address(id),
            external_address: member.and_then(|m| m.advertised.clone()).unwrap_or_default(),
        }
    });
    let brokers: Vec<BrokerStatus> = brokers.collect();
    let bootstrap: Vec<String> =
        brokers.iter().filter(|b| b.state == "Member").map(|b| b.address.clone()).collect();
    let open = image.is_some_and(|m| m.open);
    ClusterStatus {
        replicas: image.map_or(0, |m| m.brokers.len() as i32),
        cluster_id: sight.observed.nodes.values().find_map(|n| n.cluster_id.clone()),
        phase: phase(wanted, plan, open, &brokers).into(),
        bootstrap: bootstrap.into_iter().take(3).collect::<Vec<_>>().join(","),
        operation: plan.operation.map(|o| o.to_string()),
        waiting: first_ten(plan.waiting.iter().map(ToString::to_string).collect()),
        refused: first_ten(plan.refused.iter().map(ToString::to_string).collect()),
        errors: first_ten(sight.errors.clone()),
        troubles: first_ten(sight.troubles.clone()),
        brokers,
        ..ClusterStatus::default()
    }
}

/// Whether clients are served: the cluster is formed and its own group has a leader.
pub fn serves(sight: &Sight) -> bool {
    leader(sight).is_some_and(|(_, answer)| answer.meta.as_ref().is_some_and(|m| m.open))
}

/// How far all replicas that are being filled have come: it grows while there is progress.
pub fn copied(sight: &Sight) -> u64 {
    let groups = sight.observed.nodes.values().flat_map(|node| &node.groups);
    let filling = groups.flat_map(|group| group.progress.values()).filter(|p| !p.caught_up);
    filling.fold(0, |sum, progress| sum.wrapping_add(progress.matched))
}

/// The broker that leads `__meta`, and its answer.
fn leader(sight: &Sight) -> Option<(BrokerId, &proto::DescribeResponse)> {
    let leads =
        |id: BrokerId, group: &Group| group.topic == META_TOPIC && broker_of(group.leader) == id;
    let led = sight.observed.nodes.iter().filter_map(|(id, node)| {
        let group = node.groups.iter().find(|group| leads(*id, group))?;
        Some((group.term, *id, sight.answers.get(id)?))
    });
    led.max_by_key(|(term, id, _)| (*term, *id)).map(|(_, id, answer)| (id, answer))
}

fn phase(wanted: &Wanted, plan: &Plan, open: bool, brokers: &[BrokerStatus]) -> &'static str {
    let members = brokers.iter().filter(|b| b.state == "Member").count();
    let starting = plan.steps.iter().any(|s| matches!(s, Step::Start(_)));
    let no_quorum = plan.waiting.iter().any(|w| match w {
        Wait::MetaLeader { members, missing } => missing.len() * 2 >= *members as usize,
        _ => false,
    });
    if !plan.refused.is_empty() || (no_quorum && !starting) {
        "Degraded"
    } else if !open || plan.operation == Some(Operation::Form) {
        "Forming"
    } else if plan.is_converged() && members == wanted.brokers as usize {
        "Ready"
    } else {
        "Working"
    }
}

fn state(sight: &Sight, id: BrokerId, member: Option<&proto::Broker>) -> &'static str {
    let process = sight.observed.processes.get(&id).copied().unwrap_or_default();
    let Some(node) = sight.observed.nodes.get(&id) else {
        return match (process.running, member) {
            (true, Some(m)) if m.fenced => "Down",
            (true, _) => "Starting",
            (false, Some(_)) => "Down",
            (false, None) => "Stopped",
        };
    };
    match node.state {
        NodeState::Retired => "Retired",
        NodeState::Uninitialized => "Waiting",
        NodeState::Joining => "Joining",
        NodeState::Member if member.is_none() => "Joining",
        NodeState::Member if member.is_some_and(|m| m.cordoned) => "Leaving",
        NodeState::Member => "Member",
    }
}

fn roles(sight: &Sight, leader: BrokerId) -> BTreeMap<BrokerId, &'static str> {
    let node = sight.observed.nodes.get(&leader);
    let group = node.and_then(|n| n.groups.iter().find(|g| g.topic == META_TOPIC));
    let mut roles = BTreeMap::new();
    if let Some(group) = group {
        let (learners, next) = (&group.conf.learners, &group.conf.learners_next);
        roles.extend(learners.iter().chain(next).map(|p| (broker_of(*p), "Learner")));
        roles.extend(group.conf.voters.iter().map(|p| (broker_of(*p), "Voter")));
        roles.insert(broker_of(group.leader), "Leader");
    }
    roles
}

/// For each broker: how many of its replicas are being filled, and how far the slowest is.
fn catching_up(sight: &Sight) -> BTreeMap<BrokerId, String> {
    let mut counts: BTreeMap<BrokerId, (u32, u32)> = BTreeMap::new();
    for group in sight.observed.nodes.values().flat_map(|n| &n.groups) {
        for (peer, progress) in group.progress.iter().filter(|(_, p)| !p.caught_up) {
            let (count, least) = counts.entry(broker_of(*peer)).or_insert((0, 100));
            *count += 1;
            *least = (*least).min(progress.percent.min(99));
        }
    }
    // In steps of five: status is written only when it changes.
    let text = |n, least: u32| format!("{n} ({} %)", least / 5 * 5);
    counts.into_iter().map(|(id, (n, least))| (id, text(n, least))).collect()
}

fn first_ten(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(10);
    lines.truncate(10);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

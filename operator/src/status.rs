//! Pure: from what was seen and planned to what people are told.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{BrokerId, Member, NodeState, Operation, Plan, Step, Wait, broker_of};

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
    let image = sight.observed.image();
    let roles = roles(sight);
    let members = image.into_iter().flat_map(|image| image.brokers.keys());
    let ids: BTreeSet<BrokerId> = sight.observed.processes.keys().chain(members).copied().collect();
    let catching_up = catching_up(sight);
    let brokers = ids.into_iter().map(|id| {
        let member = image.and_then(|image| image.brokers.get(&id));
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
    let leads = sight.observed.meta_group().is_some();
    leads && sight.observed.image().is_some_and(|image| image.open)
}

/// How far all replicas that are being filled have come: it grows while there is progress.
pub fn copied(sight: &Sight) -> u64 {
    let groups = sight.observed.nodes.values().flat_map(|node| &node.groups);
    let filling = groups.flat_map(|group| group.progress.values()).filter(|p| !p.caught_up);
    filling.fold(0, |sum, progress| sum.wrapping_add(progress.matched))
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

fn state(sight: &Sight, id: BrokerId, member: Option<&Member>) -> &'static str {
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

fn roles(sight: &Sight) -> BTreeMap<BrokerId, &'static str> {
    let mut roles = BTreeMap::new();
    if let Some((_, group)) = sight.observed.meta_group() {
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

#[cfg(test)]
mod tests {
    use chronik_plan::{Conf, Group, META_TOPIC, Meta, Node, Process, Rolling, VolumePolicy};

    use super::*;

    fn wanted(brokers: u32) -> Wanted {
        Wanted {
            name: "demo".into(),
            brokers,
            when_scaled: VolumePolicy::Delete,
            port: 9092,
            external_port: None,
            settings: Vec::new(),
            racks: Vec::new(),
            rack_label: None,
            paused: false,
            rolling: Rolling::default(),
            catch_up_rate: None,
        }
    }

    fn image(applied: u64, brokers: BrokerId) -> Meta {
        let member = |id: BrokerId| Member {
            directory: format!("d{id}"),
            meta_peer: 1 << 20 | u64::from(id),
            cordoned: false,
            fenced: false,
            told_rack: None,
            advertised: Some(format!("outside:{id}")),
            replicas: 0,
        };
        let brokers = (1..=brokers).map(|id| (id, member(id))).collect();
        Meta { applied, open: true, brokers, ..Meta::default() }
    }

    /// Members that run and answer, each with its image; the first leads `__meta`, if one does.
    fn seen(images: &[Meta], led: bool) -> Sight {
        let mut sight = Sight::default();
        for (id, image) in (1..).zip(images) {
            let process = Process { running: true, volume: true, ..Process::default() };
            sight.observed.processes.insert(id, process);
            let peers = images.iter().flat_map(|image| image.brokers.values());
            let group = Group {
                topic: META_TOPIC.into(),
                partition: 0,
                leader: 1 << 20 | 1,
                term: 2,
                conf: Conf { voters: peers.map(|m| m.meta_peer).collect(), ..Conf::default() },
                conf_index: 7,
                target: BTreeSet::new(),
                progress: BTreeMap::new(),
            };
            let node = Node {
                state: NodeState::Member,
                directory: format!("d{id}"),
                cluster_id: Some("c".into()),
                meta: Some(image.clone()),
                groups: if led && id == 1 { vec![group] } else { Vec::new() },
                leaders: 0,
                offline: 0,
                quorum_losses: BTreeMap::new(),
                needed: BTreeMap::new(),
            };
            sight.observed.nodes.insert(id, node);
        }
        sight
    }

    fn check(images: &[Meta], led: bool, expected: &[(BrokerId, &str, String)]) {
        let sight = seen(images, led);
        let status = of(&wanted(3), &sight, &Plan::default(), |id| format!("b{id}:9092"));
        let shown = status.brokers.iter();
        let shown = shown.map(|b| (b.id, b.state.as_str(), b.external_address.clone()));
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert_eq!((status.replicas, status.phase.as_str()), (3, "Ready"));
        assert_eq!(serves(&sight), led);
    }

    /// The leader may be the last to hear: its disk hangs, or it leads no more.
    #[test]
    fn it_shows_the_newest_image_whoever_has_it() {
        let (old, newest) = (Meta { open: false, ..image(10, 2) }, image(11, 3));
        for newest_at in 0..3 {
            let mut images = [old.clone(), old.clone(), old.clone()];
            images[newest_at] = newest.clone();
            for led in [true, false] {
                let expected = [1, 2, 3].map(|id| (id, "Member", format!("outside:{id}")));
                check(&images, led, &expected);
            }
        }
    }
}

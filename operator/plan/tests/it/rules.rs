//! Rule by rule: what no plan may do, seen from hand-made observations.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{
    BrokerId, Change, Conf, Group, META_TOPIC, Member, Meta, Node, NodeState, Observed, PeerId,
    Process, Progress, Revision, Step, VolumePolicy, Wait, plan,
};

use crate::properties::desired;

fn peer(broker: BrokerId) -> PeerId {
    1 << 20 | PeerId::from(broker)
}

pub(crate) fn peers(brokers: &[BrokerId]) -> BTreeSet<PeerId> {
    brokers.iter().map(|b| peer(*b)).collect()
}

fn up() -> Process {
    Process { running: true, volume: true, ..Process::default() }
}

/// A quiet cluster of so many brokers, led by broker 1.
pub(crate) fn quiet(brokers: BrokerId) -> Observed {
    let ids: Vec<BrokerId> = (1..=brokers).collect();
    let member = |id: &BrokerId| Member {
        directory: format!("d{id}"),
        meta_peer: peer(*id),
        cordoned: false,
        fenced: false,
        told_rack: None,
        advertised: None,
        replicas: 0,
    };
    let meta = Meta {
        applied: 10,
        open: true,
        brokers: ids.iter().map(|id| (*id, member(id))).collect(),
        partitions: 0,
        off_target: 0,
        largest: None,
        catch_up_rate: None,
    };
    let node = |id: BrokerId| Node {
        state: NodeState::Member,
        directory: format!("d{id}"),
        cluster_id: Some("c1".into()),
        meta: Some(meta.clone()),
        groups: Vec::new(),
        leaders: u32::from(id == 1),
        offline: 0,
        quorum_losses: BTreeMap::new(),
        needed: BTreeMap::new(),
    };
    let mut seen = Observed { formed: true, ..Observed::default() };
    for id in &ids {
        seen.processes.insert(*id, up());
        seen.nodes.insert(*id, node(*id));
    }
    let group = group(META_TOPIC, &ids, &[]);
    seen.nodes.get_mut(&1).unwrap().groups.push(group);
    seen
}

pub(crate) fn group(topic: &str, voters: &[BrokerId], target: &[BrokerId]) -> Group {
    let ready = Progress { matched: 9, active: true, caught_up: true, percent: 100 };
    let all = voters.iter().chain(target);
    Group {
        topic: topic.into(),
        partition: 0,
        leader: peer(voters[0]),
        term: 2,
        conf: Conf { voters: peers(voters), ..Conf::default() },
        conf_index: 7,
        target: peers(target),
        progress: all.filter(|b| **b != voters[0]).map(|b| (peer(*b), ready)).collect(),
    }
}

pub(crate) fn led_by_1(seen: &mut Observed, group: Group) {
    for node in seen.nodes.values_mut() {
        node.meta.as_mut().unwrap().off_target += 1;
    }
    seen.nodes.get_mut(&1).unwrap().groups.push(group);
}

pub(crate) fn steps(brokers: u32, seen: &Observed) -> Vec<Step> {
    plan(&desired(brokers, VolumePolicy::Delete), seen).steps
}

fn change(change: Change) -> Step {
    let topic = "orders".into();
    Step::ChangeMembership { to: 1, topic, partition: 0, change, expected_conf_index: 7 }
}

#[test]
fn converged_is_an_empty_plan() {
    let plan = plan(&desired(3, VolumePolicy::Delete), &quiet(3));
    assert!(plan.is_converged() && plan.operation.is_none(), "{plan:#?}");
}

#[test]
fn birth_needs_every_wanted_broker_in_the_same_pass() {
    let mut seen = Observed::default();
    assert_eq!(steps(3, &seen), [Step::Start(1), Step::Start(2), Step::Start(3)]);
    for id in 1..=3 {
        assert!(!steps(3, &seen).iter().any(|s| matches!(s, Step::Initialize { .. })));
        seen.processes.insert(id, up());
        let state = NodeState::Uninitialized;
        let directory = format!("d{id}");
        let node =
            Node { state, directory, cluster_id: None, meta: None, ..quiet(1).nodes[&1].clone() };
        seen.nodes.insert(id, Node { groups: Vec::new(), ..node });
    }
    let cluster_id = "c1".to_string();
    assert_eq!(steps(3, &seen), [Step::Initialize { to: 1, cluster_id, brokers: 3 }]);
    // A fourth that exists and is silent may know better; so does one that belongs to a cluster.
    let mut silent = seen.clone();
    silent.processes.insert(4, up());
    assert_eq!(steps(3, &silent), []);
    seen.nodes.get_mut(&2).unwrap().cluster_id = Some("c1".into());
    assert!(!steps(3, &seen).iter().any(|s| matches!(s, Step::Initialize { .. })));
}

#[test]
fn two_clusters_under_one_name_stop_everything() {
    let mut seen = quiet(3);
    seen.nodes.get_mut(&2).unwrap().cluster_id = Some("other".into());
    seen.processes.insert(3, Process::default());
    let plan = plan(&desired(3, VolumePolicy::Delete), &seen);
    assert_eq!(plan.steps, []);
    assert!(plan.refused[0].reason.contains("broker 2 belongs to cluster other"));
}

#[test]
fn silence_is_no_reason_to_take_anything_away() {
    // Everybody but one follower is silent: no leader, so nothing is known well enough.
    let mut seen = quiet(5);
    seen.nodes.retain(|id, _| *id == 4);
    let plan = plan(&desired(3, VolumePolicy::Delete), &seen);
    assert_eq!(plan.steps, []);
    let missing = vec![1, 2, 3, 5];
    assert_eq!(plan.waiting, [Wait::MetaLeader { members: 5, missing }]);
    // A follower that is merely silent is no reason to change voters.
    let mut seen = quiet(3);
    seen.nodes.remove(&3);
    assert_eq!(steps(3, &seen), []);
}

#[test]
fn a_member_is_never_stopped_and_a_forgotten_broker_goes_in_two_passes() {
    let mut seen = quiet(3);
    seen.processes.insert(4, up());
    assert_eq!(steps(3, &seen), [Step::Stop(4)]);
    seen.processes.insert(4, Process { running: false, ..up() });
    assert_eq!(steps(3, &seen), [Step::DeleteVolume(4)]);
    assert_eq!(plan(&desired(3, VolumePolicy::Retain), &seen).steps, []);
    // Some group still names it.
    led_by_1(&mut seen, group("orders", &[1, 2, 4], &[1, 2, 4]));
    let held = plan(&desired(3, VolumePolicy::Delete), &seen);
    assert!(!held.steps.contains(&Step::DeleteVolume(4)), "{held:#?}");
    let rule = |w: &Wait| matches!(w, Wait::Held { rule: "no-member-stopped", .. });
    assert!(held.waiting.iter().any(rule));
}

/// It could join, and be given replicas, between the look and the stop.
#[test]
fn a_broker_that_is_about_to_join_and_is_wanted_no_more_is_stopped_when_it_has_left() {
    let mut seen = quiet(3);
    seen.processes.insert(4, up());
    let (state, cluster_id, meta) = (NodeState::Uninitialized, None, None);
    let node = Node { state, cluster_id, meta, directory: "d4".into(), ..seen.nodes[&2].clone() };
    seen.nodes.insert(4, node.clone());
    let waiting = plan(&desired(3, VolumePolicy::Delete), &seen);
    assert_eq!(waiting.steps, []);
    assert_eq!(waiting.waiting, [Wait::Registration { brokers: vec![4] }]);
    seen.nodes.insert(4, Node { state: NodeState::Retired, ..node });
    assert_eq!(steps(3, &seen), [Step::Stop(4)]);
}

/// A leader whose disk hangs may be the last to hear who has joined.
#[test]
fn who_is_a_member_by_the_newest_image_is_not_stopped() {
    let mut seen = quiet(3);
    seen.processes.insert(4, up());
    let mut newer = seen.nodes[&1].meta.clone().unwrap();
    newer.applied += 1;
    newer.brokers.insert(4, Member { meta_peer: peer(4), ..newer.brokers[&3].clone() });
    for id in [2, 3] {
        seen.nodes.get_mut(&id).unwrap().meta = Some(newer.clone());
    }
    let steps = steps(3, &seen);
    assert!(!steps.contains(&Step::Stop(4)), "{steps:?}");
}

#[test]
fn one_disruption_at_a_time() {
    let mut seen = quiet(3);
    for id in [4, 5] {
        seen.processes.insert(id, up());
    }
    assert_eq!(steps(3, &seen), [Step::Stop(4)]);
}

#[test]
fn a_member_moves_as_learner_then_one_joint_change() {
    let mut seen = quiet(4);
    led_by_1(&mut seen, group("orders", &[1, 2, 3], &[1, 2, 4]));
    let orders = |seen: &Observed| -> Vec<Step> {
        steps(4, seen).into_iter().filter(|s| s.group() == Some(("orders", 0))).collect()
    };
    assert_eq!(orders(&seen), [change(Change::AddLearner(peer(4)))]);
    let group = seen.nodes.get_mut(&1).unwrap().groups.last_mut().unwrap();
    group.conf.learners = peers(&[4]);
    group.progress.get_mut(&peer(4)).unwrap().caught_up = false;
    assert_eq!(orders(&seen), [], "not before it has caught up");
    let group = seen.nodes.get_mut(&1).unwrap().groups.last_mut().unwrap();
    group.progress.get_mut(&peer(4)).unwrap().caught_up = true;
    let (promote, demote, remove) = (vec![peer(4)], Vec::new(), vec![peer(3)]);
    assert_eq!(orders(&seen), [change(Change::Joint { promote, demote, remove })]);
    let group = seen.nodes.get_mut(&1).unwrap().groups.last_mut().unwrap();
    group.conf.outgoing = peers(&[1, 2, 3]);
    assert_eq!(orders(&seen), [change(Change::LeaveJoint)], "a change that is open is ended first");
}

#[test]
fn a_leader_hands_over_before_it_leaves() {
    let mut seen = quiet(4);
    let mut moving = group("orders", &[1, 2, 3], &[2, 3, 4]);
    moving.conf.learners = peers(&[4]);
    led_by_1(&mut seen, moving);
    let topic = "orders".to_string();
    let hand_over = Step::TransferLeadership { to: 1, topic, partition: 0, peer: peer(3) };
    assert!(steps(4, &seen).contains(&hand_over));
}

#[test]
fn no_change_without_a_majority() {
    let mut seen = quiet(4);
    let mut moving = group("orders", &[1, 2, 3], &[1, 2, 4]);
    for down in [2, 3] {
        moving.progress.get_mut(&peer(down)).unwrap().active = false;
    }
    led_by_1(&mut seen, moving);
    let plan = plan(&desired(4, VolumePolicy::Delete), &seen);
    assert!(plan.steps.iter().all(|s| s.group() != Some(("orders", 0))), "{plan:#?}");
    let says = |w: &Wait| w.to_string().contains("only 1 of 3 replicas that vote in orders-0");
    assert!(plan.waiting.iter().any(says), "{:#?}", plan.waiting);
}

#[test]
fn a_size_without_a_quorum_of_what_remains_is_refused() {
    let mut seen = quiet(5);
    for id in [2, 3, 4, 5] {
        // They answer nobody, and their sessions have not ended: they may be alive.
        seen.nodes.remove(&id);
    }
    let plan = plan(&desired(3, VolumePolicy::Delete), &seen);
    assert_eq!(
        plan.refused[0].to_string(),
        "spec.replicas 3: only 1 of the 3 brokers that would remain are up, which is no quorum; \
         broker 2, 3 is down"
    );
}

#[test]
fn only_a_retired_directory_is_wiped() {
    let mut seen = quiet(3);
    seen.processes.insert(4, up());
    let mut node = seen.nodes[&3].clone();
    (node.directory, node.state) = ("old".into(), NodeState::Retired);
    seen.nodes.insert(4, node);
    assert_eq!(steps(4, &seen), [Step::Wipe { to: 4, directory: "old".into() }]);
    seen.nodes.get_mut(&4).unwrap().state = NodeState::Member;
    assert_eq!(steps(4, &seen), [], "it may only not have heard yet");
}

#[test]
fn eight_groups_move_at_a_time() {
    let mut seen = quiet(4);
    for partition in 0..20 {
        led_by_1(&mut seen, Group { partition, ..group("orders", &[1, 2, 3], &[1, 2, 4]) });
    }
    let moved = steps(4, &seen).into_iter().filter(|s| s.group().is_some_and(|g| g.0 == "orders"));
    assert_eq!(moved.count(), chronik_plan::MOVES_MAX);
}

#[test]
fn a_rebalance_is_not_asked_for_twice_at_the_same_counts() {
    let mut seen = quiet(3);
    for node in seen.nodes.values_mut() {
        node.meta.as_mut().unwrap().brokers.get_mut(&1).unwrap().replicas = 5;
    }
    assert_eq!(steps(3, &seen), [Step::Rebalance { to: 1 }]);
    seen.rebalanced_at = Some(BTreeMap::from([(1, 5), (2, 0), (3, 0)]));
    assert_eq!(steps(3, &seen), []);
}

/// All brokers run something older than the manifest asks for.
pub(crate) fn outdated(brokers: u32) -> Observed {
    let mut seen = quiet(brokers);
    for process in seen.processes.values_mut() {
        process.revision = Revision::Due;
    }
    seen
}

pub(crate) fn waits(brokers: u32, seen: &Observed) -> Vec<String> {
    let plan = plan(&desired(brokers, VolumePolicy::Delete), seen);
    assert_eq!(plan.steps, []);
    plan.waiting.iter().map(ToString::to_string).collect()
}

#[test]
fn a_roll_goes_one_by_one_and_ends_with_the_leader_of_meta() {
    let mut seen = outdated(3);
    for id in [2, 3, 1] {
        assert_eq!(steps(3, &seen), [Step::Update(id)]);
        // What is begun is ended before anything else is begun.
        seen.processes.get_mut(&id).unwrap().revision = Revision::Begun;
        assert_eq!(steps(3, &seen), [Step::Update(id)]);
        seen.processes.get_mut(&id).unwrap().revision = Revision::Current;
    }
    assert!(plan(&desired(3, VolumePolicy::Delete), &seen).is_converged());
}

#[test]
fn a_roll_waits_for_whoever_is_not_well() {
    let mut seen = outdated(3);
    seen.nodes.get_mut(&1).unwrap().quorum_losses.insert(2, 4);
    let expected = "restarting broker 2: 4 groups would lose the quorum that has caught up";
    assert_eq!(waits(3, &seen), [expected]);
    let mut seen = outdated(3);
    seen.nodes.get_mut(&3).unwrap().offline = 1;
    let expected = "restarting broker 2: 1 replicas of broker 3 are out of service";
    assert_eq!(waits(3, &seen), [expected]);
    let mut seen = outdated(3);
    seen.nodes.get_mut(&1).unwrap().meta.as_mut().unwrap().partitions = 7;
    let expected = "restarting broker 2: 7 of 8 groups have no leader";
    assert_eq!(waits(3, &seen), [expected]);
    // The second did not come back: nobody else is touched.
    let mut seen = outdated(3);
    seen.nodes.remove(&2);
    seen.processes.get_mut(&2).unwrap().revision = Revision::Current;
    seen.processes.get_mut(&2).unwrap().idle = true;
    assert_eq!(waits(3, &seen), ["broker 2 to answer"]);
    // Asked for something else meanwhile, it is the first to get it.
    seen.processes.get_mut(&2).unwrap().revision = Revision::Due;
    assert_eq!(waits(3, &seen), ["broker 2 to answer"], "it may come up as what it is");
    seen.processes.get_mut(&2).unwrap().stuck = true;
    assert_eq!(steps(3, &seen), [Step::Update(2)]);
}

#[test]
fn a_change_of_size_goes_before_a_roll() {
    let seen = outdated(3);
    assert_eq!(steps(4, &seen), [Step::Start(4)]);
    assert!(matches!(steps(2, &seen).as_slice(), [Step::Cordon { broker: 3, .. }]));
}

#[test]
fn nobody_may_take_a_broker_down_while_one_is_missing() {
    let spare = |seen: &Observed| plan(&desired(3, VolumePolicy::Delete), seen).spare;
    let mut seen = quiet(3);
    assert!(spare(&seen));
    seen.nodes.get_mut(&1).unwrap().quorum_losses.insert(1, 1);
    assert!(!spare(&seen));
    let mut seen = quiet(3);
    seen.nodes.remove(&3);
    assert!(!spare(&seen));
    assert!(plan(&desired(1, VolumePolicy::Delete), &quiet(1)).spare, "it could not be drained");
    seen.nodes.clear();
    assert!(!spare(&seen), "unknown");
}

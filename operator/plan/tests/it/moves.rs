//! Which groups move at the same time, and what people are told of it.

use chronik_plan::{BrokerId, Group, MOVES_MAX, VolumePolicy, plan};

use crate::properties::desired;
use crate::rules::{group, led_by_1, peers, quiet, steps};

/// A group on its way to broker `to`, which is being filled.
fn filling(to: BrokerId) -> Group {
    let mut group = group("orders", &[1, 2, 3], &[1, 2, to]);
    group.conf.learners = peers(&[to]);
    for peer in peers(&[to]) {
        let progress = group.progress.get_mut(&peer).unwrap();
        (progress.caught_up, progress.percent) = (false, 40);
    }
    group
}

/// Whether a group gets a step while so many others are as `others` is. The fifth broker is down.
fn check(others: &Group, group: Group, expected: bool) {
    let mut seen = quiet(5);
    seen.nodes.remove(&5);
    let last = MOVES_MAX as u32;
    for partition in 0..last {
        led_by_1(&mut seen, Group { partition, ..others.clone() });
    }
    led_by_1(&mut seen, Group { partition: last, ..group });
    let steps = steps(5, &seen);
    assert_eq!(
        steps.iter().any(|step| step.group() == Some(("orders", last))),
        expected,
        "{steps:#?}"
    );
}

#[test]
fn what_does_not_move_leaves_room_for_what_can() {
    let new = || group("orders", &[1, 2, 3], &[1, 2, 4]);
    check(&filling(4), new(), false);
    check(&filling(5), new(), true);
    // The cluster may not have heard yet that they are there.
    check(&group("orders", &[1, 2, 3], &[1, 2, 3]), new(), true);
}

#[test]
fn what_was_begun_is_ended_whatever_else_moves() {
    let mut joint = group("orders", &[1, 2, 4], &[1, 2, 4]);
    joint.conf.outgoing = peers(&[1, 2, 3]);
    check(&filling(4), joint, true);
    // The new voters are in, the old ones are not out.
    check(&filling(4), group("orders", &[1, 2, 3, 4], &[1, 2, 4]), true);
}

/// What is waited for while there is one group, of which the cluster's image says nothing yet.
fn check_told(group: Group, expected: &[&str]) {
    let mut seen = quiet(4);
    seen.nodes.get_mut(&1).unwrap().groups.push(group);
    let plan = plan(&desired(4, VolumePolicy::Delete), &seen);
    let waiting: Vec<String> = plan.waiting.iter().map(ToString::to_string).collect();
    assert_eq!(waiting, expected);
}

#[test]
fn people_are_told_of_a_move_before_the_cluster_has_heard_of_it() {
    let expected = [
        "1 groups to reach their target, 1 of them moving",
        "broker 4 to catch up in orders-0 (40 %)",
    ];
    check_told(filling(4), &expected);
}

#[test]
fn a_group_that_nobody_wants_is_left_alone() {
    let mut unwanted = group("orders", &[1, 2, 3], &[]);
    check_told(unwanted.clone(), &[]);
    unwanted.conf.outgoing = peers(&[1, 2, 4]);
    check(&filling(5), unwanted, true);
}

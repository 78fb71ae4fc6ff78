//! Racks that the platform sees: told to the cluster when they differ, and taken back.

use chronik_plan::{Desired, Observed, Step, VolumePolicy, plan};

use crate::model::{World, rack};
use crate::properties::{converge, desired};
use crate::rules::quiet;

fn told(seen: &mut Observed, broker: u32, rack: Option<&str>) {
    for node in seen.nodes.values_mut() {
        let member = node.meta.as_mut().unwrap().brokers.get_mut(&broker).unwrap();
        member.told_rack = rack.map(str::to_owned);
    }
}

fn set(broker: u32, rack: Option<&str>) -> Step {
    let rack = rack.map(str::to_owned);
    Step::SetRack { to: 1, broker, directory: format!("d{broker}"), rack }
}

fn check(desired: &Desired, seen: &Observed, expected: &[Step]) {
    assert_eq!(plan(desired, seen).steps, expected);
}

#[test]
fn only_what_differs_is_told() {
    let three = desired(3, VolumePolicy::Retain);
    let mut seen = quiet(3);
    check(&three, &seen, &[]);
    for (id, rack) in [(1, "a"), (2, "b"), (3, "b")] {
        seen.racks.insert(id, rack.to_owned());
    }
    check(&three, &seen, &[set(1, Some("a")), set(2, Some("b")), set(3, Some("b"))]);
    told(&mut seen, 1, Some("a"));
    told(&mut seen, 2, Some("a"));
    told(&mut seen, 3, Some("b"));
    check(&three, &seen, &[set(2, Some("b"))]);
    seen.racks.remove(&2);
    check(&three, &seen, &[]);
}

#[test]
fn brokers_own_word_counts_again_when_the_field_goes() {
    let mut seen = quiet(3);
    told(&mut seen, 2, Some("b"));
    let without = Desired { platform_racks: false, ..desired(3, VolumePolicy::Retain) };
    check(&without, &seen, &[set(2, None)]);
    told(&mut seen, 2, None);
    check(&without, &seen, &[]);
}

#[test]
fn a_grown_cluster_knows_where_all_stand() {
    let mut world = World::new(3);
    for brokers in [3, 5] {
        converge(&mut world, &desired(brokers, VolumePolicy::Delete));
        let members = &world.cluster.as_ref().unwrap().brokers;
        assert_eq!(members.len(), brokers as usize);
        for (id, member) in members {
            assert_eq!(member.told_rack, Some(rack(*id)));
        }
    }
}

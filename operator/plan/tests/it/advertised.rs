//! Addresses for clients outside the platform: told to the cluster when they differ, and taken back.

use chronik_plan::{Desired, Observed, Step, VolumePolicy, plan};

use crate::model::{World, address};
use crate::properties::{converge, desired};
use crate::rules::quiet;

fn told(seen: &mut Observed, broker: u32, address: Option<&str>) {
    for node in seen.nodes.values_mut() {
        let member = node.meta.as_mut().unwrap().brokers.get_mut(&broker).unwrap();
        member.advertised = address.map(str::to_owned);
    }
}

fn set(broker: u32, address: Option<&str>) -> Step {
    let address = address.map(str::to_owned);
    Step::SetAdvertised { to: 1, broker, directory: format!("d{broker}"), address }
}

fn check(desired: &Desired, seen: &Observed, expected: &[Step]) {
    assert_eq!(plan(desired, seen).steps, expected);
}

#[test]
fn only_what_differs_is_told() {
    let three = desired(3, VolumePolicy::Retain);
    let mut seen = quiet(3);
    check(&three, &seen, &[]);
    for (id, address) in [(1, "a:1"), (2, "b:2")] {
        seen.advertised.insert(id, address.to_owned());
    }
    check(&three, &seen, &[set(1, Some("a:1")), set(2, Some("b:2"))]);
    told(&mut seen, 1, Some("a:1"));
    told(&mut seen, 2, Some("old:2"));
    check(&three, &seen, &[set(2, Some("b:2"))]);
    // Nothing is known of it now: it may be where it was.
    seen.advertised.remove(&2);
    check(&three, &seen, &[]);
}

#[test]
fn nothing_is_told_any_more_when_the_field_goes() {
    let mut seen = quiet(3);
    told(&mut seen, 2, Some("b:2"));
    seen.advertised.insert(1, "a:1".to_owned());
    let without = Desired { platform_addresses: false, ..desired(3, VolumePolicy::Retain) };
    check(&without, &seen, &[set(2, None)]);
    told(&mut seen, 2, None);
    check(&without, &seen, &[]);
}

#[test]
fn the_address_of_a_broker_that_joins_is_told() {
    let mut world = World::new(3);
    for brokers in [3, 5] {
        converge(&mut world, &desired(brokers, VolumePolicy::Delete));
        let members = &world.cluster.as_ref().unwrap().brokers;
        assert_eq!(members.len(), brokers as usize);
        for (id, member) in members {
            assert_eq!(member.advertised, Some(address(*id)));
        }
    }
}

//! Racks that the operator sets: they count for more than what brokers say, and stay with their
//! directory.

use super::*;
use crate::meta::placement::{place, rebalance};

fn rack(c: &Cluster, id: u32) -> Option<&str> {
    c.state.broker(broker(id)).unwrap().rack()
}

fn again(id: u32, boot: u64, rack: &str) -> Command {
    let rack = Some(rack.to_owned());
    let directory = directory(id);
    Command::RegisterBroker(Registration { rack, directory, ..registration(id, 0, boot) })
}

#[test]
fn the_operators_word_outlives_restarts_and_ends_with_the_directory() {
    let mut c = cluster(2);
    c.accept(&again(2, 2, "own"));
    assert_eq!(rack(&c, 2), Some("own"));
    let (_, applied) = c.accept(&set_rack(2, Some("zone")));
    assert!(applied.brokers_changed);
    assert_eq!((rack(&c, 1), rack(&c, 2)), (None, Some("zone")));
    let (_, applied) = c.accept(&set_rack(2, Some("zone")));
    assert!(!applied.brokers_changed, "a repeated order changes nothing");
    c.accept(&again(2, 3, "own"));
    assert_eq!(rack(&c, 2), Some("zone"));
    c.accept(&set_rack(2, None));
    assert_eq!(rack(&c, 2), Some("own"));
    c.accept(&set_rack(2, Some("zone")));
    let fenced = true;
    c.accept(&Command::SetFenced { broker: broker(2), directory: directory(2), fenced });
    c.accept(&Command::RegisterBroker(registration(2, 999, 1)));
    assert_eq!(rack(&c, 2), None, "a new directory may stand elsewhere");
    let other = format!("broker 2 has directory {} now, not {}", uuid(999), directory(2));
    c.refuse(&set_rack(2, Some("zone")), &other);
    c.refuse(
        &Command::SetRack { broker: broker(9), directory: uuid(1), rack: None },
        "broker 9 is not registered",
    );
}

#[test]
fn replicas_are_spread_over_them() {
    let mut c = cluster(4);
    for (id, rack) in [(1, "a"), (2, "a"), (3, "a"), (4, "b")] {
        c.accept(&set_rack(id, Some(rack)));
    }
    let spread = |list: &[BrokerId]| list.contains(&broker(4));
    let placed = place(&c.state, 6, 2).unwrap();
    assert!(placed.iter().all(|list| spread(list)), "{placed:?}");
    // What was placed before anybody knew better is moved when the operator asks for balance.
    c.accept(&create("t", 7, &[&[1, 2], &[2, 3]]));
    let targets = rebalance(&c.state);
    c.accept(&Command::SetTargets { targets });
    for partition in [0, 1] {
        let target: Vec<BrokerId> = c.target(7, partition).iter().map(|p| p.broker()).collect();
        assert!(spread(&target), "{target:?}");
    }
}

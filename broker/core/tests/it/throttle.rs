//! Replicas that move no faster than they may, while everybody else is served.

use chronik_core::ids::Micros;

use crate::membership::three_small;
use crate::operator::{add_fourth, empty_first, operate};
use crate::records::{assert_holds, put, with_topic};
use crate::topics::set;

const RATE: &str = "leader.replication.throttled.rate";
const VALUES: usize = 150;
const VALUE_BYTES: usize = 40_000;

/// How long 6 MB take from the first broker to a fourth.
fn moved_within(rate: Option<&str>) -> Micros {
    let mut client = with_topic(three_small(), &[]);
    let value = vec![b'v'; VALUE_BYTES];
    let held = (0..VALUES).map(|_| put(&mut client, "t", &value)).collect();
    if let Some(rate) = rate {
        set(&mut client, 4, "", RATE, rate, 0);
    }
    add_fourth(&mut client.cluster);
    empty_first(&mut client.cluster);
    let began = client.cluster.now.mono;
    operate(&mut client.cluster);
    let took = client.cluster.now.mono.since(began);
    assert_holds(&mut client, "t", &held);
    took
}

#[test]
fn moves_keep_to_their_rate() {
    let free = moved_within(None);
    assert!(free < Micros::from_millis(4_000), "{free:?}");
    // What a message is too large for is owed, so that the rate holds but for the last of them.
    let slow = moved_within(Some("500000"));
    let (least, most) = (Micros::from_millis(8_000), Micros::from_millis(14_000));
    assert!(slow > least && slow < most, "{slow:?}");
}

#[test]
fn a_rate_of_nothing_is_refused() {
    const INVALID_CONFIG: i16 = 40;
    let mut client = with_topic(three_small(), &[]);
    for rate in ["0", "-1", "fast"] {
        set(&mut client, 4, "", RATE, rate, INVALID_CONFIG);
    }
}

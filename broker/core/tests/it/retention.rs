//! Records that are too old, too many or deleted are gone on all replicas, and a replica that is
//! placed afterwards starts where the others do.

use chronik_core::ids::BrokerId;

use crate::kafka::Client;
use crate::membership::three_small;
use crate::moves::{assert_producer_known, of_producer};
use crate::offsets::{delete, delete_within, list_of};
use crate::operator::move_to_a_fourth;
use crate::records::{Records, followers, lead, leader, produce, read, with_topic};

const LAST: i32 = 59;

fn filled(client: &mut Client) {
    for n in 0..=LAST {
        assert_eq!(produce(client, "t", -1, of_producer(n)), (0, i64::from(n)));
    }
}

fn start(client: &mut Client) -> i64 {
    client.broker = leader(client, "t");
    list_of(client, "t", -2).1
}

/// That each replica, and one that is placed now, has the same records and knows the producer.
fn assert_everywhere(client: &mut Client) {
    let (start_now, records): (i64, Records) = (start(client), read(client, "t"));
    assert_eq!(records.first().map_or(60, |record| record.0), start_now);
    for id in 1..=3 {
        lead(client, "t", BrokerId(id));
        assert_eq!((start(client), read(client, "t")), (start_now, records.clone()), "broker {id}");
    }
    move_to_a_fourth(&mut client.cluster);
    lead(client, "t", BrokerId(4));
    assert_eq!((start(client), read(client, "t")), (start_now, records), "the new replica");
    assert_producer_known(client, LAST, i64::from(LAST));
    assert_eq!(produce(client, "t", -1, of_producer(LAST + 1)), (0, i64::from(LAST) + 1));
}

#[test]
fn too_many_bytes() {
    let mut client = with_topic(three_small(), &[("retention.bytes", "8000")]);
    filled(&mut client);
    client.cluster.run(3_000);
    let start = start(&mut client);
    assert!((20..60).contains(&start), "starts at {start}");
    assert_everywhere(&mut client);
}

#[test]
fn too_old() {
    let mut client = with_topic(three_small(), &[("retention.ms", "60000")]);
    filled(&mut client);
    assert_eq!(start(&mut client), 0);
    client.cluster.run(70_000);
    assert!(start(&mut client) > 40, "starts at {}", start(&mut client));
    assert_everywhere(&mut client);
}

#[test]
fn deleted() {
    for before in [33, -1] {
        let mut client = with_topic(three_small(), &[]);
        filled(&mut client);
        client.broker = leader(&mut client, "t");
        let expected = if before == -1 { 60 } else { before };
        assert_eq!(delete(&mut client, before), (0, expected));
        client.cluster.run(1_000);
        assert_eq!(start(&mut client), expected);
        assert_everywhere(&mut client);
    }
}

#[test]
fn a_deletion_that_is_not_decided_in_time_says_so() {
    const TIMED_OUT: i16 = 7;
    let mut client = with_topic(three_small(), &[]);
    filled(&mut client);
    for follower in followers(&mut client, "t") {
        client.cluster.hanging.insert(follower, Vec::new());
    }
    client.broker = leader(&mut client, "t");
    assert_eq!(delete_within(&mut client, 33, 300), (TIMED_OUT, -1));
}

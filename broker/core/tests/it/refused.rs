//! An idempotent producer's batches behind one that was refused: they are refused with it, until that
//! one has come again.

use chronik_core::core::Limits;
use chronik_core::ids::BrokerId;

use crate::cluster::Cluster;
use crate::full::capacity;
use crate::kafka::Client;
use crate::membership::{grown, small, three_small};
use crate::moves::of_producer;
use crate::operator::{add_fourth, empty_first, operate};
use crate::records::{followers, lead, leader, produce, produce_at, send, sent, with_topic};

const NOT_LEADER: i16 = 6;
const OUT_OF_ORDER: i16 = 45;
const STORAGE_ERROR: i16 = 56;

fn with_reserve() -> Client {
    let limits = Limits { free_bytes_min: 1 << 20, ..small() };
    with_topic(grown(Cluster::with(3, limits)), &[])
}

/// The producer's `n`th batch finds no space; then there is some again.
fn refuse_for_want_of_space(client: &mut Client, n: i32) {
    capacity(client, Some(1 << 19));
    client.cluster.run(200);
    assert_eq!(produce(client, "t", -1, of_producer(n)).0, STORAGE_ERROR);
    capacity(client, None);
    client.cluster.run(200);
}

#[test]
fn a_follower_that_refused_a_batch_and_leads_then_refuses_what_is_behind_it() {
    let mut client = with_topic(three_small(), &[]);
    assert_eq!(produce(&mut client, "t", -1, of_producer(0)), (0, 0));
    let next = followers(&mut client, "t")[0];
    assert_eq!(produce_at(&mut client, next, "t", of_producer(1)).0, NOT_LEADER);
    lead(&mut client, "t", next);
    // On its way already when the one in front of it was refused.
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)).0, NOT_LEADER);
    assert_eq!(produce(&mut client, "t", -1, of_producer(1)), (0, 1));
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)), (0, 2));
    // Nothing was refused that would explain this one.
    assert_eq!(produce(&mut client, "t", -1, of_producer(4)).0, OUT_OF_ORDER);
}

#[test]
fn a_leader_that_comes_back_refuses_what_is_behind_a_batch_that_it_lost() {
    let mut client = with_topic(three_small(), &[]);
    assert_eq!(produce(&mut client, "t", -1, of_producer(0)), (0, 0));
    let (old, others) = (leader(&mut client, "t"), followers(&mut client, "t"));
    for other in &others {
        client.cluster.cut(old, *other);
        client.cluster.cut(*other, old);
    }
    let lost = send(&mut client, "t", -1, of_producer(1));
    client.cluster.run(2_500);
    for other in &others {
        client.cluster.mend(old, *other);
        client.cluster.mend(*other, old);
    }
    client.cluster.run(1_000);
    assert_eq!(sent(&mut client, lost).0, NOT_LEADER);
    lead(&mut client, "t", old);
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)).0, NOT_LEADER);
    assert_eq!(produce(&mut client, "t", -1, of_producer(1)), (0, 1));
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)), (0, 2));
}

#[test]
fn a_broker_that_refused_a_batch_before_it_had_a_replica_refuses_what_is_behind_it() {
    let mut client = with_topic(three_small(), &[]);
    assert_eq!(produce(&mut client, "t", -1, of_producer(0)), (0, 0));
    add_fourth(&mut client.cluster);
    assert_eq!(produce_at(&mut client, BrokerId(4), "t", of_producer(1)).0, NOT_LEADER);
    empty_first(&mut client.cluster);
    operate(&mut client.cluster);
    lead(&mut client, "t", BrokerId(4));
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)).0, NOT_LEADER);
    assert_eq!(produce(&mut client, "t", -1, of_producer(1)), (0, 1));
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)), (0, 2));
}

#[test]
fn a_refused_batch_that_was_in_the_log_holds_nobody_up() {
    let mut client = with_topic(three_small(), &[]);
    for n in 0..2 {
        assert_eq!(produce(&mut client, "t", -1, of_producer(n)), (0, i64::from(n)));
    }
    let next = followers(&mut client, "t")[0];
    assert_eq!(produce_at(&mut client, next, "t", of_producer(1)).0, NOT_LEADER);
    lead(&mut client, "t", next);
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)), (0, 2));
    assert_eq!(produce(&mut client, "t", -1, of_producer(4)).0, OUT_OF_ORDER);
}

#[test]
fn what_was_refused_for_want_of_space_is_in_front_of_what_comes_when_there_is_some() {
    let mut client = with_reserve();
    assert_eq!(produce(&mut client, "t", -1, of_producer(0)), (0, 0));
    refuse_for_want_of_space(&mut client, 1);
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)).0, NOT_LEADER);
    assert_eq!(produce(&mut client, "t", -1, of_producer(1)), (0, 1));
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)), (0, 2));
}

#[test]
fn a_producers_second_batch_does_not_pass_its_first() {
    let mut client = with_reserve();
    refuse_for_want_of_space(&mut client, 0);
    // Nothing is known of its producer, which might be anywhere in its sequence.
    assert_eq!(produce(&mut client, "t", -1, of_producer(1)).0, NOT_LEADER);
    assert_eq!(produce(&mut client, "t", -1, of_producer(0)), (0, 0));
    assert_eq!(produce(&mut client, "t", -1, of_producer(1)), (0, 1));
}

#[test]
fn who_does_not_send_a_refused_batch_again_is_told_that_it_is_missing() {
    let mut client = with_reserve();
    assert_eq!(produce(&mut client, "t", -1, of_producer(0)), (0, 0));
    refuse_for_want_of_space(&mut client, 1);
    client.cluster.run(31_000);
    assert_eq!(produce(&mut client, "t", -1, of_producer(2)).0, OUT_OF_ORDER);
}

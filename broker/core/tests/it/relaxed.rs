//! With `flush.messages` above 1, acks=all is answered when a quorum has written a batch; without
//! it, when a quorum has synced it.

use chronik_core::ids::BrokerId;

use crate::kafka::Client;
use crate::membership::{three, three_small};
use crate::records::{assert_holds, batch, followers, leader, read, send, sent, with_topic};

const STORAGE_ERROR: i16 = 56;

fn hang(client: &mut Client) {
    for id in 1..=3 {
        client.cluster.hanging.insert(BrokerId(id), Vec::new());
    }
}

fn unhang(client: &mut Client) {
    for id in 1..=3 {
        client.cluster.unhang(BrokerId(id));
    }
    client.cluster.run(1_000);
}

#[test]
fn a_relaxed_topic_is_answered_before_the_sync_and_read_after_it() {
    let mut client = with_topic(three(), &[("flush.messages", "1000"), ("flush.ms", "1000")]);
    client.cluster.run(1_000);
    hang(&mut client);
    let token = send(&mut client, "t", -1, batch(b"early"));
    assert!(client.cluster.replies.contains_key(&token), "two have written it");
    let (error, offset) = sent(&mut client, token);
    assert_eq!((error, offset), (0, 0));
    assert_eq!(read(&mut client, "t"), [], "the high watermark is what is synced");
    unhang(&mut client);
    assert_holds(&mut client, "t", &vec![(0, "early".into())]);
}

#[test]
fn a_relaxed_topic_without_a_follower_is_not_answered() {
    let mut client = with_topic(three(), &[("flush.messages", "1000"), ("flush.ms", "1000")]);
    let leader = leader(&mut client, "t");
    let followers = followers(&mut client, "t");
    for follower in followers {
        client.cluster.kill(follower);
    }
    client.broker = leader;
    let token = send(&mut client, "t", -1, batch(b"alone"));
    assert!(!client.cluster.replies.contains_key(&token));
    assert_ne!(sent(&mut client, token).0, 0, "nobody else has it");
}

#[test]
fn any_other_topic_is_answered_after_the_sync() {
    let mut client = with_topic(three(), &[]);
    client.cluster.run(1_000);
    hang(&mut client);
    let token = send(&mut client, "t", -1, batch(b"late"));
    assert!(!client.cluster.replies.contains_key(&token), "nobody has synced it");
    unhang(&mut client);
    assert!(client.cluster.replies.contains_key(&token));
    assert_eq!(sent(&mut client, token).0, 0);
}

#[test]
fn a_relaxed_topic_is_not_answered_by_a_leader_that_could_not_write() {
    let relaxed = [("flush.messages", "1000"), ("flush.ms", "1000")];
    let mut client = with_topic(three_small(), &relaxed);
    let leader = leader(&mut client, "t");
    let followers = followers(&mut client, "t");
    client.cluster.kill(followers[0]);
    client.cluster.run(1_000);
    for id in [leader, followers[1]] {
        client.cluster.hanging.insert(id, Vec::new());
    }
    client.cluster.nodes[&leader].disk.set_capacity(Some(0));
    for n in 0..200_u32 {
        client.broker = leader;
        let token = send(&mut client, "t", -1, batch(&n.to_be_bytes().repeat(500)));
        if client.cluster.replies.contains_key(&token) {
            assert_eq!(sent(&mut client, token).0, 0, "written by both");
            continue;
        }
        assert!(n > 5, "there was space at first");
        client.broker = leader;
        let next = send(&mut client, "t", -1, batch(b"next"));
        assert_eq!(sent(&mut client, next).0, STORAGE_ERROR, "the leader's disk is full");
        return;
    }
    panic!("a batch that the leader could not write was answered");
}

//! A stream that breaks and is opened again, while the one in the other direction goes on: what comes
//! back on that one may answer what was said before the break.

use chronik_core::core::input::Input;
use chronik_core::ids::BrokerId;

use crate::kafka::Client;
use crate::membership::three;
use crate::records::{assert_holds, batch, followers, leader, put, send, sent, with_topic};

/// A leader that needs the one follower it has left, and both.
fn pair() -> (Client, BrokerId, BrokerId) {
    let mut client = with_topic(three(), &[]);
    put(&mut client, "t", b"before");
    let leader = leader(&mut client, "t");
    let others = followers(&mut client, "t");
    client.cluster.kill(others[1]);
    client.cluster.run(200);
    (client, leader, others[0])
}

#[test]
fn answers_to_an_older_stream_are_not_counted() {
    let (mut client, leader, follower) = pair();
    client.cluster.input(leader, Input::PeerReachable { to: follower, stream: None });
    let hello = client.cluster.dial(leader, follower);
    // The follower answers what it gets as if it came on the stream before.
    let token = send(&mut client, "t", -1, batch(b"while in doubt"));
    client.cluster.run(500);
    assert!(!client.cluster.replies.contains_key(&token), "a stale answer was counted");
    client.cluster.input(follower, Input::PeerConnected(hello));
    assert_eq!(sent(&mut client, token).0, 0);
    let last = put(&mut client, "t", b"after");
    assert_holds(&mut client, "t", &vec![last]);
}

#[test]
fn an_answer_that_waits_for_its_sync_does_not_answer_a_newer_stream() {
    let (mut client, leader, follower) = pair();
    client.cluster.hanging.insert(follower, Vec::new());
    let token = send(&mut client, "t", -1, batch(b"waits for its sync"));
    client.cluster.input(leader, Input::PeerReachable { to: follower, stream: None });
    let hello = client.cluster.dial(leader, follower);
    client.cluster.input(follower, Input::PeerConnected(hello));
    client.cluster.unhang(follower);
    assert!(!client.cluster.replies.contains_key(&token), "the older stream's append was answered");
    assert_eq!(sent(&mut client, token).0, 0, "the leader asks again");
}

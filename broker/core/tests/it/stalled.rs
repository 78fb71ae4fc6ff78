//! A broker whose disk hangs gives its leaderships away, and gets them back afterwards; as a follower it
//! is there all the same.

use chronik_core::ids::BrokerId;

use crate::balance::{self, away};
use crate::kafka::Client;
use crate::membership::three_small;
use crate::records::{self, batch, followers, partition, put, send, sent, with_topic};

const ONE: BrokerId = BrokerId(1);

/// What another broker shows.
fn shown(client: &mut Client) -> usize {
    client.broker = BrokerId(2);
    away(client)
}

#[test]
fn leaderships_leave_a_disk_that_hangs_and_come_back() {
    let mut client = balance::client();
    client.cluster.hanging.insert(ONE, Vec::new());
    send(&mut client, "t", -1, batch(b"to be synced by all"));
    client.cluster.run(1_000);
    assert_eq!(shown(&mut client), 0, "a slow disk is not a hanging one");
    client.cluster.run(3_000);
    for _ in 0..20 {
        client.cluster.run(1_000);
        assert_eq!(shown(&mut client), 2, "nothing is handed back meanwhile");
        assert_eq!(client.cluster.describe(ONE).leaders, 0);
    }
    let record = put(&mut client, "t", b"meanwhile");
    client.cluster.unhang(ONE);
    client.cluster.run(12_000);
    assert_eq!(shown(&mut client), 0);
    records::assert_holds(&mut client, "t", &vec![record]);
}

#[test]
fn a_leader_stays_and_serves_reads_while_no_other_disk_takes_anything() {
    let mut client = with_topic(three_small(), &[]);
    let mut acknowledged = vec![put(&mut client, "t", b"before")];
    let epoch = partition(&mut client, "t").leader_epoch;
    let others = followers(&mut client, "t");
    for id in &others {
        client.cluster.hanging.insert(*id, Vec::new());
    }
    let waiting = send(&mut client, "t", -1, batch(b"meanwhile"));
    // Longer than a leader waits for a sign of life from a quorum.
    client.cluster.run(2_800);
    records::assert_holds(&mut client, "t", &acknowledged);
    for id in others {
        client.cluster.unhang(id);
    }
    let (error, offset) = sent(&mut client, waiting);
    assert_eq!(error, 0);
    acknowledged.push((offset, b"meanwhile"[..].into()));
    assert_eq!(partition(&mut client, "t").leader_epoch, epoch);
    records::assert_holds(&mut client, "t", &acknowledged);
}

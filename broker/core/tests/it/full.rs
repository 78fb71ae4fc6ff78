//! Disks without space: produce is refused, what was acknowledged stays, and all goes on when there
//! is space again.

use chronik_core::core::Limits;
use chronik_core::ids::BrokerId;

use crate::cluster::Cluster;
use crate::kafka::Client;
use crate::membership::{grown, small, three_small};
use crate::records::{Records, assert_holds, batch, produce, put, with_topic};

const STORAGE_ERROR: i16 = 56;
const TIMED_OUT: i16 = 7;

/// The disks of all brokers have so much space left.
pub(crate) fn capacity(client: &mut Client, bytes: Option<u64>) {
    for node in client.cluster.nodes.values() {
        node.disk.set_capacity(bytes);
    }
}

#[test]
fn below_the_reserve_produce_is_refused() {
    let limits = Limits { free_bytes_min: 1 << 20, ..small() };
    let mut client = with_topic(grown(Cluster::with(3, limits)), &[]);
    let mut acknowledged = vec![put(&mut client, "t", b"before")];
    capacity(&mut client, Some(1 << 19));
    client.cluster.run(200);
    for acks in [-1, 1] {
        assert_eq!(produce(&mut client, "t", acks, batch(b"refused")).0, STORAGE_ERROR);
    }
    assert_holds(&mut client, "t", &acknowledged);
    capacity(&mut client, None);
    client.cluster.run(200);
    acknowledged.push(put(&mut client, "t", b"after"));
    assert_eq!(acknowledged[1].0, 1, "nothing was appended meanwhile");
    assert_holds(&mut client, "t", &acknowledged);
}

/// Produces until the write-ahead log finds no space, and a little longer.
fn fill(client: &mut Client, acks: i16) -> Records {
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..400_u32 {
        let value = [&n.to_be_bytes()[..], &[7; 2_000]].concat();
        match produce(client, "t", acks, batch(&value)) {
            (0, offset) => acknowledged.push((offset, value.into())),
            (error @ (STORAGE_ERROR | TIMED_OUT), _) => {
                refused += 1;
                if refused == 3 {
                    assert_eq!(error, STORAGE_ERROR);
                    return acknowledged;
                }
            }
            (error, _) => panic!("error {error}"),
        }
    }
    panic!("the disk is never full");
}

#[test]
fn a_write_ahead_log_without_space_acknowledges_nothing_and_goes_on_later() {
    for acks in [-1, 1] {
        let mut client = with_topic(three_small(), &[]);
        let mut acknowledged = vec![put(&mut client, "t", b"before")];
        capacity(&mut client, Some(0));
        acknowledged.extend(fill(&mut client, acks));
        assert!(acknowledged.len() > 5);
        capacity(&mut client, None);
        client.cluster.run(2_000);
        acknowledged.push(put(&mut client, "t", b"after"));
        assert_holds(&mut client, "t", &acknowledged);
    }
}

#[test]
fn a_process_killed_on_a_full_disk_keeps_what_it_acknowledged() {
    let mut client = with_topic(three_small(), &[]);
    capacity(&mut client, Some(0));
    let mut acknowledged = fill(&mut client, -1);
    for id in 1..=3 {
        let disk = client.cluster.kill(BrokerId(id));
        disk.set_capacity(None);
        client.cluster.start(BrokerId(id), disk);
        client.cluster.run(3_000);
    }
    acknowledged.push(put(&mut client, "t", b"after"));
    assert_holds(&mut client, "t", &acknowledged);
}

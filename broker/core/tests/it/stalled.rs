//! A broker whose disk hangs gives its leaderships away, and gets them back afterwards.

use chronik_core::ids::BrokerId;

use crate::balance::{self, away};
use crate::kafka::Client;
use crate::records::{self, batch, put, send};

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

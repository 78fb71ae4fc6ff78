//! Power is lost: what was acknowledged is there, whatever of the rest the disks have kept.

use chronik_core::ids::BrokerId;

use crate::kafka::Client;
use crate::membership::three_small;
use crate::records::{Records, assert_holds, batch, followers, leader, put, send, with_topic};

/// Acknowledged records, and a few that are written and not synced.
fn filled(seed: u64) -> (Client, Records) {
    let mut client = with_topic(three_small(), &[]);
    let records = (0..40_u64).map(|n| {
        let value = [n.to_be_bytes().repeat(60), seed.to_be_bytes().to_vec()].concat();
        put(&mut client, "t", &value)
    });
    let records = records.collect();
    (client, records)
}

fn unsynced(client: &mut Client) {
    for id in client.cluster.nodes.keys().copied().collect::<Vec<_>>() {
        client.cluster.hanging.insert(id, Vec::new());
    }
    for n in 0..5_u8 {
        send(client, "t", -1, batch(&[n; 900]));
    }
}

fn coin(mut seed: u64) -> impl FnMut() -> bool {
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 63 == 1
    }
}

fn lose_power(client: &mut Client, ids: &[BrokerId], seed: u64) {
    let disks: Vec<_> = ids.iter().map(|id| (*id, client.cluster.end(*id))).collect();
    client.cluster.hanging.clear();
    for (id, disk) in disks {
        disk.crash(coin(seed + u64::from(id.0)));
        client.cluster.start(id, disk);
    }
    client.cluster.run(5_000);
    for id in ids {
        assert_eq!(client.cluster.describe(*id).offline, [], "a torn tail is no damage");
    }
}

#[test]
fn one_broker_without_power_loses_nothing() {
    for seed in 0..6 {
        let (mut client, mut records) = filled(seed);
        unsynced(&mut client);
        let victim =
            if seed % 2 == 0 { leader(&mut client, "t") } else { followers(&mut client, "t")[0] };
        for id in 1..=3 {
            if BrokerId(id) != victim {
                client.cluster.unhang(BrokerId(id));
            }
        }
        lose_power(&mut client, &[victim], seed);
        records.push(put(&mut client, "t", b"after"));
        assert_holds(&mut client, "t", &records);
    }
}

#[test]
fn all_brokers_without_power_lose_nothing() {
    for seed in 0..6 {
        let (mut client, mut records) = filled(seed);
        unsynced(&mut client);
        lose_power(&mut client, &[1, 2, 3].map(BrokerId), 100 * seed);
        records.push(put(&mut client, "t", b"after"));
        assert_holds(&mut client, "t", &records);
    }
}

#[test]
fn a_killed_broker_says_nothing_before_what_it_reads_back_is_synced() {
    let (mut client, records) = filled(0);
    unsynced(&mut client);
    let victim = followers(&mut client, "t")[0];
    for id in client.cluster.nodes.keys().copied().collect::<Vec<_>>() {
        if id != victim {
            client.cluster.unhang(id);
        }
    }
    // What it has written is there, but it could still be lost with the power.
    let disk = client.cluster.kill(victim);
    client.cluster.hanging.insert(victim, Vec::new());
    client.cluster.frames.remove(&victim);
    client.cluster.start(victim, disk);
    client.cluster.run(500);
    assert_eq!(client.cluster.frames.get(&victim), None, "it vouches for nothing");
    client.cluster.unhang(victim);
    client.cluster.run(500);
    assert!(client.cluster.frames[&victim] > 0);
    assert_holds(&mut client, "t", &records);
}

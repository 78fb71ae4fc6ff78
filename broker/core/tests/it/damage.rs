//! Damage in committed data: the replica goes offline, is named, and is rebuilt from its peers.

use chronik_core::ids::{BrokerId, PartitionId};
use chronik_core::log::disk::Disk;
use chronik_core::log::mem_disk::MemDisk;

use crate::cluster::Cluster;
use crate::kafka::Client;
use crate::membership::{grown, small, three};
use crate::operator::operate;
use crate::records::{Records, fetch, followers, lead, leader, put, read, with_topic};

const STORAGE_ERROR: i16 = 56;

/// Flips a bit in the first place where a file under `dir` has `needle`.
fn damage(disk: &MemDisk, dir: &str, needle: &[u8]) {
    for path in disk.paths().into_iter().filter(|path| path.starts_with(dir)) {
        let file = disk.open(&path, false).unwrap();
        let len = usize::try_from(disk.len(file).unwrap()).unwrap();
        let bytes = disk.read_at(file, 0, len).unwrap();
        disk.close(file);
        if let Some(at) = bytes.windows(needle.len()).position(|found| found == needle) {
            assert!(disk.flip(&path, at));
            return;
        }
    }
    panic!("nothing to damage");
}

fn value(n: u32) -> Vec<u8> {
    format!("value {n:04} ").repeat(40).into_bytes()
}

fn filled(client: &mut Client) -> Records {
    (0..60).map(|n| put(client, "t", &value(n))).collect()
}

/// The damaged replica is named, replaced, and then holds what the others hold.
fn assert_rebuilt(client: &mut Client, victim: BrokerId, records: &Records) {
    let offline = client.cluster.describe(victim).offline;
    assert_eq!(offline.len(), 1, "{offline:?}");
    assert!(offline[0].1.contains("damaged"), "{offline:?}");
    let replicas = client.cluster.describe(victim).replicas;
    client.cluster.run(3_000);
    operate(&mut client.cluster);
    client.cluster.run(2_000);
    let now = client.cluster.describe(victim);
    assert_eq!((now.offline, now.replicas), (vec![], replicas + 1));
    lead(client, "t", victim);
    assert_eq!(&read(client, "t"), records);
}

fn of_either_role(client: &mut Client, round: u8) -> BrokerId {
    if round == 0 { leader(client, "t") } else { followers(client, "t")[0] }
}

#[test]
fn damage_in_the_write_ahead_log_takes_its_group_offline_until_it_is_rebuilt() {
    for round in 0..2 {
        let mut client = with_topic(three(), &[]);
        let records = filled(&mut client);
        let victim = of_either_role(&mut client, round);
        let disk = client.cluster.kill(victim);
        damage(&disk, "wal/", b"value 0007");
        client.cluster.start(victim, disk);
        assert_rebuilt(&mut client, victim, &records);
    }
}

/// Three brokers whose records are in segments that a checkpoint vouches for, and one of them.
fn flushed(round: u8) -> (Client, Records, BrokerId) {
    let mut limits = small();
    (limits.log.wal_files_max, limits.log.wal_file_bytes) = (1, 16 << 10);
    let mut client = with_topic(grown(Cluster::with(3, limits)), &[]);
    let records = filled(&mut client);
    let victim = of_either_role(&mut client, round);
    (client, records, victim)
}

/// A client comes upon the damage at `offset`.
fn assert_found(client: &mut Client, victim: BrokerId, offset: i64) {
    lead(client, "t", victim);
    client.broker = victim;
    assert_eq!(fetch(client, "t", offset).error_code, STORAGE_ERROR);
    client.cluster.run(200);
}

#[test]
fn damage_in_a_row_of_a_segment_takes_its_group_offline_until_it_is_rebuilt() {
    for round in 0..2 {
        let (mut client, records, victim) = flushed(round);
        let disk = client.cluster.kill(victim);
        let meta = PartitionId::META.topic.to_string();
        let mut paths = disk.paths().into_iter();
        let rows = paths.find(|path| path.ends_with(".idx") && !path.contains(&meta)).unwrap();
        assert!(disk.flip(&rows, 200));
        client.cluster.start(victim, disk);
        client.cluster.run(2_000);
        assert_found(&mut client, victim, 0);
        assert_rebuilt(&mut client, victim, &records);
    }
}

#[test]
fn damage_in_the_records_of_a_segment_takes_its_group_offline_until_it_is_rebuilt() {
    for round in 0..2 {
        let (mut client, records, victim) = flushed(round);
        let disk = client.cluster.kill(victim);
        damage(&disk, "groups/", b"value 0007");
        client.cluster.start(victim, disk);
        client.cluster.run(2_000);
        assert_found(&mut client, victim, 7);
        assert_rebuilt(&mut client, victim, &records);
    }
}

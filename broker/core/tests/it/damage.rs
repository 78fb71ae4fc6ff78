//! Damage in committed data: the replica is named and rebuilt from its peers, whether a client comes
//! upon it or nobody does.

use chronik_core::core::Limits;
use chronik_core::ids::{BrokerId, Micros, PartitionId, PeerId};
use chronik_core::log::disk::Disk;
use chronik_core::log::mem_disk::MemDisk;

use crate::cluster::Cluster;
use crate::kafka::Client;
use crate::membership::{grown, small, three};
use crate::operator::operate;
use crate::records::{Records, create, fetch, followers, lead, leader, put, read, with_topic};

const STORAGE_ERROR: i16 = 56;

/// Flips a bit in the first place where a file under `dir` has `needle`.
fn damage(disk: &MemDisk, dir: &str, needle: &[u8]) {
    damage_behind(disk, dir, needle, 0);
}

/// Flips a bit so many bytes behind the beginning of that place.
fn damage_behind(disk: &MemDisk, dir: &str, needle: &[u8], behind: usize) {
    for path in disk.paths().into_iter().filter(|path| path.starts_with(dir)) {
        let file = disk.open(&path, false).unwrap();
        let len = usize::try_from(disk.len(file).unwrap()).unwrap();
        let bytes = disk.read_at(file, 0, len).unwrap();
        disk.close(file);
        if let Some(at) = bytes.windows(needle.len()).position(|found| found == needle) {
            assert!(disk.flip(&path, at + behind));
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
    flushed_within(Limits { scrub_bytes_per_second: 0, ..small() }, round)
}

fn flushed_within(mut limits: Limits, round: u8) -> (Client, Records, BrokerId) {
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
fn damage_in_where_a_batch_says_it_lies_is_found_though_its_checksum_does_not_cover_it() {
    for byte in [7, 11, 15] {
        let (mut client, records, victim) = flushed(0);
        let disk = client.cluster.kill(victim);
        let meta = PartitionId::META.topic.to_string();
        let mut paths = disk.paths().into_iter();
        let log = paths.find(|path| path.ends_with(".log") && !path.contains(&meta)).unwrap();
        assert!(disk.flip(&log, byte));
        client.cluster.start(victim, disk);
        client.cluster.run(2_000);
        assert_found(&mut client, victim, 0);
        assert_rebuilt(&mut client, victim, &records);
    }
}

/// The write-ahead log's record that made a replica is gone: whether the damage names the replica or
/// not, it must not be made anew under the name under which it has voted.
#[test]
fn a_broker_whose_log_has_lost_what_made_a_replica_does_not_start() {
    // The name in the record's head, which is damaged then, and the body behind the head.
    for behind in [0, 28] {
        let mut client = with_topic(three(), &[]);
        let victim = followers(&mut client, "t")[0];
        let disk = client.cluster.kill(victim);
        damage_behind(&disk, "wal/", PartitionId::META.topic.as_bytes(), behind);
        let refused = client.cluster.start_life(victim, disk, 1).unwrap_err().to_string();
        assert!(refused.contains("whose votes and entries"), "{refused}");
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

/// Damages records on a broker that is down, and has it look at all that it holds.
fn damaged_unread(client: &mut Client, victim: BrokerId) {
    let disk = client.cluster.kill(victim);
    damage(&disk, "groups/", b"value 0007");
    client.cluster.start(victim, disk);
    for _ in 0..50 {
        client.cluster.run(100);
        let description = client.cluster.describe(victim);
        if let [(_, reason)] = &description.offline[..] {
            assert!(reason.contains("in service") && reason.contains("damaged"), "{reason}");
            assert_eq!(client.cluster.nodes[&victim].core.inspect().damaged, 1);
            return;
        }
    }
    panic!("nobody finds the damage");
}

/// That every replica is sound, in the end.
fn assert_whole(client: &mut Client, records: &Records) {
    for _ in 0..4 {
        client.cluster.run(3_000);
        operate(&mut client.cluster);
    }
    for id in (1..=3).map(BrokerId) {
        assert_eq!(client.cluster.describe(id).offline, []);
        lead(client, "t", id);
        assert_eq!(&read(client, "t"), records, "broker {id}");
    }
}

#[test]
fn damage_that_nobody_reads_is_found_and_the_replica_rebuilt() {
    for round in 0..2 {
        let (mut client, records, victim) = flushed_within(small(), round);
        damaged_unread(&mut client, victim);
        assert_whole(&mut client, &records);
        let scrubbed = client.cluster.nodes[&victim].core.inspect().counters.scrubbed_bytes;
        assert!(scrubbed > 1_000, "{scrubbed}");
    }
}

#[test]
fn two_damaged_replicas_of_three_are_rebuilt_one_after_the_other() {
    let (mut client, records, _) = flushed_within(small(), 0);
    let victims = followers(&mut client, "t");
    let disks: Vec<MemDisk> = victims.iter().map(|id| client.cluster.kill(*id)).collect();
    for (victim, disk) in victims.iter().zip(disks) {
        damage(&disk, "groups/", b"value 0007");
        client.cluster.start(*victim, disk);
    }
    assert_whole(&mut client, &records);
}

/// Data groups' replicas on a broker, in service or not.
fn held(client: &Client, broker: BrokerId) -> Vec<(PartitionId, PeerId)> {
    let held = client.cluster.nodes[&broker].core.held_replicas();
    let mut held: Vec<_> = held.filter(|(id, _)| *id != PartitionId::META).collect();
    held.sort_unstable();
    held
}

/// Puts records to another topic until a broker has made another checkpoint.
fn checkpointed(client: &mut Client, broker: BrokerId) {
    let disk = client.cluster.nodes[&broker].disk.clone();
    let read = || {
        let file = disk.open("wal/checkpoint", false).unwrap();
        let bytes = disk.read_at(file, 0, usize::try_from(disk.len(file).unwrap()).unwrap());
        disk.close(file);
        bytes.unwrap()
    };
    let before = read();
    for n in 0..200 {
        put(client, "u", &value(n));
        if read() != before {
            return;
        }
    }
    panic!("broker {broker} makes no checkpoint");
}

/// What it has voted for is on its disk still, so nothing may take its place under its name.
#[test]
fn a_replica_whose_newest_state_is_damaged_is_remembered_by_later_checkpoints() {
    let mut limits = Limits { scrub_bytes_per_second: 0, ..small() };
    (limits.log.wal_files_max, limits.log.wal_file_bytes) = (1, 16 << 10);
    limits.log.inline_state_bytes = 0;
    let mut client = with_topic(grown(Cluster::with(3, limits)), &[]);
    create(&mut client, "u", &[]);
    let records = filled(&mut client);
    let (victim, other) = (followers(&mut client, "t")[0], followers(&mut client, "t")[1]);
    // With it away, the damaged one is not to spare.
    let away = client.cluster.kill(other);
    client.cluster.run(12_000);
    let before = held(&client, victim);
    let disk = client.cluster.kill(victim);
    let meta = PartitionId::META.topic.to_string();
    let states = disk.paths().into_iter().filter(|p| p.ends_with(".state") && !p.contains(&meta));
    // Only "t" has rolled so far.
    assert!(disk.flip(&states.max().unwrap(), 0));
    client.cluster.start(victim, disk);
    client.cluster.run(2_000);
    let offline = client.cluster.describe(victim).offline;
    assert!(matches!(&offline[..], [(_, why)] if why.contains(".state")), "{offline:?}");

    checkpointed(&mut client, victim);
    let disk = client.cluster.kill(victim);
    client.cluster.start(victim, disk);
    client.cluster.run(2_000);
    assert_eq!(client.cluster.describe(victim).offline, offline);
    assert_eq!(held(&client, victim), before);

    client.cluster.start(other, away);
    assert_whole(&mut client, &records);
    let successor = held(&client, victim).into_iter().find(|(id, _)| *id == offline[0].0).unwrap();
    assert!(!before.contains(&successor));
}

#[test]
fn damage_in_the_clusters_metadata_is_found_and_written_over() {
    let mut limits = Limits { scrub_interval: Micros::from_millis(1_000), ..small() };
    (limits.log.wal_files_max, limits.log.wal_file_bytes) = (1, 16 << 10);
    let mut client = with_topic(grown(Cluster::with(3, limits)), &[]);
    filled(&mut client);
    let victim = client.cluster.controller();
    let disk = client.cluster.nodes[&victim].disk.clone();
    let meta = PartitionId::META.topic.to_string();
    let mut paths = disk.paths().into_iter();
    let records = paths.find(|path| path.ends_with(".log") && path.contains(&meta)).unwrap();
    assert!(disk.flip(&records, 100));
    client.cluster.run(3_000);
    assert_eq!(client.cluster.describe(victim).offline, []);
    assert_eq!(client.cluster.nodes[&victim].core.inspect().damaged, 0);
    // Before it was written anew, this start would have failed.
    let disk = client.cluster.kill(victim);
    client.cluster.start_life(victim, disk, 1).unwrap();
    client.cluster.run(3_000);
    let applied = |client: &mut Client, id| client.cluster.describe(id).meta.unwrap().applied;
    let controller = client.cluster.controller();
    assert_eq!(applied(&mut client, victim), applied(&mut client, controller));
}

//! Torn tails, damage, recycled files, full disks.

use super::*;
use crate::log::LogError;
use crate::log::disk::{Disk as _, DiskError};

#[test]
fn an_idle_group_keeps_its_vote_while_files_are_recycled() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    shard.create(id(1), birth());
    let (idle, wal) = shard.log(id(1));
    idle.set_hard_state(wal, &hard(5, 77, 1));
    for round in 0..200 {
        shard.commit(id(0), 1, 700);
        if shard.wal.wants_checkpoint() {
            shard.checkpoint();
        }
        assert!(shard.wal.files.len() <= 6, "round {round}: {:?}", shard.wal.files);
    }
    assert!(shard.wal.next_seq > 10);
    let shard = Shard::open(&shard.crash());
    assert_eq!(shard.groups[&id(1)].hard_state(), &hard(5, 77, 1));
    assert_eq!(shard.groups[&id(0)].last(), 201);
}

/// To make a file anew, or to read a page before a part of it is written, would take long.
#[test]
fn files_are_used_again_and_written_by_whole_pages() {
    // A checkpoint is made when there are too many files, and for no other reason.
    let limits = Limits { unflushed_bytes_max: 1 << 20, reclaim_bytes: 1 << 20, ..limits() };
    let disk = MemDisk::new();
    let found = open(disk.clone(), limits).unwrap();
    let mut shard = Shard { disk, wal: found.wal, groups: found.groups };
    shard.sync();
    shard.create(id(0), birth());
    let mut counts = std::collections::BTreeSet::new();
    for _ in 0..300 {
        shard.commit(id(0), 1, 700);
        let file = shard.wal.files.last_key_value().unwrap().1;
        let end = file.end & u64::from(u32::MAX);
        let rest = end.next_multiple_of(4096).min(file.len) - end;
        let rest = shard.disk.read_at(file.file, end, usize::try_from(rest).unwrap()).unwrap();
        assert!(rest.iter().all(|byte| *byte == 0), "what was there at {end} is left");
        if shard.wal.next_seq > 10 {
            counts.insert(shard.wal.files.len() + shard.wal.spares.len());
        }
        if shard.wal.wants_checkpoint() {
            shard.checkpoint();
        }
    }
    assert!(shard.wal.next_seq > 20);
    assert_eq!(counts.len(), 1, "none is removed, and none is made: {counts:?}");
}

#[test]
fn a_torn_tail_is_cut_and_stays_cut() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    shard.commit(id(0), 1, 100);
    let (log, wal) = shard.log(id(0));
    let lost = batch(3, 1, 1, 1, 3000);
    log.append(wal, vec![lost]).unwrap();
    shard.wal.write().unwrap().unwrap();
    let mut sectors = 0;
    shard.disk.crash(|| {
        sectors += 1;
        sectors != 3
    });
    let found = recover(&shard.disk);
    assert!(found.notes[0].contains("was cut"), "{:?}", found.notes);
    assert_eq!(found.groups[&id(0)].last(), 2);
    drop(found);
    // What is written after it is not mistaken for evidence of damage.
    let mut shard = Shard::open(&shard.disk);
    let other = shard.commit(id(0), 1, 200);
    let shard = Shard::open(&shard.crash());
    let log = &shard.groups[&id(0)];
    assert_eq!((log.last(), log.entry(other).unwrap()), (3, batch(3, 1, 1, 1, 200)));
}

#[test]
fn names_that_a_killed_process_made_are_synced_by_the_next() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    // Written, and killed before the first sync.
    shard.wal.write().unwrap().unwrap();
    shard.disk.kill();
    let mut shard = Shard::open(&shard.disk);
    assert_eq!(shard.commit(id(0), 1, 100), 2);
    let shard = Shard::open(&shard.crash());
    assert_eq!(shard.groups[&id(0)].last(), 2);
}

/// Two groups, synced more than once, and where the record of group 0's second entry lies.
fn two_groups() -> (MemDisk, String, usize) {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    shard.create(id(1), birth());
    shard.commit(id(0), 1, 100);
    let at = (shard.wal.end & u64::from(u32::MAX)) as usize;
    let (seq, _) = shard.wal.files.last_key_value().unwrap();
    let name = crate::log::wal::file_name(*seq);
    shard.commit(id(0), 1, 100);
    shard.commit(id(1), 1, 100);
    shard.commit(id(1), 1, 100);
    (shard.crash(), name, at)
}

#[test]
fn damage_below_what_was_synced_stops_the_group_that_it_names() {
    let (disk, name, at) = two_groups();
    assert!(disk.flip(&name, at + 40 + 36 + 80 + 5));
    let found = recover(&disk);
    assert_eq!(found.corrupt.len(), 1);
    let (group, peer, why) = found.corrupt[0].clone();
    assert_eq!((group, peer), (id(0), PEER));
    assert!(why.contains("damaged at byte"), "{why}");
    assert_eq!(found.groups.keys().copied().collect::<Vec<_>>(), vec![id(1)]);
    assert_eq!(found.groups[&id(1)].last(), 3);
    // It is named until it is given up, and its life never comes back.
    let mut wal = found.wal;
    let job = wal.write().unwrap().unwrap();
    disk.sync(&job).unwrap();
    disk.crash(|| false);
    let mut again = recover(&disk);
    assert_eq!(again.corrupt.len(), 1);
    again.wal.destroy_corrupt(id(0));
    let job = again.wal.write().unwrap().unwrap();
    disk.sync(&job).unwrap();
    disk.crash(|| false);
    let last = recover(&disk);
    assert_eq!((last.corrupt.len(), last.tombstones[&id(0)]), (0, PEER));
}

/// One group with a synced entry in the last batch with records, and where its record lies.
fn one_group(vouch: bool) -> (MemDisk, String, usize) {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    shard.commit(id(0), 1, 100);
    let at = (shard.wal.end & u64::from(u32::MAX)) as usize;
    shard.commit(id(0), 1, 100);
    let (seq, _) = shard.wal.files.last_key_value().unwrap();
    let name = crate::log::wal::file_name(*seq);
    if vouch {
        shard.wal.vouch().unwrap();
        assert!(shard.sync(), "it has itself synced");
        let end = shard.wal.end;
        shard.wal.vouch().unwrap();
        assert_eq!(shard.wal.end, end, "there is nothing more to say");
        assert!(!shard.sync());
    }
    (shard.crash(), name, at)
}

#[test]
fn damage_to_the_last_batch_is_told_from_a_torn_tail_once_something_vouches_for_it() {
    for byte in [3, 10, 40 + 3, 40 + 36 + 80 + 5] {
        let (disk, name, at) = one_group(true);
        assert_eq!(recover(&disk).groups[&id(0)].last(), 3);
        assert!(disk.flip(&name, at + byte));
        let found = recover(&disk);
        assert_eq!((found.corrupt.len(), found.groups.len()), (1, 0), "byte {byte}");
        // Without it nobody can know: power may have gone in the middle of that write.
        let (disk, name, at) = one_group(false);
        assert!(disk.flip(&name, at + byte));
        let found = recover(&disk);
        assert_eq!((found.corrupt.len(), found.groups[&id(0)].last()), (0, 2), "byte {byte}");
    }
}

#[test]
fn what_vouches_is_no_loss_itself() {
    let (disk, name, _) = one_group(true);
    let mut shard = Shard::open(&disk);
    let mark = (shard.wal.end & u64::from(u32::MAX)) as usize - 40;
    assert!(disk.flip(&name, mark + 10));
    shard = Shard::open(&disk);
    assert_eq!(shard.groups[&id(0)].last(), 3);
    let index = shard.commit(id(0), 1, 100);
    let shard = Shard::open(&shard.crash());
    assert_eq!(shard.groups[&id(0)].last(), index);
}

#[test]
fn damage_that_names_nobody_stops_all() {
    let (disk, name, at) = two_groups();
    assert!(disk.flip(&name, at + 40 + 10));
    let found = recover(&disk);
    assert_eq!(found.corrupt.len(), 2);
    assert!(found.groups.is_empty());
    let (disk, name, at) = two_groups();
    assert!(disk.flip(&name, at + 3));
    assert_eq!(recover(&disk).corrupt.len(), 2);
}

#[test]
fn a_damaged_segment_is_found_when_it_is_read() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    for _ in 0..8 {
        shard.commit(id(0), 1, 900);
    }
    shard.checkpoint();
    let shard = Shard::open(&shard.crash());
    let log = &shard.groups[&id(0)];
    let path = |part: &str| {
        let paths = shard.disk.paths();
        paths.into_iter().find(|path| path.ends_with(part)).unwrap()
    };
    assert!(log.entry(2).is_ok());
    // What lies outside of a batch's own checksum too: where it says it lies, and its format.
    for byte in 0..100 {
        assert!(shard.disk.flip(&path(".log"), byte));
        assert!(matches!(log.entry(2), Err(LogError::Corrupt { .. })), "byte {byte}");
        assert!(shard.disk.flip(&path(".log"), byte));
    }
    assert!(log.entry(2).is_ok());
    assert!(shard.disk.flip(&path(".log"), 100));
    assert!(matches!(log.entry(2), Err(LogError::Corrupt { .. })));
    assert!(log.entry(3).is_ok());
    assert!(shard.disk.flip(&path(".idx"), 93));
    assert!(matches!(log.row(3), Err(LogError::Corrupt { .. })));
    let context = raft::GetEntriesContext::empty(false);
    let entries = raft::Storage::entries(log, 2, 9, None, context).unwrap();
    assert!(entries.is_empty() && log.take_fault().is_some());
}

#[test]
fn a_full_disk_loses_nothing_and_works_again() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    shard.commit(id(0), 1, 500);
    let used = (1 << 40) - shard.disk.free_bytes();
    assert_eq!(used, 0, "an unlimited disk has all its space");
    shard.disk.set_capacity(Some(9 << 10));
    let mut acked = 2;
    let refused = loop {
        let (log, wal) = shard.log(id(0));
        let (index, base) = (log.last() + 1, log.log_end());
        log.append(wal, vec![batch(index, 1, base, 1, 900)]).unwrap();
        match shard.wal.write() {
            Ok(Some(job)) => {
                shard.disk.sync(&job).unwrap();
                shard.wal.synced(job.upto);
                acked = index;
            }
            Ok(None) => unreachable!("an entry needs a sync"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, DiskError::Full { .. }));
    assert!(shard.wal.has_unwritten());
    shard.disk.set_capacity(None);
    shard.sync();
    assert!(!shard.wal.has_unwritten());
    let shard = Shard::open(&shard.crash());
    assert_eq!(shard.groups[&id(0)].last(), acked + 1);
}

#[test]
fn a_destroyed_replica_stays_dead_and_its_files_go() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    for _ in 0..8 {
        shard.commit(id(0), 1, 900);
    }
    shard.checkpoint();
    assert!(shard.disk.paths().iter().any(|path| path.starts_with("groups/")));
    let log = shard.groups.remove(&id(0)).unwrap();
    log.destroy(&mut shard.wal).unwrap();
    assert!(shard.disk.paths().iter().any(|path| path.starts_with("groups/")));
    shard.sync();
    assert!(!shard.disk.paths().iter().any(|path| path.starts_with("groups/")));
    let shard = Shard::open(&shard.crash());
    assert!(shard.groups.is_empty());
    assert_eq!(shard.wal.tombstones()[&id(0)], PEER);
}

#[test]
fn an_image_replaces_segments_that_the_checkpoint_still_names() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    for _ in 0..8 {
        shard.commit(id(0), 1, 900);
    }
    shard.checkpoint();
    assert!(shard.disk.paths().iter().any(|path| path.starts_with("groups/")));
    let (log, wal) = shard.log(id(0));
    let (last, conf) = (log.last(), log.conf().0.clone());
    log.append(wal, vec![batch(last + 1, 1, log.log_end(), 1, 900)]).unwrap();
    log.set_hard_state(wal, &hard(4, 77, last));
    let image = Image { index: 50, term: 3, start: 40, next: 40, conf, ..Image::default() };
    log.install(wal, image).unwrap();
    // Its old files go as soon as that is synced, long before the next checkpoint.
    shard.sync();
    assert!(!shard.disk.paths().iter().any(|path| path.starts_with("groups/")));
    let mut shard = Shard::open(&shard.crash());
    let log = &shard.groups[&id(0)];
    assert_eq!((log.first(), log.last(), log.hard_state()), (51, 50, &hard(4, 77, 50)));
    assert_eq!(shard.commit(id(0), 1, 100), 51);
    assert_eq!(Shard::open(&shard.crash()).groups[&id(0)].last(), 51);
}

#[test]
fn segments_that_vanished_for_no_reason_stop_their_replica() {
    let mut shard = Shard::new();
    for partition in 0..2 {
        shard.create(id(partition), birth());
        for _ in 0..8 {
            shard.commit(id(partition), 1, 900);
        }
    }
    shard.checkpoint();
    shard.commit(id(0), 1, 900);
    let disk = shard.crash();
    let (dir, path) = (id(0).to_string(), disk.paths());
    let path = path.into_iter().find(|path| path.contains(&dir) && path.ends_with(".log")).unwrap();
    disk.remove(&path).unwrap();
    let found = recover(&disk);
    assert_eq!(found.groups.keys().copied().collect::<Vec<_>>(), vec![id(1)]);
    assert!(found.corrupt[0].2.contains("no such file"), "{:?}", found.corrupt);
}

/// Its owner could not take it into service, and has dropped its log.
#[test]
fn a_condemned_replica_is_named_at_every_start_until_it_is_given_up() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    shard.commit(id(0), 1, 900);
    shard.groups.clear();
    shard.wal.condemn(id(0), PEER, "why".to_owned());
    shard.sync();
    // From the write-ahead log, and from a checkpoint.
    for _ in 0..2 {
        let disk = shard.crash();
        let found = recover(&disk);
        assert_eq!(found.corrupt, vec![(id(0), PEER, "why".to_owned())]);
        assert!(found.groups.is_empty());
        shard = Shard { disk, wal: found.wal, groups: found.groups };
        shard.checkpoint();
    }
    shard.wal.destroy_corrupt(id(0));
    shard.sync();
    let found = recover(&shard.crash());
    assert_eq!((found.corrupt, found.tombstones), (vec![], [(id(0), PEER)].into()));
}

#[test]
fn a_failed_sync_is_told() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    let job = shard.wal.write().unwrap().unwrap();
    shard.disk.fail_syncs(1);
    assert!(shard.disk.sync(&job).is_err());
}

#[test]
fn an_idle_replica_has_no_files_and_costs_little() {
    let mut shard = Shard::new();
    for partition in 0..100 {
        shard.create(id(partition), birth());
    }
    shard.sync();
    shard.checkpoint();
    assert!(!shard.disk.paths().iter().any(|path| path.starts_with("groups/")));
    assert!(size_of::<GroupLog<MemDisk>>() < 1024);
}

//! Reading by offset, time and term, as raft does, and where retention and snapshots leave a log.

use raft::{GetEntriesContext, Storage as _};

use super::*;
use crate::log::disk::Disk as _;
use crate::log::entry::{EntryError, describe, log_start_data};
use crate::log::row::Row;

/// Forty batches of three records, in four segments and a tail.
fn forty() -> Shard {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    for _ in 0..40 {
        let index = shard.commit(id(0), 3, 200);
        if shard.log(id(0)).0.wants_roll() {
            shard.log(id(0)).0.roll(index.to_be_bytes().to_vec().into());
        }
    }
    shard
}

fn brute<'a>(log: &'a GroupLog<MemDisk>) -> impl Iterator<Item = Row> + 'a {
    (log.first()..=log.last()).map(|i| log.row(i).unwrap())
}

#[test]
fn fetch_gives_whole_batches_and_the_first_one_always() {
    let shard = forty();
    let log = &shard.groups[&id(0)];
    let read = log.read(4, 41, 1).unwrap();
    assert_eq!(bytes_of(&shard.disk, &read), log.payload(3).unwrap().unwrap());
    let read = log.read(4, 41, 599).unwrap();
    assert_eq!(read.bytes, 400);
    assert_eq!(log.read(3, 5, 1 << 20).unwrap().bytes, 3 * 200, "nothing above the index");
    assert_eq!(log.read(120, 41, 1 << 20).unwrap(), Read::default(), "at the end");
    let all = log.read(0, 41, 1 << 20).unwrap();
    assert_eq!(all.bytes, 40 * 200);
    assert!(matches!(all.slices[0], Slice::File { pos: 0, len, .. } if len > 200), "merged");
    assert!(matches!(all.slices.last(), Some(Slice::Memory(_))));
}

#[test]
fn times_are_found_as_a_plain_search_finds_them() {
    let mut shard = forty();
    for start in [0, 1, 31, 60] {
        let (log, wal) = shard.log(id(0));
        log.set_start(wal, start);
        let rows: Vec<Row> = brute(log).filter(|row| row.next_offset() > start).collect();
        for upto in [1, 5, 17, 30, 41] {
            let seen = || rows.iter().filter(|row| row.index <= upto);
            for time in 995..1045 {
                let expected = seen().find(|row| row.max_timestamp >= time);
                let found = log.first_batch_at_or_after_time(time, upto).unwrap();
                assert_eq!(found.map(|r| r.index), expected.map(|r| r.index), "{time} {upto}");
            }
            let latest = seen().map(|row| row.max_timestamp).max();
            let expected = seen().find(|row| Some(row.max_timestamp) == latest);
            let found = log.max_timestamp_batch(upto).unwrap();
            assert_eq!(found.map(|r| r.index), expected.map(|r| r.index), "{start} {upto}");
        }
    }
}

#[test]
fn terms_end_where_the_next_one_begins() {
    let mut shard = Shard::new();
    shard.create(id(0), birth());
    let (log, wal) = shard.log(id(0));
    let entries = vec![
        batch(2, 1, 0, 2, 100),
        noop(3, 3),
        batch(4, 3, 2, 5, 100),
        noop(5, 4),
        noop(6, 9),
        batch(7, 9, 7, 1, 100),
    ];
    log.append(wal, entries).unwrap();
    let end = |term, upto| log.end_of_term(term, upto).unwrap();
    assert_eq!(end(0, 7), None);
    assert_eq!(end(1, 7), Some((1, 2)));
    assert_eq!(end(2, 7), Some((1, 2)));
    assert_eq!(end(3, 7), Some((3, 7)));
    assert_eq!(end(8, 7), Some((4, 7)));
    assert_eq!(end(9, 7), Some((9, 8)));
    assert_eq!(end(9, 5), Some((4, 7)));
    assert_eq!(end(9, 4), Some((3, 7)));
    assert_eq!((log.offset_after(3).unwrap(), log.offset_after(4).unwrap()), (2, 7));
}

#[test]
fn raft_reads_descriptors_and_stops_at_the_budget_only_when_it_may() {
    let mut shard = forty();
    let (log, _) = shard.log(id(0));
    log.set_payload_budget(700);
    let all = log.entries(2, 42, None, GetEntriesContext::empty(false)).unwrap();
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|entry| entry.data.len() < 60));
    let some = log.entries(2, 42, None, GetEntriesContext::empty(true)).unwrap();
    assert_eq!(some[..], all[..3]);
    let one = log.entries(2, 42, Some(0), GetEntriesContext::empty(false)).unwrap();
    assert_eq!(one.len(), 1);
    for (entry, index) in all.iter().zip(2..) {
        let back = Entry::from_raft(entry, log.payload(index).unwrap()).unwrap();
        assert_eq!(back, log.entry(index).unwrap());
    }
}

#[test]
fn what_was_read_from_a_dropped_segment_can_be_sent_until_the_next_round() {
    let mut shard = forty();
    let read = shard.groups[&id(0)].read(0, 41, 1 << 20).unwrap();
    let Slice::File { file, pos, len } = read.slices[0] else { panic!("{:?}", read.slices) };
    let start = shard.groups[&id(0)].segments().nth(2).unwrap().base_offset;
    let (log, wal) = shard.log(id(0));
    log.set_start(wal, start);
    shard.checkpoint();
    assert!(shard.groups[&id(0)].first() > 2, "its segment is dropped");
    let can_be_sent = |shard: &Shard| shard.disk.read_at(file, pos, len as usize).is_ok();
    assert!(can_be_sent(&shard));
    shard.wal.close_dropped();
    assert!(!can_be_sent(&shard), "it is not kept open for ever");
}

#[test]
fn dropped_segments_move_the_first_index_and_the_snapshot() {
    let mut shard = forty();
    let segments: Vec<_> = shard.groups[&id(0)].segments().collect();
    assert!(segments.len() >= 3, "{segments:?}");
    let total: u64 = segments.iter().map(|s| s.bytes).sum();
    assert_eq!(total, shard.groups[&id(0)].size_bytes());
    let (log, wal) = shard.log(id(0));
    let start = segments[2].base_offset + 1;
    log.set_start(wal, start);
    log.set_keep_index(segments[1].base_index);
    shard.checkpoint();
    assert_eq!(shard.groups[&id(0)].first(), segments[1].base_index);
    shard.log(id(0)).0.set_keep_index(Index::MAX);
    assert!(shard.wal.reclaimable() > 0);
    shard.checkpoint();
    assert_eq!(shard.wal.reclaimable(), 0);
    let shard = Shard::open(&shard.crash());
    let log = &shard.groups[&id(0)];
    assert_eq!((log.first(), log.log_start()), (segments[2].base_index, start));
    assert!(!shard.disk.paths().iter().any(|p| p.ends_with("00002.log")));
    let before = log.first() - 1;
    assert!(matches!(log.term(before - 1), Err(raft::Error::Store(_))));
    let image = Image::from_raft(&log.snapshot(0, 1).unwrap()).unwrap();
    assert_eq!((image.index, image.term, image.start), (before, 1, start));
    assert_eq!(
        (image.next, image.state.as_ref()),
        (segments[2].base_offset, &before.to_be_bytes()[..])
    );
    assert_eq!((&image.conf, image.conf_index), log.conf());
}

#[test]
fn an_installed_snapshot_replaces_the_log_for_good() {
    let mut shard = forty();
    let image = Image {
        index: 100,
        term: 6,
        start: 700,
        next: 700,
        conf: ConfState { voters: vec![1, 2], ..ConfState::default() },
        conf_index: 90,
        state: vec![9; 3000].into(),
    };
    let (log, wal) = shard.log(id(0));
    let stale = Image { index: 41, ..image.clone() };
    assert!(log.install(wal, stale).is_err());
    log.install(wal, image.clone()).unwrap();
    shard.sync();
    for checkpointed in [false, true] {
        if checkpointed {
            shard.checkpoint();
        }
        shard = Shard::open(&shard.crash());
        let log = &shard.groups[&id(0)];
        assert_eq!((log.first(), log.last(), log.last_term()), (101, 100, 6));
        assert_eq!((log.log_start(), log.log_end()), (700, 700));
        assert_eq!(log.hard_state().commit, 100);
        assert_eq!(Image::from_raft(&log.snapshot(0, 1).unwrap()).unwrap(), image);
        assert_eq!(log.last_state().unwrap(), (100, image.state.clone()));
    }
    shard.commit(id(0), 2, 100);
    assert_eq!(shard.groups[&id(0)].log_end(), 702);
}

#[test]
fn an_empty_replica_waits_for_a_snapshot() {
    let mut shard = Shard::new();
    shard.create(id(0), Birth { peer: PEER, image: None });
    let log = &shard.groups[&id(0)];
    assert_eq!((log.first_index().unwrap(), log.last_index().unwrap()), (1, 0));
    assert!(!log.initial_state().unwrap().initialized());
    assert!(log.snapshot(0, 1).is_err());
}

#[test]
fn a_wrong_payload_is_refused() {
    let entry = batch(5, 2, 10, 3, 100);
    let raft = entry.to_raft();
    let payload = entry.payload().unwrap();
    assert_eq!(Entry::from_raft(&raft, Some(payload.clone())).unwrap(), entry);
    assert!(matches!(Entry::from_raft(&raft, None), Err(EntryError::Missing { index: 5 })));
    let mut other = payload.to_vec();
    other[18] ^= 1;
    let other = Entry::from_raft(&raft, Some(other.into()));
    assert!(matches!(other, Err(EntryError::Mismatch { what: "crc", .. })));
    let short = Entry::from_raft(&raft, Some(payload.slice(1..)));
    assert!(matches!(short, Err(EntryError::Mismatch { what: "length", .. })));
}

#[test]
fn a_descriptor_of_garbage_is_an_error() {
    let mut raft = raft::eraftpb::Entry { data: log_start_data(7), ..Default::default() };
    assert!(describe(&raft).is_ok());
    for len in 1..raft.data.len() {
        let cut = raft::eraftpb::Entry { data: raft.data[..len].to_vec(), ..Default::default() };
        assert!(describe(&cut).is_err());
    }
    raft.data.push(0);
    assert!(describe(&raft).is_err());
}

//! The bytes on disk, pinned: what changes them must raise a version.

use proptest::prelude::*;

use super::*;
use crate::log::disk::Disk as _;
use crate::log::record::{BatchHead, Found, Record, read_record};
use crate::log::row::{ROW_BYTES, Row};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(disk: &MemDisk, path: &str) -> Bytes {
    let file = disk.open(path, false).unwrap();
    let len = disk.len(file).unwrap() as usize;
    disk.read_at(file, 0, len).unwrap()
}

#[test]
fn golden_row() {
    let (row, _) = Row::of(&batch(258, 3, 77, 4, 61), 77);
    assert_eq!(hex(&row.encode()), include_str!("golden/row.hex").trim());
    assert_eq!(Row::decode(&row.encode()), Ok(row));
}

#[test]
fn golden_descriptor() {
    let raft = batch(258, 3, 77, 4, 61).to_raft();
    assert_eq!(hex(&raft.data), include_str!("golden/descriptor.hex").trim());
}

/// A node record, a birth, an entry and a vote.
fn shard() -> Shard {
    let mut shard = Shard::new();
    shard.wal.set_node(Bytes::from_static(b"node"));
    shard.create(id(2), birth());
    let (log, wal) = shard.log(id(2));
    log.append(wal, vec![batch(2, 1, 0, 1, 61)]).unwrap();
    log.set_hard_state(wal, &hard(1, 7, 2));
    shard.sync();
    shard
}

#[test]
fn golden_wal() {
    let shard = shard();
    let end = (shard.wal.end & u64::from(u32::MAX)) as usize;
    let bytes = file(&shard.disk, "wal/00000000000000000001.wal");
    assert_eq!(hex(&bytes[..end]), include_str!("golden/wal.hex").trim());
    assert!(bytes[end..].iter().all(|byte| *byte == 0));
}

#[test]
fn golden_checkpoint() {
    let mut shard = shard();
    shard.log(id(2)).0.applied(2);
    shard.checkpoint();
    let bytes = file(&shard.disk, "wal/checkpoint");
    assert_eq!(hex(&bytes), include_str!("golden/checkpoint.hex").trim());
    let shard = Shard::open(&shard.crash());
    assert_eq!(shard.wal.node().unwrap(), "node");
    assert_eq!(shard.groups[&id(2)].hard_state(), &hard(1, 7, 2));
    assert_eq!(shard.groups[&id(2)].entry(2).unwrap(), batch(2, 1, 0, 1, 61));
}

#[test]
fn a_damaged_checkpoint_is_told() {
    let mut shard = shard();
    shard.checkpoint();
    let disk = shard.crash();
    assert!(disk.flip("wal/checkpoint", 20));
    let error = open(disk, limits()).unwrap_err();
    assert!(error.to_string().contains("wipe"), "{error}");
}

#[test]
fn a_batch_is_read_only_where_it_was_written() {
    let head = BatchHead { position: 3 << 32, synced: 5, prev_end: 6, len: 9 };
    assert_eq!(BatchHead::decode(&head.encode(), 3 << 32), Some(head));
    assert_eq!(BatchHead::decode(&head.encode(), 4 << 32), None);
    let mut scratch = bytes::BytesMut::new();
    let record = Record::Start { id: id(0), offset: 9 };
    crate::log::record::Pending::new(record.clone()).put(100, &mut scratch, &mut Vec::new());
    assert!(matches!(read_record(&scratch, 100), Found::Record(found, _) if found == record));
    assert!(matches!(read_record(&scratch, 101), Found::Nothing));
}

proptest! {
    #[test]
    fn garbage_is_no_record(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<u64>()) {
        assert!(!matches!(read_record(&bytes, at), Found::Record(..)));
        let mut padded = bytes.clone();
        padded.resize(ROW_BYTES, 0);
        assert!(Row::decode(&padded).is_err());
        let snapshot = raft::eraftpb::Snapshot { data: bytes, metadata: Some(Default::default()) };
        assert!(Image::from_raft(&snapshot).is_err());
    }
}

//! What the log promises, on a disk that forgets.

mod durability;
mod formats;
mod model;
mod reading;

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::eraftpb::{ConfState, HardState};

use crate::ids::{Index, Offset, PartitionId, PeerId, Term, Uuid};
use crate::log::entry::{BatchInfo, Body, Entry};
use crate::log::group_log::{Birth, GroupLog, Read, Slice};
use crate::log::image::Image;
use crate::log::mem_disk::MemDisk;
use crate::log::recover::{Recovered, open};
use crate::log::wal::Wal;
use crate::log::{Checkpoint, Limits};

const PEER: PeerId = PeerId(7 << 20 | 1);

fn id(partition: u32) -> PartitionId {
    PartitionId::new(Uuid::from_u128(0xabcd), partition)
}

/// Everything small, so that all limits are met.
fn limits() -> Limits {
    Limits {
        segment_bytes: 4 << 10,
        segment_entries: 16,
        flush_bytes: 1 << 10,
        unflushed_bytes_max: 8 << 10,
        wal_file_bytes: 8 << 10,
        wal_files_max: 3,
        reclaim_bytes: 4 << 10,
        cache_bytes: 2 << 10,
        inline_state_bytes: 8,
    }
}

fn birth() -> Birth {
    let conf = ConfState { voters: vec![PEER.0], ..ConfState::default() };
    let image = Image { index: 1, term: 1, conf, conf_index: 1, ..Image::default() };
    Birth { peer: PEER, image: Some(image) }
}

/// A batch of `records` offsets whose own checksum fits.
fn batch(index: Index, term: Term, base: Offset, records: u32, len: usize) -> Entry {
    let mut bytes = vec![(index % 251) as u8; len.max(61)];
    let (rest, epoch) = ((bytes.len() - 12) as u32, term as i32);
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[8..12].copy_from_slice(&rest.to_be_bytes());
    bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
    bytes[16] = 2;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let info = BatchInfo {
        base_offset: base,
        records,
        len: bytes.len() as u32,
        crc,
        max_timestamp: 1000 + (index as i64 * 7) % 40,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        append_ms: 7,
    };
    Entry { index, term, body: Body::Batch(info, bytes.into()) }
}

fn noop(index: Index, term: Term) -> Entry {
    Entry { index, term, body: Body::Noop }
}

fn hard(term: Term, vote: u64, commit: Index) -> HardState {
    HardState { term, vote, commit }
}

/// A shard on a disk in memory, with what its owner would do.
struct Shard {
    disk: MemDisk,
    wal: Wal<MemDisk>,
    groups: BTreeMap<PartitionId, GroupLog<MemDisk>>,
}

impl Shard {
    fn new() -> Shard {
        Shard::open(&MemDisk::new())
    }

    fn open(disk: &MemDisk) -> Shard {
        let found = recover(disk);
        assert_eq!(found.corrupt, vec![], "{:?}", found.notes);
        let mut shard = Shard { disk: disk.clone(), wal: found.wal, groups: found.groups };
        shard.sync();
        shard
    }

    fn create(&mut self, id: PartitionId, birth: Birth) {
        let log = GroupLog::create(self.disk.clone(), &mut self.wal, id, birth, &limits());
        self.groups.insert(id, log);
    }

    fn log(&mut self, id: PartitionId) -> (&mut GroupLog<MemDisk>, &mut Wal<MemDisk>) {
        (self.groups.get_mut(&id).unwrap(), &mut self.wal)
    }

    /// Writes, and syncs if somebody needs it.
    fn sync(&mut self) -> bool {
        let Some(job) = self.wal.write().unwrap() else { return false };
        self.disk.sync(&job).unwrap();
        self.wal.synced(job.upto);
        true
    }

    /// Appends, commits and applies one batch.
    fn commit(&mut self, id: PartitionId, records: u32, len: usize) -> Index {
        let (log, wal) = self.log(id);
        let (index, base) = (log.last() + 1, log.log_end());
        let term = log.hard_state().term.max(1);
        log.append(wal, vec![batch(index, term, base, records, len)]).unwrap();
        let state = hard(term, log.hard_state().vote, index);
        log.set_hard_state(wal, &state);
        self.sync();
        self.log(id).0.applied(index);
        index
    }

    fn checkpoint(&mut self) {
        let (mut checkpoint, job) =
            Checkpoint::begin(&mut self.wal, self.groups.values_mut()).unwrap();
        let mut next = Some(job);
        while let Some(job) = next {
            self.disk.sync(&job).unwrap();
            next = checkpoint.advance(&mut self.wal).unwrap();
        }
        self.sync();
    }

    fn crash(self) -> MemDisk {
        self.disk.crash(|| false);
        self.disk
    }
}

fn recover(disk: &MemDisk) -> Recovered<MemDisk> {
    open(disk.clone(), limits()).unwrap()
}

/// All bytes of a read, wherever they are.
fn bytes_of(disk: &MemDisk, read: &Read) -> Vec<u8> {
    use crate::log::disk::Disk as _;
    let mut out = Vec::new();
    for slice in &read.slices {
        match slice {
            Slice::Memory(bytes) => out.extend_from_slice(bytes),
            Slice::File { file, pos, len } => {
                out.extend_from_slice(&disk.read_at(*file, *pos, *len as usize).unwrap());
            }
        }
    }
    assert_eq!(out.len(), read.bytes);
    out
}

fn payloads(entries: &[Entry]) -> Vec<u8> {
    entries.iter().filter_map(Entry::payload).flat_map(|bytes| bytes.to_vec()).collect()
}

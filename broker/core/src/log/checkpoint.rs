//! The image of all groups at one position of the write-ahead log, so that its older files can be
//! used again and an idle group still knows its vote.
//!
//! ```text
//! begin:   a new WAL file; groups flush, and push again what is not applied   -> sync all of it
//! advance: the image into a temporary file                                   -> sync it
//! advance: renamed over the last one                                         -> sync the directory
//! advance: older WAL files and files of dropped segments are let go           -> done
//! ```

use bytes::{Buf, Bytes};

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{PartitionId, PeerId};
use crate::log::LogError;
use crate::log::disk::{Disk, FileId};
use crate::log::group_log::GroupLog;
use crate::log::segment::GROUPS;
use crate::log::wal::{DIR, SyncJob, Wal};

/// The current checkpoint.
pub(super) const PATH: &str = "wal/checkpoint";
const NEXT_PATH: &str = "wal/checkpoint.next";
const MAGIC: u32 = 0x4348_434b;
const VERSION: u8 = 1;

/// A checkpoint that is being made. Dropped before its end, it leaves the last one in force.
#[derive(Debug)]
pub struct Checkpoint {
    floor: u64,
    image: Bytes,
    dropped: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Segments,
    Written(FileId),
    Renamed,
    Done,
}

impl Checkpoint {
    /// Takes the image. All groups of the shard must be given. The job is to be synced in the
    /// background; it includes the write-ahead log, but is none of its own jobs.
    pub fn begin<'a, D: Disk>(
        wal: &mut Wal<D>,
        groups: impl Iterator<Item = &'a mut GroupLog<D>>,
    ) -> Result<(Checkpoint, SyncJob), LogError> {
        wal.write_pending()?;
        let floor = wal.cut();
        // What a checkpoint that was given up had to sync is still to be synced.
        let mut job = std::mem::take(&mut wal.unsynced);
        let given_up = !job.files.is_empty();
        let (mut count, mut w) = (0u32, Writer::new());
        for group in groups {
            if let Err(error) = group.checkpoint(wal, &mut job, &mut w) {
                wal.unsynced = job;
                return Err(error);
            }
            count += 1;
        }
        if given_up {
            // Some of those may be closed by now; whoever syncs knows open files only.
            job.files.retain(|file| wal.disk.len(*file).is_ok());
        }
        wal.unsynced = job.clone();
        wal.write_pending()?;
        wal.checkpoint_wanted = false;
        let image = encode(wal, floor, count, &w.finish());
        job.files.extend(wal.files.range(floor..).map(|(_, file)| file.file));
        job.dirs.extend([GROUPS, DIR, ""].map(str::to_owned));
        let dropped = wal.dropped.len();
        Ok((Checkpoint { floor, image, dropped, stage: Stage::Segments }, job))
    }

    /// The job given last is done: the next one, until there is none.
    pub fn advance<D: Disk>(&mut self, wal: &mut Wal<D>) -> Result<Option<SyncJob>, LogError> {
        match self.stage {
            Stage::Segments => {
                wal.unsynced = SyncJob::default();
                let file = wal.disk.open(NEXT_PATH, true)?;
                let written = wal
                    .disk
                    .set_len(file, 0)
                    .and_then(|()| wal.disk.write_at(file, 0, &[&self.image]));
                if let Err(error) = written {
                    wal.disk.close(file);
                    return Err(error.into());
                }
                self.stage = Stage::Written(file);
                Ok(Some(SyncJob { files: vec![file], ..SyncJob::default() }))
            }
            Stage::Written(file) => {
                wal.disk.close(file);
                wal.disk.rename(NEXT_PATH, PATH)?;
                self.stage = Stage::Renamed;
                Ok(Some(SyncJob { dirs: vec![DIR.to_owned()], ..SyncJob::default() }))
            }
            Stage::Renamed => {
                self.stage = Stage::Done;
                wal.retire(self.floor);
                let dropped = self.dropped.min(wal.dropped.len());
                for path in wal.dropped.drain(..dropped) {
                    // What cannot be removed now is found and removed at the next start.
                    let _ = wal.disk.remove(&path);
                }
                Ok(None)
            }
            Stage::Done => Ok(None),
        }
    }
}

fn encode<D: Disk>(wal: &Wal<D>, floor: u64, count: u32, groups: &[u8]) -> Bytes {
    let mut w = Writer::new();
    w.u32(MAGIC).u8(VERSION).u64(floor);
    w.option(wal.node.as_ref(), |w, node| {
        w.bytes(node);
    });
    w.list(wal.tombstones.iter(), |w, (id, peer)| {
        w.uuid(id.topic).u32(id.partition).u64(peer.0);
    });
    w.list(wal.corrupt.iter(), |w, (id, (peer, reason))| {
        w.uuid(id.topic).u32(id.partition).u64(peer.0).str(reason);
    });
    w.u32(count).bytes(groups);
    let body = w.finish();
    let mut out = Vec::with_capacity(body.len() + 4);
    out.extend_from_slice(&body);
    out.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    out.into()
}

/// A checkpoint as it was read, its groups still as bytes.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) floor: u64,
    pub(super) node: Option<Bytes>,
    pub(super) tombstones: Vec<(PartitionId, PeerId)>,
    pub(super) corrupt: Vec<(PartitionId, PeerId, String)>,
    pub(super) count: u32,
    pub(super) groups: Bytes,
}

pub(super) fn decode(bytes: &Bytes) -> Result<Loaded, CodecError> {
    let body_len = bytes.len().saturating_sub(4);
    let mut crc = bytes.slice(body_len..);
    let body = bytes.slice(..body_len);
    if crc.len() != 4 || crc.get_u32() != crc32c::crc32c(&body) {
        return Err(CodecError::Unknown { what: "checksum over bytes", value: bytes.len() as u64 });
    }
    let mut r = Reader::new(body);
    let magic = r.u32("magic")?;
    if magic != MAGIC {
        return Err(CodecError::Unknown { what: "magic", value: magic.into() });
    }
    let version = r.u8("version")?;
    if version != VERSION {
        return Err(CodecError::Unknown { what: "version", value: version.into() });
    }
    let id = |r: &mut Reader| Ok(PartitionId::new(r.uuid("topic")?, r.u32("partition")?));
    let peer = |r: &mut Reader| Ok::<_, CodecError>(PeerId(r.u64("peer")?));
    let loaded = Loaded {
        floor: r.u64("position")?,
        node: r.option("node", |r| r.bytes("node"))?.map(|b| Bytes::copy_from_slice(&b)),
        tombstones: r.list("tombstones", |r| Ok((id(r)?, peer(r)?)))?,
        corrupt: r.list("damaged", |r| Ok((id(r)?, peer(r)?, r.str("reason")?)))?,
        count: r.u32("groups")?,
        groups: r.bytes("groups")?,
    };
    r.end()?;
    Ok(loaded)
}

//! What the write-ahead log carries, and its bytes.
//!
//! ```text
//! batch   magic 4 | header crc 4 | position 8 | synced 8 | previous end 8 | length 4 | 0 4 | records
//! record  body length 4 | body crc 4 | kind 1 | version 1 | 0 2 | topic 16 | partition 4 | header crc 4 | body
//! ```
//!
//! A position is a file's sequence number (upper half) and a place in it; the checksums of both
//! headers include it, so what a recycled file still holds of its earlier use never replays.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use raft::eraftpb::ConfState;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Offset, PartitionId, PeerId, Term, Uuid};
use crate::log::image::{Image, get_conf, put_conf};
use crate::log::row::{ROW_BYTES, Row};

/// The length of a batch's header.
pub const BATCH_BYTES: usize = 40;
/// The length of a record's header.
pub const RECORD_BYTES: usize = 36;
const MAGIC: u32 = 0x4348_5731;
const VERSION: u8 = 1;
/// A body of this length or more is written from where it lies.
const SHARED_BYTES_MIN: usize = 4096;

/// One fact about one group, or about the node.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A replica is made; without an image it waits for a snapshot.
    Create {
        /// The group.
        id: PartitionId,
        /// The replica's life.
        peer: PeerId,
        /// Where it starts.
        image: Option<Image>,
    },
    /// A replica is gone for ever.
    Destroy {
        /// The group.
        id: PartitionId,
        /// The replica's life.
        peer: PeerId,
    },
    /// A replica was found damaged and must not start.
    Corrupt {
        /// The group.
        id: PartitionId,
        /// The replica's life.
        peer: PeerId,
        /// What was found.
        reason: String,
    },
    /// The log restarts from a leader's snapshot.
    Install {
        /// The group.
        id: PartitionId,
        /// Where it starts.
        image: Image,
    },
    /// An entry; takes the place of those at and after its index.
    Entry {
        /// The group.
        id: PartitionId,
        /// All but its bytes.
        row: Row,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Term, vote and commit.
    HardState {
        /// The group.
        id: PartitionId,
        /// The term.
        term: Term,
        /// The peer voted for in it, or 0.
        vote: u64,
        /// The commit index.
        commit: Index,
        /// Whether term or vote changed; a commit alone needs no sync. Not written.
        urgent: bool,
    },
    /// The members.
    Conf {
        /// The group.
        id: PartitionId,
        /// Who they are.
        conf: ConfState,
        /// The change that made them.
        conf_index: Index,
    },
    /// The log start offset.
    Start {
        /// The group.
        id: PartitionId,
        /// The offset.
        offset: Offset,
    },
    /// The node's own record; the latest is the one that counts.
    Node(Bytes),
}

impl Record {
    /// The group that it is about.
    #[must_use]
    pub fn id(&self) -> Option<PartitionId> {
        match self {
            Record::Create { id, .. }
            | Record::Destroy { id, .. }
            | Record::Corrupt { id, .. }
            | Record::Install { id, .. }
            | Record::Entry { id, .. }
            | Record::HardState { id, .. }
            | Record::Conf { id, .. }
            | Record::Start { id, .. } => Some(*id),
            Record::Node(_) => None,
        }
    }

    /// Whether somebody will wait until it is synced.
    #[must_use]
    pub fn needs_sync(&self) -> bool {
        !matches!(self, Record::HardState { urgent: false, .. })
    }

    fn kind(&self) -> u8 {
        match self {
            Record::Create { .. } => 1,
            Record::Destroy { .. } => 2,
            Record::Corrupt { .. } => 3,
            Record::Install { .. } => 4,
            Record::Entry { .. } => 5,
            Record::HardState { .. } => 6,
            Record::Conf { .. } => 7,
            Record::Start { .. } => 8,
            Record::Node(_) => 9,
        }
    }

    /// The body, in two parts of which the second is not copied.
    fn body(self) -> (Bytes, Bytes) {
        let mut w = Writer::new();
        match self {
            Record::Create { peer, image, .. } => {
                w.u64(peer.0).option(image, |w, image| image.put(w));
            }
            Record::Destroy { peer, .. } => {
                w.u64(peer.0);
            }
            Record::Corrupt { peer, reason, .. } => {
                w.u64(peer.0).str(&reason);
            }
            Record::Install { image, .. } => image.put(&mut w),
            Record::Entry { row, bytes, .. } => {
                return (Bytes::copy_from_slice(&row.encode()), bytes);
            }
            Record::HardState { term, vote, commit, .. } => {
                w.u64(term).u64(vote).u64(commit);
            }
            Record::Conf { conf, conf_index, .. } => {
                put_conf(&mut w, &conf);
                w.u64(conf_index);
            }
            Record::Start { offset, .. } => {
                w.i64(offset);
            }
            Record::Node(bytes) => return (Bytes::new(), bytes),
        }
        (w.finish(), Bytes::new())
    }

    fn decode(kind: u8, id: PartitionId, body: Bytes) -> Result<Record, CodecError> {
        let mut r = Reader::new(body);
        let record = match kind {
            1 => Record::Create {
                id,
                peer: PeerId(r.u64("peer")?),
                image: r.option("image", Image::get)?,
            },
            2 => Record::Destroy { id, peer: PeerId(r.u64("peer")?) },
            3 => Record::Corrupt { id, peer: PeerId(r.u64("peer")?), reason: r.str("reason")? },
            4 => Record::Install { id, image: Image::get(&mut r)? },
            5 => {
                let row = Row::decode(&r.take("row", ROW_BYTES)?)
                    .map_err(|_| CodecError::Unknown { what: "index row in record", value: 5 })?;
                Record::Entry { id, row, bytes: r.take("entry bytes", row.len as usize)? }
            }
            6 => Record::HardState {
                id,
                term: r.u64("term")?,
                vote: r.u64("vote")?,
                commit: r.u64("commit")?,
                urgent: true,
            },
            7 => Record::Conf { id, conf: get_conf(&mut r)?, conf_index: r.u64("conf index")? },
            8 => Record::Start { id, offset: r.i64("log start")? },
            9 => Record::Node(r.take("node record", r.left())?),
            other => return Err(CodecError::Unknown { what: "record kind", value: other.into() }),
        };
        r.end()?;
        Ok(record)
    }
}

/// A record on its way into the file; only its position is missing.
#[derive(Debug)]
pub(super) struct Pending {
    head: [u8; RECORD_BYTES - 4],
    body: (Bytes, Bytes),
}

impl Pending {
    pub(super) fn new(record: Record) -> Pending {
        let id = record.id().unwrap_or(PartitionId::new(Uuid::nil(), 0));
        let kind = record.kind();
        let body = record.body();
        let len = body.0.len() + body.1.len();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&body.0), &body.1);
        let mut head = [0; RECORD_BYTES - 4];
        let mut buf = &mut head[..];
        buf.put_u32(u32::try_from(len).expect("a record is far below 4 GiB"));
        buf.put_u32(crc);
        buf.put_u8(kind);
        buf.put_u8(VERSION);
        buf.put_u16(0);
        buf.put_slice(id.topic.as_bytes());
        buf.put_u32(id.partition);
        Pending { head, body }
    }

    pub(super) fn len(&self) -> usize {
        RECORD_BYTES + self.body.0.len() + self.body.1.len()
    }

    /// How much of it [`Pending::put`] copies.
    pub(super) fn copied_len(&self) -> usize {
        let bodies = [&self.body.0, &self.body.1].into_iter().map(Bytes::len);
        RECORD_BYTES + bodies.filter(|len| *len < SHARED_BYTES_MIN).sum::<usize>()
    }

    /// Adds the record, which will lie at `position`, to `parts`; long bodies are not copied.
    pub(super) fn put(&self, position: u64, scratch: &mut BytesMut, parts: &mut Vec<Bytes>) {
        scratch.put_slice(&self.head);
        scratch.put_u32(placed_crc(&self.head, position));
        for body in [&self.body.0, &self.body.1] {
            if body.len() < SHARED_BYTES_MIN {
                scratch.put_slice(body);
            } else {
                parts.push(scratch.split().freeze());
                parts.push(body.clone());
            }
        }
    }
}

/// The header of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHead {
    /// Where it lies.
    pub(super) position: u64,
    /// Up to where the log was known to be synced when this was written.
    pub(super) synced: u64,
    /// Where the batch before it ended: in a new file this says where the last one stops.
    pub(super) prev_end: u64,
    /// The length of its records.
    pub(super) len: u32,
}

impl BatchHead {
    pub(super) fn encode(&self) -> [u8; BATCH_BYTES] {
        let mut out = [0; BATCH_BYTES];
        let (head, mut rest) = out.split_at_mut(8);
        rest.put_u64(self.position);
        rest.put_u64(self.synced);
        rest.put_u64(self.prev_end);
        rest.put_u32(self.len);
        let mut head = head;
        head.put_u32(MAGIC);
        let crc = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// The header at `position`, if one that was written there lies there.
    pub(super) fn decode(bytes: &[u8], position: u64) -> Option<BatchHead> {
        let mut buf = bytes.get(..BATCH_BYTES)?;
        if buf.get_u32() != MAGIC || buf.get_u32() != crc32c::crc32c(bytes.get(8..BATCH_BYTES)?) {
            return None;
        }
        let head = BatchHead {
            position: buf.get_u64(),
            synced: buf.get_u64(),
            prev_end: buf.get_u64(),
            len: buf.get_u32(),
        };
        (head.position == position).then_some(head)
    }
}

/// What lies at one place of a batch.
#[derive(Debug)]
pub(super) enum Found {
    /// A record and its length.
    Record(Record, usize),
    /// A record of this group (or of the node), of this length, whose body is damaged.
    Damaged(PartitionId, usize),
    /// Nothing that could be told apart from garbage.
    Nothing,
}

/// Reads the record that lies at `position`, at the front of `buf`.
pub(super) fn read_record(buf: &[u8], position: u64) -> Found {
    let Some((head, rest)) = buf.split_at_checked(RECORD_BYTES - 4) else { return Found::Nothing };
    let Some((mut crc, rest)) = rest.split_at_checked(4) else { return Found::Nothing };
    if crc.get_u32() != placed_crc(head, position) {
        return Found::Nothing;
    }
    let mut fields = head;
    let (len, body_crc) = (fields.get_u32() as usize, fields.get_u32());
    let (kind, version) = (fields.get_u8(), fields.get_u8());
    fields.advance(2);
    let topic = Uuid::from_u128(fields.get_u128());
    let id = PartitionId::new(topic, fields.get_u32());
    let Some(body) = rest.get(..len) else { return Found::Nothing };
    let whole = RECORD_BYTES + len;
    if crc32c::crc32c(body) != body_crc || version != VERSION {
        return Found::Damaged(id, whole);
    }
    // The body is copied, or a single small entry would keep the whole file in memory.
    match Record::decode(kind, id, Bytes::copy_from_slice(body)) {
        Ok(record) => Found::Record(record, whole),
        Err(_) => Found::Damaged(id, whole),
    }
}

fn placed_crc(head: &[u8], position: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), &position.to_be_bytes())
}

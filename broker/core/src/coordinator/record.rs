//! What a coordinator writes into its partition's log: one record, one decision of the leader.
//! What a record does to a group is in `group`; the form of the whole state is in `snapshot`.
//!
//! `version u8 = 1, kind u8, term u64, seq u64, group str, body`. Term and sequence number name the
//! decision, so that the leader that made it finds who waits for it.

use bytes::Bytes;

use super::group::{Member, OffsetKey, StoredOffset};
use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Term};

const VERSION: u8 = 1;

/// One decision about one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The term of the leader that decided.
    pub(super) term: Term,
    /// The number of the decision within the term.
    pub(super) seq: u64,
    /// The group.
    pub(super) group: String,
    /// The decision.
    pub(super) change: Change,
}

/// What was decided. A change that was decided in another generation than the group's applies as
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A rebalance ended: these are the members of the next generation (none: the group is empty).
    Generation {
        /// The generation that was current when this was decided.
        decided_in: i32,
        /// The new generation.
        generation: i32,
        /// When, in wall clock milliseconds of the leader that decided.
        at_ms: i64,
        /// "consumer", "connect", ...
        protocol_type: Option<String>,
        /// The chosen protocol; none for an empty group.
        protocol: Option<String>,
        /// The member that makes the assignment; none for an empty group.
        leader: Option<String>,
        /// The members, without assignments.
        members: Vec<Member>,
    },
    /// The leading member's assignment.
    Assignment {
        /// The generation that it is for.
        generation: i32,
        /// Member id and what is assigned to it.
        assignments: Vec<(String, Bytes)>,
    },
    /// A static member came back under a new member id and keeps its assignment.
    Replace {
        /// The generation that this was decided in.
        generation: i32,
        /// The member, with its instance id and its new member id.
        member: Member,
    },
    /// Offsets were committed.
    Commit {
        /// The committing member's generation, or -1 from outside of the group protocol.
        generation: i32,
        /// The offsets; their index is that of the record and is not written.
        offsets: Vec<(OffsetKey, StoredOffset)>,
    },
    /// The group is deleted, if it is empty.
    Delete,
    /// Offsets are deleted.
    DeleteOffsets {
        /// Whose.
        keys: Vec<OffsetKey>,
    },
    /// Offsets are too old.
    Expire {
        /// The generation that this was decided in.
        generation: i32,
        /// Which, and the index of the commit that was looked at: a later commit stays.
        offsets: Vec<(OffsetKey, Index)>,
        /// Also forget the group if nothing of it is left.
        forget: bool,
    },
}

impl Record {
    pub(super) fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        w.u8(VERSION).u8(self.change.kind()).u64(self.term).u64(self.seq).str(&self.group);
        self.change.put(&mut w);
        w.finish()
    }

    pub(super) fn decode(buf: Bytes) -> Result<Record, CodecError> {
        let mut r = Reader::new(buf);
        let version = r.u8("group record version")?;
        if version != VERSION {
            let value = u64::from(version);
            return Err(CodecError::Unknown { what: "group record version", value });
        }
        let kind = r.u8("group record kind")?;
        let (term, seq) = (r.u64("term")?, r.u64("sequence number")?);
        let group = r.str("group id")?;
        let change = Change::get(kind, &mut r)?;
        r.end()?;
        Ok(Record { term, seq, group, change })
    }
}

impl Change {
    fn kind(&self) -> u8 {
        match self {
            Change::Generation { .. } => 1,
            Change::Assignment { .. } => 2,
            Change::Replace { .. } => 3,
            Change::Commit { .. } => 4,
            Change::Delete => 5,
            Change::DeleteOffsets { .. } => 6,
            Change::Expire { .. } => 7,
        }
    }

    fn put(&self, w: &mut Writer) {
        match self {
            Change::Generation {
                decided_in,
                generation,
                at_ms,
                protocol_type,
                protocol,
                leader,
                members,
            } => {
                w.i32(*decided_in).i32(*generation).i64(*at_ms);
                for text in [protocol_type, protocol, leader] {
                    put_text(w, text.as_deref());
                }
                w.list(members.iter(), |w, m| m.put(w));
            }
            Change::Assignment { generation, assignments } => {
                w.i32(*generation).list(assignments.iter(), |w, (member, assignment)| {
                    w.str(member).bytes(assignment);
                });
            }
            Change::Replace { generation, member } => {
                w.i32(*generation);
                member.put(w);
            }
            Change::Commit { generation, offsets } => {
                w.i32(*generation).list(offsets.iter(), |w, (key, offset)| {
                    key.put(w);
                    offset.put(w);
                });
            }
            Change::Delete => {}
            Change::DeleteOffsets { keys } => {
                w.list(keys.iter(), |w, key| key.put(w));
            }
            Change::Expire { generation, offsets, forget } => {
                w.i32(*generation).list(offsets.iter(), |w, (key, index)| {
                    key.put(w);
                    w.u64(*index);
                });
                w.bool(*forget);
            }
        }
    }

    fn get(kind: u8, r: &mut Reader) -> Result<Change, CodecError> {
        Ok(match kind {
            1 => Change::Generation {
                decided_in: r.i32("deciding generation")?,
                generation: r.i32("generation")?,
                at_ms: r.i64("time")?,
                protocol_type: get_text(r, "protocol type")?,
                protocol: get_text(r, "protocol")?,
                leader: get_text(r, "leader")?,
                members: r.list("members", Member::get)?,
            },
            2 => Change::Assignment {
                generation: r.i32("generation")?,
                assignments: r.list("assignments", |r| {
                    Ok((r.str("member id")?, own(&r.bytes("assignment")?)))
                })?,
            },
            3 => Change::Replace { generation: r.i32("generation")?, member: Member::get(r)? },
            4 => Change::Commit {
                generation: r.i32("generation")?,
                offsets: r.list("offsets", |r| Ok((OffsetKey::get(r)?, StoredOffset::get(r)?)))?,
            },
            5 => Change::Delete,
            6 => Change::DeleteOffsets { keys: r.list("offsets", OffsetKey::get)? },
            7 => Change::Expire {
                generation: r.i32("generation")?,
                offsets: r.list("offsets", |r| Ok((OffsetKey::get(r)?, r.u64("index")?)))?,
                forget: r.bool("flag")?,
            },
            other => {
                let value = u64::from(other);
                return Err(CodecError::Unknown { what: "group record kind", value });
            }
        })
    }
}

pub(super) fn put_text(w: &mut Writer, text: Option<&str>) {
    w.option(text, |w, t| {
        w.str(t);
    });
}

pub(super) fn get_text(r: &mut Reader, what: &'static str) -> Result<Option<String>, CodecError> {
    r.option(what, |r| r.str(what))
}

/// A copy, so that a few bytes kept for days do not keep the whole buffer they came in.
pub(super) fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

//! One group as every replica keeps it, and what a record does to it. No clock, no timers, nobody
//! who waits: those are the leader's and are in `members`.
//!
//! ```text
//!            Generation, no members
//!      +---------------------------------------------+-----------------+
//!      v                                             |                 |
//!   Empty --Generation--> CompletingRebalance --Assignment--> Stable --+
//!    |  |                        |      ^                      |  ^
//!    |  +- Commit (simple)       +------+---- Generation ------+  | Replace, Commit
//!    v                                                            +---------------
//!  (gone) Delete, Expire
//! ```
//!
//! PreparingRebalance is no state of this: it is the leader collecting members, and a new leader
//! falls back to the last generation. A record decided in another generation applies as nothing.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::record::{Change, get_text, own, put_text};
use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Offset};

/// The replicated part of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Group {
    /// Grows with every rebalance; 0 before the first.
    pub(super) generation: i32,
    /// "consumer", "connect", ...; none for a group that only ever stored offsets.
    pub(super) protocol_type: Option<String>,
    /// The protocol that the members of this generation agreed on.
    pub(super) protocol: Option<String>,
    /// The member that makes the assignment.
    pub(super) leader: Option<String>,
    /// The members of this generation.
    pub(super) members: BTreeMap<String, Member>,
    /// Whether this generation's assignment is there.
    pub(super) assigned: bool,
    /// When this generation began, in wall clock milliseconds of its leader.
    pub(super) since_ms: i64,
    /// Committed offsets.
    pub(super) offsets: BTreeMap<OffsetKey, StoredOffset>,
}

/// A member of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Member {
    /// Its id, made by the coordinator.
    pub(super) id: String,
    /// The name that it keeps over restarts, if it is static (KIP-345).
    pub(super) instance: Option<String>,
    /// What its client calls itself.
    pub(super) client_id: String,
    /// Where it connects from.
    pub(super) host: String,
    /// It is gone if nothing is heard of it for so long.
    pub(super) session_timeout_ms: i32,
    /// How long it may take to join a rebalance.
    pub(super) rebalance_timeout_ms: i32,
    /// The protocols that it knows, best first, with its metadata for each.
    pub(super) protocols: Vec<(String, Bytes)>,
    /// What is assigned to it.
    pub(super) assignment: Bytes,
}

/// A partition that an offset is committed for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OffsetKey {
    /// The topic's name.
    pub(super) topic: String,
    /// The partition.
    pub(super) partition: i32,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredOffset {
    /// The next offset to consume.
    pub(super) offset: Offset,
    /// The leader epoch of the last consumed record, or -1.
    pub(super) leader_epoch: i32,
    /// The client's own text.
    pub(super) metadata: String,
    /// When it was committed, in wall clock milliseconds of the coordinator.
    pub(super) at_ms: i64,
    /// When it is to be forgotten, if the client said so (OffsetCommit 2-4).
    pub(super) expire_ms: Option<i64>,
    /// The index of the commit's record; set when it is applied.
    pub(super) index: Index,
}

/// What a record did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Applied {
    /// What it says.
    Done,
    /// A static member was replaced.
    Replaced {
        /// Its new id.
        member: String,
        /// The leader's id before that.
        leader_before: Option<String>,
    },
    /// Nothing: the group is in another generation, or not in a state to take it.
    Stale,
}

impl Group {
    /// The metadata that `member` gave for the chosen protocol.
    pub(super) fn metadata(&self, member: &Member) -> Bytes {
        let chosen = self.protocol.as_deref();
        let found = member.protocols.iter().find(|(name, _)| Some(name.as_str()) == chosen);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Applies `change`, which is in the log at `index`.
    pub(super) fn apply(&mut self, index: Index, change: Change) -> Applied {
        match change {
            Change::Generation {
                decided_in,
                generation,
                at_ms,
                protocol_type,
                protocol,
                leader,
                members,
            } => {
                if decided_in != self.generation {
                    return Applied::Stale;
                }
                self.generation = generation;
                self.since_ms = at_ms;
                self.protocol_type = protocol_type;
                self.protocol = protocol;
                self.leader = leader;
                self.members = members.into_iter().map(|m| (m.id.clone(), m)).collect();
                self.assigned = false;
                Applied::Done
            }
            Change::Assignment { generation, assignments } => self.assign(generation, assignments),
            Change::Replace { generation, member } => self.replace(generation, member),
            Change::Commit { generation, offsets } => self.commit(index, generation, offsets),
            Change::Delete => {
                if !self.members.is_empty() {
                    return Applied::Stale;
                }
                *self = Group::default();
                Applied::Done
            }
            Change::DeleteOffsets { keys } => {
                for key in &keys {
                    self.offsets.remove(key);
                }
                Applied::Done
            }
            Change::Expire { generation, offsets, forget } => {
                for (key, seen) in &offsets {
                    if self.offsets.get(key).is_some_and(|o| o.index == *seen) {
                        self.offsets.remove(key);
                    }
                }
                let idle = self.members.is_empty() && self.offsets.is_empty();
                if forget && idle && generation == self.generation {
                    *self = Group::default();
                }
                Applied::Done
            }
        }
    }

    /// Whether nothing of the group is worth keeping.
    pub(super) fn is_nothing(&self) -> bool {
        self.generation == 0 && self.members.is_empty() && self.offsets.is_empty()
    }

    /// The first assignment of a generation is the only one.
    fn assign(&mut self, generation: i32, assignments: Vec<(String, Bytes)>) -> Applied {
        if generation != self.generation || self.assigned || self.members.is_empty() {
            return Applied::Stale;
        }
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.assigned = true;
        Applied::Done
    }

    fn replace(&mut self, generation: i32, mut member: Member) -> Applied {
        let old = self.members.values().find(|m| m.instance == member.instance);
        let Some(old) = old.map(|m| m.id.clone()) else { return Applied::Stale };
        if generation != self.generation || member.instance.is_none() {
            return Applied::Stale;
        }
        let leader_before = self.leader.clone();
        if self.leader.as_ref() == Some(&old) {
            self.leader = Some(member.id.clone());
        }
        if let Some(old) = self.members.remove(&old) {
            member.assignment = old.assignment;
        }
        let id = member.id.clone();
        self.members.insert(id.clone(), member);
        Applied::Replaced { member: id, leader_before }
    }

    fn commit(
        &mut self,
        index: Index,
        generation: i32,
        offsets: Vec<(OffsetKey, StoredOffset)>,
    ) -> Applied {
        let current = generation == self.generation && !self.members.is_empty();
        let simple = generation < 0 && self.members.is_empty();
        if !current && !simple {
            return Applied::Stale;
        }
        self.offsets.extend(offsets.into_iter().map(|(k, o)| (k, StoredOffset { index, ..o })));
        Applied::Done
    }

    pub(super) fn put(&self, w: &mut Writer) {
        let Group {
            generation,
            protocol_type,
            protocol,
            leader,
            members,
            assigned,
            since_ms,
            offsets,
        } = self;
        w.i32(*generation);
        for text in [protocol_type, protocol, leader] {
            put_text(w, text.as_deref());
        }
        w.list(members.values(), |w, m| m.put(w)).bool(*assigned).i64(*since_ms);
        w.list(offsets.iter(), |w, (key, offset)| {
            key.put(w);
            offset.put(w);
            w.u64(offset.index);
        });
    }

    pub(super) fn get(r: &mut Reader) -> Result<Group, CodecError> {
        Ok(Group {
            generation: r.i32("generation")?,
            protocol_type: get_text(r, "protocol type")?,
            protocol: get_text(r, "protocol")?,
            leader: get_text(r, "leader")?,
            members: r
                .list("members", Member::get)?
                .into_iter()
                .map(|m| (m.id.clone(), m))
                .collect(),
            assigned: r.bool("flag")?,
            since_ms: r.i64("time")?,
            offsets: r
                .list("offsets", |r| {
                    let (key, offset) = (OffsetKey::get(r)?, StoredOffset::get(r)?);
                    Ok((key, StoredOffset { index: r.u64("index")?, ..offset }))
                })?
                .into_iter()
                .collect(),
        })
    }
}

impl Member {
    pub(super) fn put(&self, w: &mut Writer) {
        let Member {
            id,
            instance,
            client_id,
            host,
            session_timeout_ms,
            rebalance_timeout_ms,
            protocols,
            assignment,
        } = self;
        w.str(id);
        put_text(w, instance.as_deref());
        w.str(client_id).str(host).i32(*session_timeout_ms).i32(*rebalance_timeout_ms);
        w.list(protocols.iter(), |w, (name, metadata)| {
            w.str(name).bytes(metadata);
        });
        w.bytes(assignment);
    }

    pub(super) fn get(r: &mut Reader) -> Result<Member, CodecError> {
        Ok(Member {
            id: r.str("member id")?,
            instance: get_text(r, "instance id")?,
            client_id: r.str("client id")?,
            host: r.str("host")?,
            session_timeout_ms: r.i32("session timeout")?,
            rebalance_timeout_ms: r.i32("rebalance timeout")?,
            protocols: r
                .list("protocols", |r| Ok((r.str("protocol")?, own(&r.bytes("metadata")?))))?,
            assignment: own(&r.bytes("assignment")?),
        })
    }
}

impl OffsetKey {
    pub(super) fn put(&self, w: &mut Writer) {
        w.str(&self.topic).i32(self.partition);
    }

    pub(super) fn get(r: &mut Reader) -> Result<OffsetKey, CodecError> {
        Ok(OffsetKey { topic: r.str("topic")?, partition: r.i32("partition")? })
    }
}

impl StoredOffset {
    /// All but the index, which the log has.
    pub(super) fn put(&self, w: &mut Writer) {
        w.i64(self.offset).i32(self.leader_epoch).str(&self.metadata).i64(self.at_ms);
        w.option(self.expire_ms, |w, ms| {
            w.i64(ms);
        });
    }

    pub(super) fn get(r: &mut Reader) -> Result<StoredOffset, CodecError> {
        Ok(StoredOffset {
            offset: r.i64("offset")?,
            leader_epoch: r.i32("leader epoch")?,
            metadata: r.str("metadata")?,
            at_ms: r.i64("time")?,
            expire_ms: r.option("expiry", |r| r.i64("expiry"))?,
            index: 0,
        })
    }
}

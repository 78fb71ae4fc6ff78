//! What brokers say to each other beside Raft: registration, proposals for `__meta`'s leader, and
//! that they are alive.

use bytes::Bytes;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, PartitionId, PeerId, Term, Uuid};
use crate::meta::Proposal;

/// A message between brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMessage {
    /// Nothing but a sign of life.
    Alive,
    /// A sign of life of a broker that must not be given leaderships: it is shutting down, or its
    /// disk hangs.
    Leaving,
    /// It can lead again: its disk has answered.
    Staying,
    /// A broker without a cluster asks to be let in: an encoded `RegisterBroker` command.
    Register(Bytes),
    /// The answer: it is registered.
    Registered {
        /// The directory that was registered.
        directory: Uuid,
        /// The cluster.
        cluster_id: String,
        /// The replica of `__meta` that it is to hold.
        meta_peer: PeerId,
    },
    /// The answer: it is not, and why. `retired` if that directory was removed from the cluster.
    NotRegistered {
        /// The directory that asked.
        directory: Uuid,
        /// The cluster.
        cluster_id: String,
        /// Whether the directory belongs to a broker that was removed.
        retired: bool,
        /// For people.
        reason: String,
    },
    /// A command for the leader of `__meta` to propose.
    Propose {
        /// Who asks.
        proposal: Proposal,
        /// The command.
        command: Bytes,
    },
    /// It was proposed. The asker sees in its own image what became of it.
    Proposed {
        /// The asker's number.
        id: u64,
        /// Where it will be if nothing happens to it; none if this broker could not propose.
        at: Option<(Index, Term)>,
    },
    /// Entries are in a follower's write-ahead log, not synced yet (see `core::relaxed`).
    Received(Vec<ReceivedRow>),
}

/// How far a follower's write-ahead log is in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedRow {
    /// The group.
    pub group: PartitionId,
    /// The follower.
    pub from: PeerId,
    /// The term of the leader that it follows.
    pub term: Term,
    /// Its last index.
    pub index: Index,
}

impl PeerMessage {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        match self {
            PeerMessage::Alive => out.u8(0),
            PeerMessage::Register(command) => out.u8(1).bytes(command),
            PeerMessage::Registered { directory, cluster_id, meta_peer } => {
                out.u8(2).uuid(*directory).str(cluster_id).u64(meta_peer.0)
            }
            PeerMessage::NotRegistered { directory, cluster_id, retired, reason } => {
                out.u8(3).uuid(*directory).str(cluster_id).bool(*retired).str(reason)
            }
            PeerMessage::Propose { proposal, command } => {
                proposal.put(out.u8(4));
                out.bytes(command)
            }
            PeerMessage::Proposed { id, at } => {
                out.u8(5).u64(*id).option(*at, |out, (index, term)| {
                    out.u64(index).u64(term);
                })
            }
            PeerMessage::Received(rows) => out.u8(6).list(rows.iter(), |out, row| {
                out.uuid(row.group.topic).u32(row.group.partition);
                out.u64(row.from.0).u64(row.term).u64(row.index);
            }),
            PeerMessage::Leaving => out.u8(7),
            PeerMessage::Staying => out.u8(8),
        };
        out.finish()
    }

    /// Reads a message.
    pub fn decode(bytes: Bytes) -> Result<PeerMessage, CodecError> {
        let mut from = Reader::new(bytes);
        let message = match from.u8("peer message")? {
            0 => PeerMessage::Alive,
            1 => PeerMessage::Register(from.bytes("registration")?),
            2 => PeerMessage::Registered {
                directory: from.uuid("directory")?,
                cluster_id: from.str("cluster id")?,
                meta_peer: PeerId(from.u64("__meta peer")?),
            },
            3 => PeerMessage::NotRegistered {
                directory: from.uuid("directory")?,
                cluster_id: from.str("cluster id")?,
                retired: from.bool("retired")?,
                reason: from.str("reason")?,
            },
            4 => PeerMessage::Propose {
                proposal: Proposal::get(&mut from)?,
                command: from.bytes("command")?,
            },
            5 => PeerMessage::Proposed {
                id: from.u64("proposal id")?,
                at: from.option("position", |from| Ok((from.u64("index")?, from.u64("term")?)))?,
            },
            6 => PeerMessage::Received(from.list("received rows", |from| {
                Ok(ReceivedRow {
                    group: PartitionId::new(from.uuid("group")?, from.u32("partition")?),
                    from: PeerId(from.u64("follower")?),
                    term: from.u64("term")?,
                    index: from.u64("index")?,
                })
            })?),
            7 => PeerMessage::Leaving,
            8 => PeerMessage::Staying,
            value => {
                return Err(CodecError::Unknown { what: "peer message", value: value.into() });
            }
        };
        from.end()?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_reads_back_and_a_cut_one_is_refused() {
        let directory = Uuid::from_u128(5);
        let all = [
            PeerMessage::Alive,
            PeerMessage::Leaving,
            PeerMessage::Staying,
            PeerMessage::Register(Bytes::from_static(b"r")),
            PeerMessage::Registered { directory, cluster_id: "c".into(), meta_peer: PeerId(9) },
            PeerMessage::NotRegistered {
                directory,
                cluster_id: "c".into(),
                retired: true,
                reason: "gone".into(),
            },
            PeerMessage::Propose {
                proposal: Proposal { asker: PeerId(9), boot: 2, seq: 3, settled: 1 },
                command: Bytes::from_static(b"c"),
            },
            PeerMessage::Proposed { id: 1, at: Some((3, 4)) },
            PeerMessage::Proposed { id: 1, at: None },
            PeerMessage::Received(vec![ReceivedRow {
                group: PartitionId::META,
                from: PeerId(3),
                term: 4,
                index: 5,
            }]),
        ];
        for message in all {
            let bytes = message.encode();
            assert_eq!(PeerMessage::decode(bytes.clone()).unwrap(), message);
            for cut in 0..bytes.len() {
                assert!(PeerMessage::decode(bytes.slice(..cut)).is_err());
            }
        }
    }
}

//! The life of a node: which cluster it belongs to, as written in its own log.
//!
//! ```text
//!   Uninitialized --Initialize--> Member                     (the first broker of a cluster)
//!   Uninitialized --Registered--> Joining --own image--> Member
//!   Member --restart, but removed--> Retired --Wipe--> (a new directory, Uninitialized)
//! ```

use bytes::Bytes;

use crate::admin::NodeState;
use crate::codec::{CodecError, Reader, Writer};
use crate::ids::PeerId;

/// What a node remembers of itself over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// How often the data directory was started.
    pub boot: u64,
    /// The cluster, and this node's replica of its `__meta`.
    pub membership: Option<Membership>,
    /// Removed from that cluster.
    pub retired: bool,
}

/// A node's place in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's id.
    pub cluster_id: String,
    /// The replica of `__meta`.
    pub meta_peer: PeerId,
    /// For the first broker of a cluster: how many brokers were wanted at its birth.
    pub born_with: Option<u32>,
}

const VERSION: u8 = 1;

impl NodeRecord {
    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.u8(VERSION).u64(self.boot).bool(self.retired);
        out.option(self.membership.as_ref(), |out, membership| {
            out.str(&membership.cluster_id).u64(membership.meta_peer.0);
            out.option(membership.born_with, |out, brokers| {
                out.u32(brokers);
            });
        });
        out.finish()
    }

    /// Reads a record.
    pub fn decode(bytes: Bytes) -> Result<NodeRecord, CodecError> {
        let mut from = Reader::new(bytes);
        match from.u8("node record version")? {
            VERSION => {}
            value => {
                return Err(CodecError::Unknown {
                    what: "node record version",
                    value: value.into(),
                });
            }
        }
        let record = NodeRecord {
            boot: from.u64("boot number")?,
            retired: from.bool("retired")?,
            membership: from.option("membership", |from| {
                Ok(Membership {
                    cluster_id: from.str("cluster id")?,
                    meta_peer: PeerId(from.u64("__meta peer")?),
                    born_with: from.option("brokers at birth", |from| from.u32("brokers"))?,
                })
            })?,
        };
        from.end()?;
        Ok(record)
    }

    /// The state to report, given whether the node's image of the cluster has it as a broker.
    #[must_use]
    pub fn state(&self, in_image: bool) -> NodeState {
        match (&self.membership, self.retired, in_image) {
            (_, true, _) => NodeState::Retired,
            (None, false, _) => NodeState::Uninitialized,
            (Some(_), false, false) => NodeState::Joining,
            (Some(_), false, true) => NodeState::Member,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_its_bytes_are_pinned() {
        let record = NodeRecord {
            boot: 3,
            retired: false,
            membership: Some(Membership {
                cluster_id: "ab".into(),
                meta_peer: PeerId(0x10_0001),
                born_with: Some(3),
            }),
        };
        let bytes = record.encode();
        assert_eq!(
            bytes[..],
            [
                1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 0, 0x10, 0, 1,
                1, 0, 0, 0, 3
            ]
        );
        assert_eq!(NodeRecord::decode(bytes.clone()).unwrap(), record);
        for cut in 0..bytes.len() {
            assert!(NodeRecord::decode(bytes.slice(..cut)).is_err());
        }
    }
}

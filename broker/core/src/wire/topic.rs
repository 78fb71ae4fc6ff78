//! How Produce and Fetch name a topic, and how their answers point to a partition's leader.

use kafka_protocol::protocol::StrBytes;

use crate::ids::Uuid;
use crate::wire::primitive::{Reader, WireError, Writer};

/// A topic, as the request names it; the response repeats it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TopicRef {
    /// By name: older versions.
    Name(StrBytes),
    /// By id: Produce 13, Fetch 13 and newer.
    Id(Uuid),
}

impl TopicRef {
    pub(super) fn read(r: &mut Reader<'_>, by_id: bool) -> Result<TopicRef, WireError> {
        if by_id {
            Ok(TopicRef::Id(r.uuid("a topic's id")?))
        } else {
            Ok(TopicRef::Name(r.string("a topic's name")?))
        }
    }

    /// Writes what the version calls for: a name where it wants an id is the nil id, an id where
    /// it wants a name is the empty one. Answers repeat the request's form, so neither happens.
    pub(super) fn write(&self, w: &mut Writer, by_id: bool) {
        match (self, by_id) {
            (TopicRef::Id(id), true) => w.uuid(*id),
            (TopicRef::Name(_), true) => w.uuid(Uuid::nil()),
            (TopicRef::Name(name), false) => w.string(name),
            (TopicRef::Id(_), false) => w.string(""),
        }
    }
}

/// Who leads a partition, for a client that asked somebody else (KIP-951). Its address is among
/// the response's [`NodeEndpoint`]s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderHint {
    /// The leader's broker id.
    pub leader_id: i32,
    /// Its term.
    pub leader_epoch: i32,
}

impl LeaderHint {
    pub(super) fn write(self, w: &mut Writer) {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.no_tags();
    }
}

/// Where a leader named in a [`LeaderHint`] is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEndpoint {
    /// The broker's id.
    pub node_id: i32,
    /// Its host.
    pub host: StrBytes,
    /// Its port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<StrBytes>,
}

impl NodeEndpoint {
    pub(super) fn write(&self, w: &mut Writer) {
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        w.nullable_string(self.rack.as_deref());
        w.no_tags();
    }
}

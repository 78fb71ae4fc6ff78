//! Heartbeats as fixed rows. An idle cluster sends little else, one per group and follower, so they
//! are not worth a protobuf each.

use raft::eraftpb::{Message, MessageType};

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{PartitionId, PeerId};

/// One heartbeat, or one answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heartbeat {
    pub(super) group: PartitionId,
    pub(super) answer: bool,
    pub(super) from: PeerId,
    pub(super) to: PeerId,
    pub(super) term: u64,
    pub(super) commit: u64,
}

impl Heartbeat {
    /// The row for `message`; none if it is no heartbeat, or carries more than a row holds.
    pub(super) fn from_message(group: PartitionId, message: &Message) -> Option<Heartbeat> {
        let answer = match message.get_msg_type() {
            MessageType::MsgHeartbeat => false,
            MessageType::MsgHeartbeatResponse => true,
            _ => return None,
        };
        if !message.context.is_empty() || message.reject || !message.entries.is_empty() {
            return None;
        }
        Some(Heartbeat {
            group,
            answer,
            from: PeerId(message.from),
            to: PeerId(message.to),
            term: message.term,
            commit: message.commit,
        })
    }

    pub(super) fn into_message(self) -> Message {
        let mut message = Message::default();
        message.set_msg_type(if self.answer {
            MessageType::MsgHeartbeatResponse
        } else {
            MessageType::MsgHeartbeat
        });
        message.from = self.from.0;
        message.to = self.to.0;
        message.term = self.term;
        message.commit = self.commit;
        message
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        out.uuid(self.group.topic).u32(self.group.partition).bool(self.answer);
        out.u64(self.from.0).u64(self.to.0).u64(self.term).u64(self.commit);
    }

    pub(super) fn decode(from: &mut Reader) -> Result<Heartbeat, CodecError> {
        Ok(Heartbeat {
            group: PartitionId::new(from.uuid("group")?, from.u32("partition")?),
            answer: from.bool("heartbeat answer")?,
            from: PeerId(from.u64("heartbeat sender")?),
            to: PeerId(from.u64("heartbeat receiver")?),
            term: from.u64("heartbeat term")?,
            commit: from.u64("heartbeat commit")?,
        })
    }
}

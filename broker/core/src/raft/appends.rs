//! Appends whose entries do not follow on the index that they name. raft-rs 0.7 makes them: with
//! `batch_append` it adds entries to an append under way if they continue *its entries*, and to one
//! without entries whatever they are (`is_continuous_ents`). When a leader has told a peer of a new
//! commit and learns in the same round that the peer is further back, the entries from there go out
//! under the index of the commit. The receiver finds each of them in its log, counts from that index,
//! and says that it has entries it never saw.

use raft::eraftpb::{Message, MessageType};

use super::group::Group;
use crate::log::disk::Disk;

/// Whether a message's entries are what its index promises: one after the other, right behind it.
pub(super) fn follow_on(message: &Message) -> bool {
    message.get_msg_type() != MessageType::MsgAppend
        || message.entries.iter().zip(message.index + 1..).all(|(entry, at)| entry.index == at)
}

impl<D: Disk> Group<D> {
    /// The message under the index that its entries follow on; none if the log has no entry there
    /// any more, and the peer asks again.
    pub(super) fn mended(&self, mut message: Message) -> Option<Message> {
        if follow_on(&message) {
            return Some(message);
        }
        let before = message.entries.first()?.index.checked_sub(1)?;
        message.log_term = self.raw.raft.raft_log.term(before).ok()?;
        message.index = before;
        follow_on(&message).then_some(message)
    }
}

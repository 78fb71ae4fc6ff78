//! A replica votes for one candidate in a term, over all its restarts. Followed on the wire.

use std::collections::BTreeMap;

use chronik_core::ids::{PartitionId, PeerId, Term};
use raft::eraftpb::{Message, MessageType};

use super::Violation;

/// Who voted for whom.
#[derive(Debug, Default)]
pub(super) struct Votes(BTreeMap<(PartitionId, PeerId, Term), PeerId>);

impl Votes {
    pub(super) fn check(&mut self, group: PartitionId, message: &Message) -> Result<(), Violation> {
        let answers = message.get_msg_type() == MessageType::MsgRequestVoteResponse;
        if answers && message.reject {
            return Ok(());
        }
        let voter = PeerId(message.from);
        let candidate = if answers { PeerId(message.to) } else { voter };
        match self.0.insert((group, voter, message.term), candidate) {
            Some(other) if other != candidate => Violation::new(
                "one vote a term",
                format!(
                    "{voter} votes for {candidate} in term {} of {group}, after {other}",
                    message.term
                ),
            ),
            Some(_) | None => Ok(()),
        }
    }
}

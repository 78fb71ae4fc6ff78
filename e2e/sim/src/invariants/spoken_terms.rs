//! Nobody speaks in a term that is not on its disk: a loss of power would take the term back, and
//! another leader could be elected in it.

use chronik_core::ids::{PartitionId, PeerId};
use raft::eraftpb::{Message, MessageType};

use super::Violation;
use super::term_and_vote_monotonic::Promises;

/// The term that every group is born in.
const BIRTH: u64 = 1;

pub(super) fn check(
    promises: &Promises,
    group: PartitionId,
    message: &Message,
) -> Result<(), Violation> {
    // Whoever asks whether it could win is not in that term yet, nor is whoever answers.
    let asks = matches!(
        message.get_msg_type(),
        MessageType::MsgRequestPreVote | MessageType::MsgRequestPreVoteResponse
    );
    let synced = promises.term(&(group, PeerId(message.from)));
    if asks || message.term <= synced.unwrap_or(BIRTH) {
        return Ok(());
    }
    let what = format!(
        "{} says {:?} in term {} of {group}; on disk is term {synced:?}",
        PeerId(message.from),
        message.get_msg_type(),
        message.term
    );
    Violation::new("terms are synced before they are spoken in", what)
}

//! The mistakes of [`mutant`](crate::mutant) that take more than a line: rules that raft-rs keeps,
//! broken around it. Nothing here does anything in a broker.

use raft::eraftpb::{Message, MessageType};

use super::group::Group;
use crate::log::disk::Disk;
use crate::mutant::{self, Mutant};

/// A message as this replica is about to take it.
pub(super) fn tampered(mut message: Message, me: u64) -> Message {
    if mutant::is(Mutant::TakeOthersMessages) {
        message.to = me;
    }
    let asks = matches!(
        message.get_msg_type(),
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
    );
    if asks && mutant::is(Mutant::VoteForAnyone) {
        (message.log_term, message.index) = (u64::MAX, u64::MAX);
    }
    message
}

impl<D: Disk> Group<D> {
    /// Commits what a quorum has, of whatever term.
    pub(super) fn commit_old_term(&mut self) {
        if !mutant::is(Mutant::CommitOldTerm) || !self.leads() {
            return;
        }
        let raft = &mut self.raw.raft;
        let index = raft.mut_prs().maximal_committed_index().0;
        let term = raft.raft_log.term(index).unwrap_or(0);
        raft.raft_log.maybe_commit(index, term);
    }
}

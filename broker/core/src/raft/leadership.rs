//! How a replica comes to lead, and how it gives the leadership to another. When that is wanted is
//! its owner's to decide.

use raft::eraftpb::{Message, MessageType};

use super::group::Group;
use crate::ids::PeerId;
use crate::log::disk::Disk;

impl<D: Disk> Group<D> {
    /// Asks for votes now.
    pub fn campaign(&mut self) {
        let may_stand = self.raw.raft.promotable() && !self.installs();
        if !self.stopped && may_stand && !self.leads() {
            let _ = self.raw.campaign();
            self.retime();
        }
    }

    /// Takes the term of a candidate that asks whether it would win (a pre-vote names the one after it),
    /// where this replica is none that votes any more. A candidate ignores answers from before its
    /// term; a voter with a longer log asks for votes itself, then, but one that was removed never does,
    /// and the candidate would not hear from it that the removal is committed.
    pub(super) fn come_to_term_of(&mut self, message: &Message) {
        let term = message.term.saturating_sub(1);
        let asks = message.get_msg_type() == MessageType::MsgRequestPreVote;
        if asks && !self.raw.raft.promotable() && !self.hears_leader() && term > self.term() {
            self.raw.raft.become_follower(term, raft::INVALID_ID);
        }
    }

    /// Hands the leadership to `to`, or to the voter with the longest log. Whether anyone was there
    /// to take it.
    pub fn transfer_leadership(&mut self, to: Option<PeerId>) -> bool {
        if !self.leads() {
            return false;
        }
        let raft = &self.raw.raft;
        if raft.lead_transferee.is_some() {
            return true;
        }
        let voters = raft.prs().conf().voters().ids();
        let best = raft
            .prs()
            .iter()
            .filter(|(id, _)| {
                **id != raft.id && voters.contains(**id) && self.is_active(PeerId(**id))
            })
            .filter(|(id, _)| to.is_none_or(|to| to.0 == **id))
            .max_by_key(|(id, progress)| (progress.matched, std::cmp::Reverse(**id)));
        let Some((&id, _)) = best else { return false };
        self.raw.transfer_leader(id);
        self.retime();
        true
    }
}

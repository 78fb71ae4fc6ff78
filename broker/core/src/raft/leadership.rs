//! How a replica comes to lead, and how it gives the leadership to another. When that is wanted is
//! its owner's to decide.

use super::group::Group;
use crate::ids::PeerId;
use crate::log::disk::Disk;

impl<D: Disk> Group<D> {
    /// Asks for votes now.
    pub fn campaign(&mut self) {
        if !self.stopped && self.raw.raft.promotable() && !self.leads() {
            let _ = self.raw.campaign();
            self.retime();
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

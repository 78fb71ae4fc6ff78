//! A disk that hangs: a leader whose sync does not return can commit only what the others sync for
//! it, and answers nothing that it has to sync itself. So its leaderships go to brokers whose disks
//! work, and stay there until the disk has answered. When to give the node up is the shell's.

use super::Core;
use super::peer_message::PeerMessage;
use crate::log::disk::Disk;
use crate::raft::ELECTION_TICK_MAX;

impl<D: Disk> Core<D> {
    pub(super) fn tick_stalled(&mut self) {
        let stalls = self.syncs.tick() > ELECTION_TICK_MAX;
        match (std::mem::replace(&mut self.stalled, stalls), stalls) {
            (false, true) => {
                tracing::warn!("a sync of the disk hangs: handing leaderships over");
                self.say_to_all(&PeerMessage::Leaving);
            }
            (true, false) => {
                tracing::info!("the disk answers again");
                if !self.is_shutting_down() {
                    self.say_to_all(&PeerMessage::Staying);
                }
            }
            (false, false) | (true, true) => {}
        }
        if !stalls {
            return;
        }
        let me = self.me();
        for (id, replica) in &mut self.replicas {
            // Without this node's vote, which has to be synced, the others must suffice.
            if replica.group.leads() && !replica.group.would_lose_quorum_without(me) {
                replica.group.transfer_leadership(None);
                self.dirty.insert(*id);
            }
        }
    }
}

//! Snapshots on their way to peers, and to the disk here. raft-rs waits for ever for a peer that it has
//! sent one to; who sends it says when it was lost.

use raft::SnapshotStatus;

use super::group::Group;
use super::timeouts::ELECTION_TICK_MAX;
use crate::ids::PeerId;
use crate::log::disk::Disk;
use crate::mutant::{self, Mutant};

impl<D: Disk> Group<D> {
    /// Whether a leader's snapshot is on its way to the disk. Until it is there this replica must not
    /// stand for election: raft-rs looks for membership changes behind what was applied, and panics, as
    /// the log begins behind the snapshot already.
    pub(super) fn installs(&self) -> bool {
        self.persisting.iter().any(|ready| ready.snapshot.is_some())
    }

    /// A snapshot that was not answered within the longest election timeout was lost.
    pub(super) fn expire_snapshots(&mut self) {
        let mut lost = Vec::new();
        for (peer, ticks) in &mut self.snapshots {
            *ticks += 1;
            if *ticks > ELECTION_TICK_MAX {
                lost.push(*peer);
            }
        }
        for peer in lost {
            self.snapshot_lost(peer);
        }
    }

    /// What was under way to `peer` is lost; if that was a snapshot, raft has to know.
    pub(super) fn snapshot_lost(&mut self, peer: PeerId) {
        if self.snapshots.remove(&peer).is_some() && !mutant::is(Mutant::ForgetLostSnapshot) {
            self.raw.report_snapshot(peer.0, SnapshotStatus::Failure);
        }
    }
}

//! A replica whose disk was lost is never heard of again: nobody holds, or speaks in, its peer id.
//! And no membership is made that cannot do without such ones: its quorum would be lost for good.

use std::collections::{BTreeMap, BTreeSet};

use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{BrokerId, PartitionId, PeerId};
use raft::eraftpb::Message;

use super::{ReplicaKey, Violation};

/// Which replicas lie on which disk, and which are lost.
#[derive(Debug, Default)]
pub(super) struct LostIdentities {
    held: BTreeMap<BrokerId, BTreeSet<ReplicaKey>>,
    lost: BTreeSet<ReplicaKey>,
}

impl LostIdentities {
    pub(super) fn lose(&mut self, node: BrokerId) {
        self.lost.extend(self.held.remove(&node).unwrap_or_default());
    }

    pub(super) fn held(&mut self, node: BrokerId, view: &ReplicaView<'_>) -> Result<(), Violation> {
        let key = (view.id, view.peer);
        if self.lost.contains(&key) {
            let what = format!("{} is on {node:?} as {}, which was lost", view.id, view.peer);
            return Violation::new("lost identities stay lost", what);
        }
        self.held.entry(node).or_default().insert(key);
        Ok(())
    }

    /// The membership of `view` was seen for the first time.
    pub(super) fn counted_on(&self, view: &ReplicaView<'_>) -> Result<(), Violation> {
        let is_lost = |peer: &&u64| self.lost.contains(&(view.id, PeerId(**peer)));
        for half in [&view.conf.voters, &view.conf.voters_outgoing] {
            let lost = half.iter().filter(is_lost).count();
            if lost > 0 && (half.len() - lost) * 2 <= half.len() {
                let what = format!("{} counts on {lost} lost disks: {:?}", view.id, view.conf);
                return Violation::new("no quorum is lost for good", what);
            }
        }
        Ok(())
    }

    pub(super) fn said(&self, group: PartitionId, message: &Message) -> Result<(), Violation> {
        if !self.lost.contains(&(group, PeerId(message.from))) {
            return Ok(());
        }
        let (from, what) = (PeerId(message.from), message.get_msg_type());
        Violation::new(
            "lost identities stay lost",
            format!("{from}, lost, says {what:?} in {group}"),
        )
    }
}

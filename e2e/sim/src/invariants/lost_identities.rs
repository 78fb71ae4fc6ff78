//! A replica whose disk was lost is never heard of again: nobody holds, or speaks in, its peer id.

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

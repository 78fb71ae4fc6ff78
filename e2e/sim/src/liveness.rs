//! What a cluster has to become again once nothing goes wrong any more: everything led, everything
//! equal, everybody served, nothing left to do.

use std::collections::BTreeMap;

use chronik_core::ids::{BrokerId, PartitionId};
use chronik_core::meta::ClusterConfig;
use chronik_core::raft::group::Role;

use crate::world::World;

impl World {
    /// What is still missing; none if the cluster is whole.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let since = self.calm_since?;
        if !self.operator.converged {
            return Some(format!("the operator's plan is not empty: {}", self.operator.last));
        }
        if let Some(left) = self.left_behind() {
            return Some(left);
        }
        if let Some(other) = self.other_rate() {
            return Some(other);
        }
        if let Some(stuck) = self.clients.stuck(since) {
            return Some(stuck);
        }
        let mut images = BTreeMap::new();
        let mut leaders: BTreeMap<PartitionId, BrokerId> = BTreeMap::new();
        let mut commits: BTreeMap<PartitionId, (BrokerId, u64)> = BTreeMap::new();
        for (id, node) in &self.nodes {
            let Some(core) = &node.core else { continue };
            images.insert(core.image().0, *id);
            if let Some((group, peer, why)) = core.offline_replicas().next() {
                return Some(format!("{peer} of {group} on {id:?} is not replaced: {why}"));
            }
            for view in core.replica_views() {
                if view.role == Role::Leader
                    && let Some(other) = leaders.insert(view.id, *id)
                {
                    return Some(format!("{id:?} and {other:?} both lead {}", view.id));
                }
                if view.applied != view.committed || view.committed != view.last {
                    // Writes never stop; only a replica that stays far behind is not converging.
                    let behind = view.last.saturating_sub(view.applied);
                    if behind > 64 {
                        return Some(format!("{} on {id:?} is {behind} behind", view.id));
                    }
                }
                let (other, commit) = *commits.entry(view.id).or_insert((*id, view.committed));
                if commit.abs_diff(view.committed) > 64 {
                    let here = view.committed;
                    return Some(format!(
                        "{} is at {commit} on {other:?} and {here} on {id:?}",
                        view.id
                    ));
                }
            }
        }
        let (low, high) = (images.keys().next()?, images.keys().next_back()?);
        if high - low > 4 {
            return Some(format!("images are at {images:?}"));
        }
        let live = commits.keys().find(|group| !leaders.contains_key(*group));
        live.map(|group| format!("{group} has no leader"))
    }

    /// A broker that goes by another rate of catching up than the manifest asks for.
    fn other_rate(&self) -> Option<String> {
        let wanted = self.operator.desired.catch_up_rate?;
        self.nodes.iter().find_map(|(id, node)| {
            let (_, image) = node.core.as_ref()?.image();
            let rate = ClusterConfig::of(image).catch_up_bytes_per_second;
            let is_other = rate != Some(wanted);
            is_other.then(|| format!("{id:?} sends at {rate:?} a second, and {wanted} is wanted"))
        })
    }
}

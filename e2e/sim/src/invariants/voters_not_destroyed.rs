//! A broker whose disk is whole destroys a replica only when its group does not count on it any more: not
//! because the image of the cluster has not heard of its vote yet. One that was thought damaged has its
//! successor beside it.

use chronik_core::core::Core;
use chronik_core::ids::BrokerId;
use chronik_core::log::mem_disk::MemDisk;

use super::conf_changes_overlap::Confs;
use super::{ReplicaKey, Violation};

/// `ended` were destroyed on `node`.
pub(super) fn check(
    confs: &Confs,
    node: BrokerId,
    core: &Core<MemDisk>,
    ended: &[ReplicaKey],
) -> Result<(), Violation> {
    for (id, peer) in ended.iter().copied() {
        let replaced = core.held_replicas().any(|(held, _)| held == id);
        // The groups of a deleted topic have ended too.
        if replaced || core.image().1.partition(id).is_none() {
            continue;
        }
        let Some(conf) = confs.newest_of(id) else { continue };
        if conf.voters.iter().chain(&conf.voters_outgoing).any(|voter| *voter == peer.0) {
            let what = format!("{node:?} has destroyed {peer} of {id}, a voter: {conf:?}");
            return Violation::new("no voter is destroyed", what);
        }
    }
    Ok(())
}

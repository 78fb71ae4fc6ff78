//! No replica is taken offline but on a disk whose bits have flipped.

use chronik_core::core::Core;
use chronik_core::ids::BrokerId;
use chronik_core::log::mem_disk::MemDisk;

use super::Violation;
use super::truth::Truth;

pub(super) fn check(truth: &Truth, node: BrokerId, core: &Core<MemDisk>) -> Result<(), Violation> {
    match core.offline_replicas().next() {
        None => Ok(()),
        Some(_) if truth.damaged.contains(&node) => Ok(()),
        Some((id, peer, why)) => {
            Violation::new("no replica offline", format!("{id} {peer} on {node:?}: {why}"))
        }
    }
}

//! No replica is taken offline: no disk of this world is ever damaged in what was synced.

use chronik_core::core::Core;
use chronik_core::ids::BrokerId;
use chronik_core::log::mem_disk::MemDisk;

use super::Violation;

pub(super) fn check(node: BrokerId, core: &Core<MemDisk>) -> Result<(), Violation> {
    match core.offline_replicas().next() {
        None => Ok(()),
        Some((id, peer, why)) => {
            Violation::new("no replica offline", format!("{id} {peer} on {node:?}: {why}"))
        }
    }
}

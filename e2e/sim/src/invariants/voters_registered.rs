//! Whoever votes, as the cluster's image has it, is on a broker that the image knows: a broker is
//! forgotten once it holds nothing.

use std::collections::BTreeMap;

use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, Index};
use chronik_core::log::mem_disk::MemDisk;

use super::Violation;

pub(super) fn check(
    node: BrokerId,
    core: &Core<MemDisk>,
    seen: &mut BTreeMap<BrokerId, Index>,
) -> Result<(), Violation> {
    let (index, image) = core.image();
    if seen.insert(node, index) == Some(index) {
        return Ok(());
    }
    for (id, partition) in image.partitions() {
        let mut voters = partition.voters.iter().chain(&partition.outgoing);
        if let Some(peer) = voters.find(|peer| image.broker(peer.broker()).is_none()) {
            let what =
                format!("{peer} votes in {id} at {index} of __meta, its broker is forgotten");
            return Violation::new("voters are on registered brokers", what);
        }
    }
    Ok(())
}

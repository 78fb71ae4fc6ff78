//! At the same index of `__meta`, every broker has the same image of the cluster.

use std::collections::BTreeMap;

use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, Index};
use chronik_core::log::mem_disk::MemDisk;

use super::Violation;

/// The image at each index, and how far each broker was.
#[derive(Debug, Default)]
pub(super) struct Images {
    at: BTreeMap<Index, (BrokerId, bytes::Bytes)>,
    seen: BTreeMap<BrokerId, Index>,
}

impl Images {
    pub(super) fn check(&mut self, node: BrokerId, core: &Core<MemDisk>) -> Result<(), Violation> {
        let (index, _) = core.image();
        if index == 0 || self.seen.insert(node, index) == Some(index) {
            return Ok(());
        }
        let bytes = core.image_bytes();
        match self.at.get(&index) {
            None => {
                self.at.insert(index, (node, bytes));
                Ok(())
            }
            Some((_, known)) if *known == bytes => Ok(()),
            Some((other, _)) => Violation::new(
                "images equal at equal index",
                format!("{node:?} and {other:?} differ at index {index} of __meta"),
            ),
        }
    }
}

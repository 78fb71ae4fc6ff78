//! At the same index of `__meta`, every broker has the same image of the cluster.

use std::collections::BTreeMap;

use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, Index};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::meta::State;

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
            Some((other, known)) => Violation::new(
                "images equal at equal index",
                format!(
                    "{node:?} and {other:?} differ at index {index} of __meta: {}",
                    difference(bytes, known.clone())
                ),
            ),
        }
    }
}

/// Where two images begin to differ, for people.
fn difference(one: bytes::Bytes, other: bytes::Bytes) -> String {
    let words = |bytes| State::decode(bytes).map_or_else(|e| e.to_string(), |s| format!("{s:?}"));
    let (one, other) = (words(one), words(other));
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let around =
        |text: &str| -> String { text.chars().skip(same.saturating_sub(120)).take(240).collect() };
    format!("...{}... against ...{}...", around(&one), around(&other))
}

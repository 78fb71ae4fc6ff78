//! At the same applied index of a group, every replica has made the same of its entries: the same
//! idempotent producers, the same consumer groups with the same offsets, over every restart and
//! every snapshot. `__meta` has a file of its own, which can say what differs.

use std::collections::BTreeMap;

use chronik_core::core::Core;
use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{Index, PartitionId, PeerId};
use chronik_core::log::mem_disk::MemDisk;

use super::{Seen, Violation};

/// What the first replica that was seen at an index had made by then.
#[derive(Debug, Default)]
pub(super) struct Machines(BTreeMap<PartitionId, BTreeMap<Index, (PeerId, u64)>>);

impl Machines {
    pub(super) fn check(
        &mut self,
        core: &Core<MemDisk>,
        view: &ReplicaView<'_>,
        before: Option<&Seen>,
    ) -> Result<(), Violation> {
        if view.id == PartitionId::META || before.is_some_and(|b| b.applied == view.applied) {
            return Ok(());
        }
        let Some((applied, hash)) = core.machine_hash(view.id) else { return Ok(()) };
        let (other, known) =
            *self.0.entry(view.id).or_default().entry(applied).or_insert((view.peer, hash));
        if known == hash {
            return Ok(());
        }
        let (id, peer) = (view.id, view.peer);
        let what =
            format!("{peer} and {other} of {id} differ in what they made of {applied} entries");
        Violation::new("machines equal at equal index", what)
    }
}

//! A partition never has fewer voters than it is to have because one of them is on its way out: no
//! voter leaves before its successor votes.

use chronik_core::core::Core;
use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::PartitionId;
use chronik_core::log::mem_disk::MemDisk;
use raft::eraftpb::ConfState;

use super::Violation;

/// The membership of `view` was seen for the first time, and follows `before`.
pub(super) fn check(
    core: &Core<MemDisk>,
    view: &ReplicaView<'_>,
    before: &ConfState,
) -> Result<(), Violation> {
    let (_, image) = core.image();
    // `__meta` and internal topics follow the number of brokers, down as well as up.
    let follows = view.id == PartitionId::META
        || image.topic(view.id.topic).is_none_or(|topic| topic.internal);
    let wanted = image.partition(view.id).map_or(0, |partition| partition.target.len());
    let (was, is) = (before.voters.len(), view.conf.voters.len());
    if follows || is >= was || is >= wanted {
        return Ok(());
    }
    let what =
        format!("{} has {is} voters from entry {} on, of {wanted}", view.id, view.conf_index);
    Violation::new("no voter leaves before its successor votes", what)
}

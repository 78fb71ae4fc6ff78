//! The operator ends a broker for good, or takes its disk, only when no group counts on it any more.

use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, PeerId};
use chronik_core::log::mem_disk::MemDisk;

use super::Violation;
use super::conf_changes_overlap::Confs;

/// `node` is about to end; `newest` has the cluster's latest image.
pub(super) fn check(
    confs: &Confs,
    node: BrokerId,
    newest: &Core<MemDisk>,
) -> Result<(), Violation> {
    for (id, conf) in confs.newest() {
        // The groups of a deleted topic have ended too.
        if newest.image().1.partition(id).is_none() {
            continue;
        }
        let is_here = |peer: &u64| PeerId(*peer).broker() == node;
        let mut voters = conf.voters.iter().chain(&conf.voters_outgoing);
        if voters.any(is_here) {
            let what = format!("{node:?} is ended for good and votes in {id}: {conf:?}");
            return Violation::new("no voter is stopped for good", what);
        }
        let mut learners = conf.learners.iter().chain(&conf.learners_next);
        if learners.any(is_here) {
            let what = format!("{node:?} is ended for good and is in {id}: {conf:?}");
            return Violation::new("no learner is stopped for good", what);
        }
    }
    Ok(())
}

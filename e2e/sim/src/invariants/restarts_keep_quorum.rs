//! The plan restarts a broker only while all others are up, and only where every group of three
//! voters or more goes on without it: enough of the others have nearly all of the log on disk.

use chronik_core::core::Core;
use chronik_core::ids::{BrokerId, Index, PeerId};
use chronik_core::log::mem_disk::MemDisk;

use super::synced_on_quorum::Extent;
use super::{Checks, Violation};

const NAME: &str = "a restart keeps every quorum";

/// Entries that may be missing: what a leader lets pass, and what came since the operator looked.
const LAG_MAX: Index = 512;

/// `node` is about to be restarted; `up` tells who serves, `newest` has the cluster's latest image.
pub(super) fn check(
    checks: &Checks,
    node: BrokerId,
    up: impl Fn(BrokerId) -> bool,
    newest: &Core<MemDisk>,
) -> Result<(), Violation> {
    if let Some(down) = checks.members.ids().find(|other| *other != node && !up(*other)) {
        return Violation::new(NAME, format!("{node:?} is restarted while {down:?} is down"));
    }
    for (id, conf) in checks.confs.newest() {
        // The groups of a deleted topic have ended.
        if newest.image().1.partition(id).is_none() {
            continue;
        }
        let last = checks.truth.last(id);
        let is_well = |peer: &PeerId| {
            // Birth needs no disk.
            let on_disk = checks.synced.extent(&(id, *peer)).map_or(1, Extent::last);
            let has = on_disk + LAG_MAX >= last;
            peer.broker() != node && up(peer.broker()) && has
        };
        for half in [&conf.voters, &conf.voters_outgoing] {
            let voters = || half.iter().map(|peer| PeerId(*peer));
            let counts_on_it = half.len() > 2 && voters().any(|peer| peer.broker() == node);
            if counts_on_it && voters().filter(is_well).count() <= half.len() / 2 {
                let what = format!("{node:?} is restarted, and {id} needs it: {conf:?}");
                return Violation::new(NAME, what);
            }
        }
    }
    Ok(())
}

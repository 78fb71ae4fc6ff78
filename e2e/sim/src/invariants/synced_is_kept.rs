//! What was synced is there after a start: every entry, unless one of a later term took its place.

use std::collections::BTreeMap;

use chronik_core::core::Core;
use chronik_core::ids::{Index, Term};
use chronik_core::log::mem_disk::MemDisk;

use super::synced_on_quorum::{Extent, Synced};
use super::{ReplicaKey, Violation};

/// The process of a broker has just begun to run on what its disk holds.
pub(super) fn check(synced: &Synced, core: &Core<MemDisk>) -> Result<(), Violation> {
    for view in core.replica_views() {
        let term = |index| core.term_at(view.id, index);
        kept(synced, (view.id, view.peer), view.first, view.last, term)?;
    }
    for view in core.dormant_views() {
        let after: BTreeMap<Index, Term> = view.after.into_iter().collect();
        let last = after.keys().next_back().copied().unwrap_or(view.committed);
        let key = (view.id, view.peer);
        kept(synced, key, view.committed + 1, last, |index| after.get(&index).copied())?;
    }
    Ok(())
}

fn kept(
    synced: &Synced,
    key: ReplicaKey,
    first: Index,
    last: Index,
    term: impl Fn(Index) -> Option<Term>,
) -> Result<(), Violation> {
    let Some(Extent { floor, tail, sure: true }) = synced.extent(&key) else { return Ok(()) };
    let missing = |index: Index, found: Option<Term>| {
        let what = format!(
            "{} of {} has term {found:?} at {index} and ends at {last}; synced were {}",
            key.1,
            key.0,
            synced.words(&key)
        );
        Violation::new("what is synced is kept", what)
    };
    for (index, on_disk) in tail.range(first..) {
        match term(*index) {
            Some(found) if found == *on_disk => {}
            // Another leader's entry took its place, and with it that of all after it.
            Some(found) if found > *on_disk => return Ok(()),
            found => return missing(*index, found),
        }
    }
    if last < *floor { missing(*floor, None) } else { Ok(()) }
}

//! A leader moves the commit only to an entry of its own term: copies of older entries prove
//! nothing, as another leader may still replace them.

use chronik_core::core::Core;
use chronik_core::core::observe::ReplicaView;
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::raft::group::Role;

use super::{Seen, Violation};

pub(super) fn check(
    core: &Core<MemDisk>,
    view: &ReplicaView<'_>,
    before: Option<&Seen>,
) -> Result<(), Violation> {
    let led = before.is_some_and(|before| {
        before.led && before.term == view.term && before.committed < view.committed
    });
    if !led || view.role != Role::Leader {
        return Ok(());
    }
    match core.term_at(view.id, view.committed) {
        Some(term) if term != view.term => {
            let (who, group, index) = (view.peer, view.id, view.committed);
            let what = format!(
                "{who} leads {group} in term {} and commits entry {index} of term {term}",
                view.term
            );
            Violation::new("leaders commit by entries of their term", what)
        }
        Some(_) | None => Ok(()),
    }
}

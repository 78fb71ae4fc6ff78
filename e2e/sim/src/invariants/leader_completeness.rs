//! Who begins to lead has everything that was committed in the terms before.

use chronik_core::core::Core;
use chronik_core::core::observe::ReplicaView;
use chronik_core::log::mem_disk::MemDisk;

use super::Violation;
use super::truth::Truth;

pub(super) fn check(
    truth: &Truth,
    core: &Core<MemDisk>,
    view: &ReplicaView<'_>,
) -> Result<(), Violation> {
    let last = truth.last(view.id);
    // The newest entry of an earlier term; logs agree on all before an entry that they agree on.
    let newest = (2..=last).rev().find_map(|index| {
        let term = truth.term(view.id, index)?;
        (term < view.term).then_some((index, term))
    });
    let Some((index, term)) = newest else { return Ok(()) };
    let here = core.term_at(view.id, index);
    let unreadable = here.is_none() && truth.damaged.contains(&view.peer.broker());
    if index < view.first || here == Some(term) || unreadable {
        return Ok(());
    }
    let what = format!(
        "{} leads {} in term {}; entry {index} of term {term} is committed, and its log ends at {} \
         and has term {:?} there",
        view.peer, view.id, view.term, view.last, here
    );
    Violation::new("leader completeness", what)
}

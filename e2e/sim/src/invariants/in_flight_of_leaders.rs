//! Only a leader has batches in flight: in a later term a repeat of one would wait for an entry that is
//! another's by then, and be answered for it.

use chronik_core::core::observe::ReplicaView;
use chronik_core::raft::group::Role;

use super::Violation;

pub(super) fn check(view: &ReplicaView<'_>) -> Result<(), Violation> {
    if view.role == Role::Leader || view.in_flight == 0 {
        return Ok(());
    }
    let what = format!("{} of {} leads no more: {} batches", view.peer, view.id, view.in_flight);
    Violation::new("what is in flight ends with its term", what)
}

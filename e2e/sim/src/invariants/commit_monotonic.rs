//! While a process runs, what it holds to be committed only grows, and lies within its log; what is
//! in segments is never more than that.

use chronik_core::core::observe::ReplicaView;

use super::{Seen, Violation};

pub(super) fn check(view: &ReplicaView<'_>, before: Option<&Seen>) -> Result<(), Violation> {
    let was = before.map_or(0, |before| before.committed);
    if view.committed < was {
        let what = format!("{} {} went back from {was} to {}", view.id, view.peer, view.committed);
        return Violation::new("commit monotonic", what);
    }
    if view.committed > view.last || view.applied > view.committed {
        let what = format!(
            "{} {}: last {}, committed {}, applied {}",
            view.id, view.peer, view.last, view.committed, view.applied
        );
        return Violation::new("commit within log", what);
    }
    if view.flushed > view.committed {
        let (id, peer, flushed) = (view.id, view.peer, view.flushed);
        let what = format!("{id} {peer}: {flushed} is in a segment, committed {}", view.committed);
        return Violation::new("segments hold committed entries", what);
    }
    Ok(())
}

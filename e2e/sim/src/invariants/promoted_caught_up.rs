//! Whoever becomes a voter has nearly all of the log on its disk: a group that counts on replicas
//! without a log has lost its quorum as soon as one of the others fails.

use std::collections::BTreeSet;

use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{Index, PeerId};
use raft::eraftpb::ConfState;

use super::Violation;
use super::synced_on_quorum::Synced;

/// Entries that may be missing: what a leader lets pass, and what it may have counted meanwhile.
const LAG_MAX: Index = 256 + 64;

/// The membership of `view` was seen for the first time, and follows `before`.
pub(super) fn check(
    synced: &Synced,
    view: &ReplicaView<'_>,
    before: &ConfState,
) -> Result<(), Violation> {
    let voted: BTreeSet<u64> =
        before.voters.iter().chain(&before.voters_outgoing).copied().collect();
    for peer in view.conf.voters.iter().filter(|peer| !voted.contains(peer)) {
        let key = (view.id, PeerId(*peer));
        let last = synced.extent(&key).map_or(0, |extent| extent.last());
        // No log at all is never near enough.
        if last < 2 || last + LAG_MAX < view.conf_index {
            let what = format!(
                "{} votes in {} from entry {} on, and has {last} on disk",
                key.1, view.id, view.conf_index
            );
            return Violation::new("who is promoted has caught up", what);
        }
    }
    Ok(())
}

//! At most one replica leads a group in a term.

use std::collections::BTreeMap;

use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{PartitionId, PeerId, Term};
use chronik_core::raft::group::Role;

use super::Violation;
use crate::coverage::Coverage;

/// Who led when.
#[derive(Debug, Default)]
pub(super) struct Elections(BTreeMap<(PartitionId, Term), PeerId>);

impl Elections {
    /// Whether `view` leads in a term that nobody was seen to lead in before.
    pub(super) fn check(
        &mut self,
        view: &ReplicaView<'_>,
        coverage: &mut Coverage,
    ) -> Result<bool, Violation> {
        if view.role != Role::Leader {
            return Ok(false);
        }
        match self.0.insert((view.id, view.term), view.peer) {
            Some(other) if other != view.peer => Violation::new(
                "election safety",
                format!("{} and {other} both lead {} in term {}", view.peer, view.id, view.term),
            ),
            Some(_) => Ok(false),
            None => {
                coverage.count("elections");
                Ok(true)
            }
        }
    }
}

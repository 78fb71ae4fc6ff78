//! An entry counts as committed only once a quorum of the voters has it on disk. What is on disk
//! is followed here from the syncs that the world carries out, not from what the brokers believe.

use std::collections::BTreeMap;

use chronik_core::core::Core;
use chronik_core::core::input::Ticket;
use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{BrokerId, Index, PeerId, Term};
use chronik_core::log::mem_disk::MemDisk;
use raft::eraftpb::ConfState;

use super::truth::Truth;
use super::{ReplicaKey, Violation};

/// What is on disk of each replica, and what will be after the syncs under way.
#[derive(Debug, Default)]
pub(super) struct Synced {
    on_disk: BTreeMap<ReplicaKey, Extent>,
    pending: BTreeMap<(BrokerId, Ticket), BTreeMap<ReplicaKey, Extent>>,
}

/// A log: committed up to `floor`, and the terms of what follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) floor: Index,
    pub(super) tail: BTreeMap<Index, Term>,
    /// All of it was written when its sync began; not on a full disk.
    pub(super) sure: bool,
}

impl Extent {
    pub(super) fn last(&self) -> Index {
        self.tail.keys().next_back().copied().unwrap_or(self.floor)
    }
}

impl Synced {
    pub(super) fn begin(
        &mut self,
        node: BrokerId,
        ticket: Ticket,
        view: &ReplicaView<'_>,
        core: &Core<MemDisk>,
    ) {
        // What raft holds in memory only is in no sync that begins now.
        let last = view.last.min(view.logged);
        let floor = view.committed.min(last);
        let tail = (floor + 1..=last)
            .filter_map(|index| Some((index, core.term_at(view.id, index)?)))
            .collect();
        let sure = !core.has_unwritten();
        let extents = self.pending.entry((node, ticket)).or_default();
        extents.insert((view.id, view.peer), Extent { floor, tail, sure });
    }

    /// What came back from disk and is not in service yet is synced with all the rest.
    pub(super) fn begin_dormant(&mut self, node: BrokerId, ticket: Ticket, core: &Core<MemDisk>) {
        let extents = self.pending.entry((node, ticket)).or_default();
        let sure = !core.has_unwritten();
        for view in core.dormant_views() {
            let tail = view.after.into_iter().collect();
            extents.insert((view.id, view.peer), Extent { floor: view.committed, tail, sure });
        }
    }

    pub(super) fn end(&mut self, node: BrokerId, ticket: Ticket) {
        self.on_disk.extend(self.pending.remove(&(node, ticket)).unwrap_or_default());
    }

    pub(super) fn forget_pending(&mut self, node: BrokerId) {
        self.pending.retain(|(of, _), _| *of != node);
    }

    /// Whether a replica has everything up to `index` on disk.
    pub(super) fn has(&self, key: &ReplicaKey, index: Index) -> bool {
        // Birth needs no disk: it is written in the command that places the replica.
        index <= self.on_disk.get(key).map_or(1, Extent::last)
    }

    /// What a replica has on disk, if its disk was ever synced.
    pub(super) fn extent(&self, key: &ReplicaKey) -> Option<&Extent> {
        self.on_disk.get(key)
    }

    /// What a replica has on disk, for people.
    pub(super) fn words(&self, key: &ReplicaKey) -> String {
        format!("{:?}", self.on_disk.get(key))
    }

    /// `view` was the first to hold `index` to be committed.
    pub(super) fn check(
        &self,
        truth: &Truth,
        view: &ReplicaView<'_>,
        conf_before: Option<&ConfState>,
        index: Index,
    ) -> Result<(), Violation> {
        let term = truth.term(view.id, index);
        let has = |voter: &u64| {
            self.on_disk.get(&(view.id, PeerId(*voter))).is_some_and(|extent| {
                index <= extent.floor
                    || extent
                        .tail
                        .get(&index)
                        .is_some_and(|on_disk| term.is_none_or(|t| t == *on_disk))
            })
        };
        let majority = |voters: &[u64]| {
            voters.is_empty() || voters.iter().filter(|voter| has(voter)).count() * 2 > voters.len()
        };
        let quorum = |conf: &ConfState| majority(&conf.voters) && majority(&conf.voters_outgoing);
        // What is committed and applied in one round was committed under the membership before.
        if quorum(view.conf) || conf_before.is_some_and(quorum) {
            return Ok(());
        }
        let disks: Vec<String> = view
            .conf
            .voters
            .iter()
            .map(|voter| {
                let key = (view.id, PeerId(*voter));
                format!("{} {}", PeerId(*voter), self.words(&key))
            })
            .collect();
        let what = format!(
            "{} commits entry {index} of {} (term {term:?}), on disk are {}",
            view.peer,
            view.id,
            disks.join(", ")
        );
        Violation::new("committed is synced on a quorum", what)
    }
}

//! Memberships are equal at equal index, and no two that follow each other have majorities that do
//! not overlap: either one voter differs, or both halves of a joint state must agree.

use std::collections::{BTreeMap, BTreeSet};

use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{Index, PartitionId};
use raft::eraftpb::ConfState;

use super::Violation;
use crate::coverage::Coverage;

const NAME: &str = "quorums overlap";

/// The memberships of each group, by the index that made them.
#[derive(Debug, Default)]
pub(super) struct Confs(BTreeMap<PartitionId, BTreeMap<Index, ConfState>>);

impl Confs {
    /// The newest membership of each group.
    pub(super) fn newest(&self) -> impl Iterator<Item = (PartitionId, &ConfState)> {
        self.0.iter().filter_map(|(id, confs)| Some((*id, confs.values().next_back()?)))
    }

    /// The newest membership of one group.
    pub(super) fn newest_of(&self, id: PartitionId) -> Option<&ConfState> {
        self.0.get(&id)?.values().next_back()
    }

    /// The membership before this one, if this one has not been seen before.
    pub(super) fn before(&self, view: &ReplicaView<'_>) -> Option<ConfState> {
        let confs = self.0.get(&view.id)?;
        let before = confs.range(..view.conf_index).next_back();
        before.filter(|_| !confs.contains_key(&view.conf_index)).map(|(_, conf)| conf.clone())
    }

    pub(super) fn check(
        &mut self,
        view: &ReplicaView<'_>,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        if view.conf_index == 0 {
            return Ok(());
        }
        let confs = self.0.entry(view.id).or_default();
        if let Some(known) = confs.get(&view.conf_index) {
            if sets(known) == sets(view.conf) {
                return Ok(());
            }
            let what = format!(
                "{} {} has at {} {:?}, others {known:?}",
                view.id, view.peer, view.conf_index, view.conf
            );
            return Violation::new("memberships equal at equal index", what);
        }
        confs.insert(view.conf_index, view.conf.clone());
        if !view.conf.voters_outgoing.is_empty() {
            coverage.count("joint changes");
        }
        let before = confs.range(..view.conf_index).next_back();
        let after = confs.range(view.conf_index + 1..).next();
        for ((_, a), (_, b)) in before
            .map(|b| (b, (&view.conf_index, view.conf)))
            .into_iter()
            .chain(after.map(|a| ((&view.conf_index, view.conf), a)))
        {
            // Only neighbours: one in between may not have been seen.
            if !overlap(a, b) && after.is_none() {
                return Violation::new(NAME, format!("{} goes from {a:?} to {b:?}", view.id));
            }
        }
        Ok(())
    }
}

fn overlap(a: &ConfState, b: &ConfState) -> bool {
    let halves = |conf: &ConfState| {
        [&conf.voters, &conf.voters_outgoing]
            .into_iter()
            .filter(|half| !half.is_empty())
            .map(|half| half.iter().copied().collect::<BTreeSet<u64>>())
            .collect::<Vec<_>>()
    };
    // Two majorities meet if some half of the one and some half of the other differ by one voter
    // at most: each decision needs a majority of every half.
    halves(a).iter().any(|a| halves(b).iter().any(|b| a.symmetric_difference(b).count() <= 1))
}

fn sets(conf: &ConfState) -> [BTreeSet<u64>; 4] {
    [&conf.voters, &conf.voters_outgoing, &conf.learners, &conf.learners_next]
        .map(|ids| ids.iter().copied().collect())
}

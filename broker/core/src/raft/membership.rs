//! The rules of a membership change, checked by the leader before it proposes one: one at a time,
//! a learner first, never without a quorum, never the leader itself. Who changes what and when is
//! the operator's to decide.

use std::collections::BTreeSet;

use raft::eraftpb::{ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};

use super::group::Group;
use crate::admin::PeerProgress;
use crate::ids::{BrokerId, Index, PeerId};
use crate::log::disk::Disk;
use crate::mutant::{self, Mutant};

/// Why a membership change was not proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// This replica does not lead, or is about to hand its leadership over.
    #[error("not the leader")]
    NotLeader,
    /// The change concerns the leader itself, which hands its leadership over first.
    #[error("the leader hands its leadership over before it is removed or demoted")]
    OfLeader,
    /// The caller saw another membership.
    #[error("the membership is of index {actual}, not {expected}")]
    Stale {
        /// What the caller saw.
        expected: Index,
        /// What is.
        actual: Index,
    },
    /// Another change is under way.
    #[error("another membership change is under way")]
    Pending,
    /// The change would lose the quorum, skip the learner's catch-up, or make no sense.
    #[error("{0}")]
    Unsafe(String),
}

/// Entries that a learner may lack when it is promoted.
const CAUGHT_UP_LAG_MAX: Index = 256;

impl<D: Disk> Group<D> {
    /// Whether this leader may propose `change`, given that the caller saw the membership of index
    /// `expected`.
    pub fn check_change(
        &self,
        change: &ConfChangeV2,
        expected: Index,
    ) -> Result<(), ChangeRefused> {
        if !self.leads_and_knows() || self.raw.raft.lead_transferee.is_some() {
            return Err(ChangeRefused::NotLeader);
        }
        let (conf, actual) = self.log().conf();
        if actual != expected {
            return Err(ChangeRefused::Stale { expected, actual });
        }
        if self.raw.raft.has_pending_conf() {
            return Err(ChangeRefused::Pending);
        }
        if change.get_transition() == ConfChangeTransition::Explicit {
            return Err(unsafe_because(
                "a joint state that only its maker leaves outlives a maker that fails; \
                 ask for the transition Auto or Implicit",
            ));
        }
        let joint = !conf.voters_outgoing.is_empty();
        match (joint, change.changes.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => return Err(ChangeRefused::Pending),
            (false, true) => return Err(unsafe_because("there is no joint state to leave")),
            (false, false) => {}
        }
        if change.get_transition() == ConfChangeTransition::Explicit {
            return Err(unsafe_because("a joint state that is not left by itself is not entered"));
        }
        let wanted = self.after(conf, change)?;
        self.check_quorum_of(&conf.voters.iter().copied().collect(), "present voters")?;
        self.check_quorum_of(&wanted, "voters after it")
    }

    /// The voters after `change`.
    fn after(
        &self,
        conf: &ConfState,
        change: &ConfChangeV2,
    ) -> Result<BTreeSet<u64>, ChangeRefused> {
        let mut voters: BTreeSet<u64> = conf.voters.iter().copied().collect();
        let mut named = BTreeSet::new();
        for single in change.changes.iter() {
            let id = single.node_id;
            if !named.insert(id) {
                return Err(unsafe_because(format!("peer {} is named twice", PeerId(id))));
            }
            match single.get_change_type() {
                ConfChangeType::AddNode => {
                    if !voters.contains(&id) && !self.caught_up(id) {
                        let why =
                            format!("peer {} is not a learner that has caught up", PeerId(id));
                        return Err(ChangeRefused::Unsafe(why));
                    }
                    voters.insert(id);
                }
                ConfChangeType::AddLearnerNode | ConfChangeType::RemoveNode => {
                    if id == self.raw.raft.id {
                        return Err(ChangeRefused::OfLeader);
                    }
                    voters.remove(&id);
                }
            }
        }
        Ok(voters)
    }

    /// That a majority of `voters` is alive now.
    fn check_quorum_of(&self, voters: &BTreeSet<u64>, what: &str) -> Result<(), ChangeRefused> {
        let alive = voters.iter().filter(|id| self.is_active(PeerId(**id))).count();
        let needed = voters.len() / 2 + 1;
        if alive < needed {
            return Err(ChangeRefused::Unsafe(format!(
                "{alive} of the {} {what} are alive, {needed} are needed",
                voters.len()
            )));
        }
        Ok(())
    }

    fn caught_up(&self, id: u64) -> bool {
        let skips = mutant::is(Mutant::SkipCatchUp);
        self.raw.raft.prs().get(id).is_some_and(|progress| {
            skips
                || self.is_active(PeerId(id))
                // In a quiet group a peer that has all stays in Probe after a broken stream.
                && (progress.state == raft::ProgressState::Replicate
                    || progress.matched == self.last_index())
                && progress.matched + CAUGHT_UP_LAG_MAX >= self.last_index()
                // In a log that is shorter than that: it has got something at all.
                && progress.matched >= self.log().conf().1
        })
    }

    /// The last index that is known to be on a member's disk.
    pub fn matched(&self, peer: PeerId) -> Index {
        self.raw.raft.prs().get(peer.0).map_or(0, |progress| progress.matched)
    }

    /// How far every other member is, as this leader sees it.
    pub fn progress(&self) -> Vec<PeerProgress> {
        let first = self.raw.raft.raft_log.first_index();
        let span = (self.last_index() + 1).saturating_sub(first).max(1);
        let others = self.raw.raft.prs().iter().filter(|(id, _)| **id != self.raw.raft.id);
        let mut all: Vec<PeerProgress> = others
            .map(|(id, progress)| PeerProgress {
                peer: PeerId(*id),
                matched: progress.matched,
                active: self.is_active(PeerId(*id)),
                caught_up: self.caught_up(*id),
                percent: percent((progress.matched + 1).saturating_sub(first), span),
            })
            .collect();
        all.sort_by_key(|progress| progress.peer);
        all
    }

    /// Whether a peer answers and has nearly all, so that a transfer to it would not take long.
    pub fn could_lead(&self, peer: PeerId) -> bool {
        self.caught_up(peer.0)
    }

    /// Whether this group, of three voters or more, would have to wait for somebody to catch up
    /// before it commits again if `broker` stopped now. A smaller group cannot lose anybody anyway,
    /// and must not keep a broker from being restarted.
    pub fn would_wait_without(&self, broker: BrokerId) -> bool {
        let (conf, _) = self.log().conf();
        let halves = [&conf.voters, &conf.voters_outgoing].into_iter();
        halves.filter(|half| half.len() > 2).any(|half| {
            let is_named = half.iter().any(|id| PeerId(*id).broker() == broker);
            let is_well = |id: &u64| *id == self.raw.raft.id || self.caught_up(*id);
            let others = half.iter().filter(|id| PeerId(**id).broker() != broker);
            is_named && others.filter(|id| is_well(id)).count() < half.len() / 2 + 1
        })
    }

    /// Whether this group has so few voters that it can do nothing without `broker`.
    pub fn cannot_do_without(&self, broker: BrokerId) -> bool {
        let (conf, _) = self.log().conf();
        let halves = [&conf.voters, &conf.voters_outgoing].into_iter();
        let mut small = halves.filter(|half| half.len() <= 2).flatten();
        small.any(|id| PeerId(*id).broker() == broker)
    }

    /// Whether this group would lose its quorum if `broker` went away now.
    pub fn would_lose_quorum_without(&self, broker: BrokerId) -> bool {
        let (conf, _) = self.log().conf();
        [&conf.voters, &conf.voters_outgoing].into_iter().filter(|half| !half.is_empty()).any(
            |half| {
                let left = half
                    .iter()
                    .filter(|id| PeerId(**id).broker() != broker && self.is_active(PeerId(**id)));
                half.iter().any(|id| PeerId(*id).broker() == broker)
                    && left.count() < half.len() / 2 + 1
            },
        )
    }
}

fn unsafe_because(why: impl Into<String>) -> ChangeRefused {
    ChangeRefused::Unsafe(why.into())
}

fn percent(done: u64, of: u64) -> u8 {
    u8::try_from((done.min(of) * 100) / of).unwrap_or(100)
}

//! What must hold at every moment, one rule a file, checked after every round of every node. The
//! checks draw no chance and change nothing.

mod acked_durable;
mod catch_up_rate;
mod commit_monotonic;
mod commit_own_term;
mod committed_offsets;
mod conf_changes_overlap;
mod configs_answered;
mod destroyed_identities;
mod early_acks;
mod election_safety;
mod group_owners;
mod in_flight_of_leaders;
mod leader_completeness;
mod log_matching;
mod log_starts;
mod lost_identities;
mod machines_equal_at_index;
mod members_not_stopped;
mod meta_equal_at_index;
mod no_replica_offline;
mod offsets_dense;
mod promoted_caught_up;
mod register;
mod restarts_keep_quorum;
mod said_is_synced;
mod spoken_terms;
mod synced_is_kept;
mod synced_on_quorum;
mod term_and_vote_monotonic;
mod topics_apart;
mod truth;
mod voters_not_destroyed;
mod voters_not_stopped;
mod voters_registered;
mod voters_replaced;
mod votes_once;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chronik_core::core::Core;
use chronik_core::core::input::Ticket;
use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{BrokerId, Index, Offset, PartitionId, PeerId, Uuid};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::raft::envelope::{self, Section};
use raft::eraftpb::{Message, MessageType};

pub(crate) use committed_offsets::Commit;
pub(crate) use early_acks::{Promise, PromiseKind};
pub(crate) use register::Via;
pub(crate) use truth::Serial;
use truth::Truth;

use crate::coverage::Coverage;

/// Something that must never happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    fn new<T>(invariant: &'static str, what: String) -> Result<T, Violation> {
        Err(Violation { invariant, what })
    }
}

/// One life of one replica of one group.
pub(crate) type ReplicaKey = (PartitionId, PeerId);

/// All rules, with what they remember.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) truth: Truth,
    /// In the order of their groups, as brokers show them.
    seen: BTreeMap<BrokerId, Vec<(PartitionId, Seen)>>,
    synced: synced_on_quorum::Synced,
    elections: election_safety::Elections,
    promises: term_and_vote_monotonic::Promises,
    votes: votes_once::Votes,
    lost: lost_identities::LostIdentities,
    destroyed: destroyed_identities::DestroyedIdentities,
    confs: conf_changes_overlap::Confs,
    images: meta_equal_at_index::Images,
    members: members_not_stopped::Members,
    machines: machines_equal_at_index::Machines,
    pub(crate) owners: group_owners::GroupOwners,
    pub(crate) offsets: committed_offsets::CommittedOffsets,
    pub(crate) configs: configs_answered::ConfigsAnswered,
    rates: catch_up_rate::CatchUpRates,
    /// Brokers that were started and not looked at since.
    fresh: BTreeSet<BrokerId>,
    /// How far the image of each broker was when it was last looked at.
    image_seen: BTreeMap<BrokerId, Index>,
    muted: Muted,
}

/// Rules that are not looked at, to see what else would notice a mistake.
#[derive(Debug, Default)]
pub(crate) struct Muted(BTreeSet<&'static str>);

impl Muted {
    /// What a rule found, if anyone wants to know.
    fn pass<T: Default>(&self, found: Result<T, Violation>) -> Result<T, Violation> {
        found.or_else(
            |broken| {
                if self.is(broken.invariant) { Ok(T::default()) } else { Err(broken) }
            },
        )
    }

    /// Whether nobody looks at this rule.
    pub(crate) fn is(&self, invariant: &str) -> bool {
        self.0.contains(invariant)
    }
}

/// A replica when it was last looked at, in this run of its process.
#[derive(Debug, Clone)]
struct Seen {
    peer: PeerId,
    term: u64,
    vote: u64,
    committed: Index,
    applied: Index,
    last: Index,
    led: bool,
    conf: raft::eraftpb::ConfState,
    conf_index: Index,
}

impl Checks {
    /// From now on nobody looks at these rules.
    pub(crate) fn mute(&mut self, invariants: &[&'static str]) {
        self.muted.0.extend(invariants);
    }

    pub(crate) fn muted(&self) -> &Muted {
        &self.muted
    }

    /// A process began to run.
    pub(crate) fn started(&mut self, node: BrokerId) {
        self.seen.remove(&node);
        self.synced.forget_pending(node);
        self.promises.forget_pending(node);
        self.destroyed.forget_pending(node);
        self.rates.forget(node);
        self.fresh.insert(node);
    }

    /// A process ended.
    pub(crate) fn stopped(&mut self, node: BrokerId) {
        self.started(node);
    }

    /// The disk of a broker is gone.
    pub(crate) fn disk_lost(&mut self, node: BrokerId) {
        self.lost.lose(node);
        self.destroyed.lose_disk(node);
        self.truth.damaged.remove(&node);
    }

    /// Bits of a broker's disk have flipped.
    pub(crate) fn disk_damaged(&mut self, node: BrokerId) {
        self.truth.damaged.insert(node);
    }

    /// Whether what a broker reads may be damaged.
    pub(crate) fn may_be_damaged(&self, node: BrokerId) -> bool {
        self.truth.damaged.contains(&node)
    }

    /// Brokers whose disks have bits that flipped.
    pub(crate) fn damaged(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.truth.damaged.iter().copied()
    }

    /// What some broker had written and not synced may be gone.
    pub(crate) fn unsynced_lost(&mut self, now: u64) {
        self.truth.power_lost = Some(now);
    }

    /// A sync of the write-ahead log was asked for: what is written now will be on disk after it.
    pub(crate) fn sync_begins(&mut self, node: BrokerId, ticket: Ticket, core: &Core<MemDisk>) {
        for view in core.replica_views() {
            self.synced.begin(node, ticket, &view, core);
            self.promises.begin(node, ticket, &view);
        }
        self.synced.begin_dormant(node, ticket, core);
        for view in core.dormant_views() {
            self.promises.begin_dormant(node, ticket, &view);
        }
        if !core.has_unwritten() {
            self.destroyed.begin(node, ticket, core);
        }
    }

    /// A sync has ended.
    pub(crate) fn synced(&mut self, node: BrokerId, ticket: Ticket) {
        self.synced.end(node, ticket);
        self.promises.end(node, ticket);
        self.destroyed.end(node, ticket);
    }

    /// A node has ended a round.
    pub(crate) fn observe(
        &mut self,
        node: BrokerId,
        core: &Core<MemDisk>,
        now: u64,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        self.rates.learn(node, core, now);
        self.muted.pass(no_replica_offline::check(&self.truth, node, core))?;
        let mut ended = Vec::new();
        if self.fresh.remove(&node) {
            self.muted.pass(synced_is_kept::check(&self.synced, core))?;
            let damaged = self.truth.damaged.contains(&node);
            ended = self.muted.pass(self.destroyed.started(node, core, damaged))?;
        }
        ended.extend(self.muted.pass(self.destroyed.check(node, core))?);
        // What is damaged is given up where the others can do without it.
        if !self.truth.damaged.contains(&node) {
            self.muted.pass(voters_not_destroyed::check(&self.confs, node, core, &ended))?;
        }
        self.members.learn(core);
        self.muted.pass(self.images.check(node, core))?;
        self.muted.pass(voters_registered::check(node, core, &mut self.image_seen))?;
        let mut seen = self.seen.remove(&node).unwrap_or_default();
        let mut at = 0;
        for view in core.replica_views() {
            while seen.get(at).is_some_and(|(id, _)| *id < view.id) {
                seen.remove(at);
            }
            let known = seen.get_mut(at).filter(|(id, _)| *id == view.id).map(|(_, seen)| seen);
            let before = known.as_deref().filter(|before| before.peer == view.peer);
            if before.is_none_or(|before| !before.is_like(&view)) {
                self.check(node, core, &view, before, coverage)?;
                match known {
                    Some(known) => *known = Seen::of(&view),
                    None => seen.insert(at, (view.id, Seen::of(&view))),
                }
            }
            at += 1;
        }
        seen.truncate(at);
        self.seen.insert(node, seen);
        Ok(())
    }

    fn check(
        &mut self,
        node: BrokerId,
        core: &Core<MemDisk>,
        view: &ReplicaView<'_>,
        before: Option<&Seen>,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        self.muted.pass(self.lost.held(node, view))?;
        self.muted.pass(in_flight_of_leaders::check(view))?;
        self.muted.pass(self.promises.check(view, before))?;
        self.muted.pass(commit_monotonic::check(view, before))?;
        self.muted.pass(commit_own_term::check(core, view, before))?;
        if let Some(conf) = self.confs.before(view) {
            self.muted.pass(self.lost.counted_on(view))?;
            self.muted.pass(promoted_caught_up::check(&self.synced, view, &conf))?;
            self.muted.pass(voters_replaced::check(core, view, &conf))?;
        }
        self.muted.pass(self.confs.check(view, coverage))?;
        let leads = self.muted.pass(self.elections.check(view, coverage))?;
        let from = before.map_or(0, |before| before.committed);
        let fresh = log_matching::check(&mut self.truth, core, view, from, coverage);
        let fresh = self.muted.pass(fresh)?;
        self.muted.pass(log_starts::check(&mut self.truth, view))?;
        self.muted.pass(self.machines.check(core, view, before))?;
        for index in fresh {
            let conf = before.map(|before| &before.conf);
            self.muted.pass(self.synced.check(&self.truth, view, conf, index))?;
        }
        if leads {
            self.muted.pass(leader_completeness::check(&self.truth, core, view))?;
        }
        if before.is_some_and(|before| view.last < before.last) {
            coverage.count("truncations");
        }
        Ok(())
    }

    /// A node lets a frame go.
    pub(crate) fn sent(
        &mut self,
        node: BrokerId,
        frame: Bytes,
        now: u64,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        self.rates.speaks(node, now);
        let sections = match envelope::decode(frame) {
            Ok(frame) => frame.sections,
            Err(error) => {
                return Violation::new("frames decode", format!("of {node:?}: {error}"));
            }
        };
        for section in sections {
            if let Section::Raft { group, message, payloads } = section {
                self.said(group, &message, coverage)?;
                let conf = seen_in(&self.seen, node, group).map(|seen| &seen.conf);
                let bytes = catch_up_rate::bytes_of(&message, &payloads, conf);
                if let Some(bytes) = bytes.filter(|_| group != PartitionId::META) {
                    self.muted.pass(self.rates.check(node, now, bytes, coverage))?;
                }
            }
        }
        Ok(())
    }

    fn said(
        &mut self,
        group: PartitionId,
        message: &Message,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        self.muted.pass(self.lost.said(group, message))?;
        self.muted.pass(spoken_terms::check(&self.promises, group, message))?;
        match message.get_msg_type() {
            MessageType::MsgRequestVote | MessageType::MsgRequestVoteResponse => {
                self.muted.pass(self.destroyed.said(group, message))?;
                self.muted.pass(self.votes.check(group, message))?;
                self.muted.pass(self.promises.said(group, message))
            }
            MessageType::MsgAppendResponse => {
                self.muted.pass(said_is_synced::check(&self.synced, group, message))
            }
            MessageType::MsgSnapshot => {
                coverage.count("snapshots sent");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The operator is about to end a broker for good, or to take its disk.
    pub(crate) fn ends_for_good(
        &self,
        node: BrokerId,
        newest: Option<&Core<MemDisk>>,
    ) -> Result<(), Violation> {
        self.muted.pass(self.members.ends(node))?;
        newest.map_or(Ok(()), |newest| voters_not_stopped::check(&self.confs, node, newest))
    }

    /// The operator begins to look: what happens from now on it cannot know.
    pub(crate) fn operator_looks(&mut self) {
        self.members.looked();
    }

    /// A broker is about to empty its disk, as it was told to.
    pub(crate) fn wipes(&self, node: BrokerId, directory: Uuid) -> Result<(), Violation> {
        self.members.wipes(node, directory)
    }

    /// The operator is about to restart a broker that serves; `up` tells who else does.
    pub(crate) fn restarts(
        &self,
        node: BrokerId,
        up: impl Fn(BrokerId) -> bool,
        newest: Option<&Core<MemDisk>>,
    ) -> Result<(), Violation> {
        newest.map_or(Ok(()), |newest| restarts_keep_quorum::check(self, node, up, newest))
    }

    /// A client was told that its records are there.
    pub(crate) fn acked(
        &mut self,
        group: PartitionId,
        base: Offset,
        serials: &[Serial],
    ) -> Result<(), Violation> {
        self.muted.pass(acked_durable::acked(&mut self.truth, group, base, serials))
    }

    /// `from` answers a client before the commit.
    pub(crate) fn promised(&mut self, from: BrokerId, promise: &Promise) -> Result<(), Violation> {
        let seen = seen_in(&self.seen, from, promise.group);
        // One that leads no more by the end of the round has led in an earlier term.
        let term =
            seen.map_or(0, |seen| if seen.led { seen.term } else { seen.term.saturating_sub(1) });
        early_acks::promised(&mut self.truth, promise, term)
    }

    /// A client was told that a topic was made.
    pub(crate) fn topic_made(&self, topic: Uuid) -> Result<(), Violation> {
        topics_apart::made(&self.truth, topic)
    }

    /// A client was told that a topic is deleted.
    pub(crate) fn topic_deleted(&mut self, topic: Uuid) {
        topics_apart::deleted(&mut self.truth, topic);
    }

    /// A client asks for all records below `offset` to be deleted.
    pub(crate) fn asks_start(&mut self, group: PartitionId, offset: Offset) {
        log_starts::asked(&mut self.truth, group, offset);
    }

    /// A client was told that a partition starts at `offset`.
    pub(crate) fn told_start(&mut self, id: PartitionId, offset: Offset) -> Result<(), Violation> {
        log_starts::told(&mut self.truth, id, offset)
    }

    /// The highest start of a partition that any client has asked for.
    pub(crate) fn highest_asked_start(&mut self, group: PartitionId) -> Offset {
        log_starts::highest_asked(&mut self.truth, group)
    }

    /// A client has read a record.
    pub(crate) fn read(
        &self,
        group: PartitionId,
        offset: Offset,
        serial: Option<Serial>,
    ) -> Result<(), Violation> {
        self.muted.pass(acked_durable::read(&self.truth, group, offset, serial))
    }

    /// Whether every group can do without one of its voters.
    pub(crate) fn groups_have_spares(&self) -> bool {
        let mut all = self.seen.values().flatten().map(|(_, seen)| seen).peekable();
        all.peek().is_some()
            && all.all(|seen| seen.conf.voters_outgoing.is_empty() && seen.conf.voters.len() >= 3)
    }

    /// Whether no committed entry hangs on fewer replicas than its group has voters.
    pub(crate) fn replicas_are_whole(&self) -> bool {
        let mut all = self.seen.values().flatten();
        self.groups_have_spares()
            && all.all(|(id, seen)| {
                let last = self.truth.last(*id);
                seen.conf.voters.iter().all(|voter| self.synced.has(&(*id, PeerId(*voter)), last))
            })
    }
}

/// The replica of a group on a broker, as it was last looked at.
fn seen_in(
    seen: &BTreeMap<BrokerId, Vec<(PartitionId, Seen)>>,
    node: BrokerId,
    group: PartitionId,
) -> Option<&Seen> {
    let groups = seen.get(&node)?;
    let at = groups.binary_search_by_key(&group, |(id, _)| *id).ok()?;
    groups.get(at).map(|(_, seen)| seen)
}

impl Seen {
    fn of(view: &ReplicaView<'_>) -> Seen {
        Seen {
            peer: view.peer,
            term: view.term,
            vote: view.vote,
            committed: view.committed,
            applied: view.applied,
            last: view.last,
            led: view.role == chronik_core::raft::group::Role::Leader,
            conf: view.conf.clone(),
            conf_index: view.conf_index,
        }
    }

    fn is_like(&self, view: &ReplicaView<'_>) -> bool {
        let leads = view.role == chronik_core::raft::group::Role::Leader;
        let raft = (self.term, self.vote, self.committed, self.last, self.led, self.conf_index)
            == (view.term, view.vote, view.committed, view.last, leads, view.conf_index);
        raft && self.applied == view.applied
    }
}

//! One replica of one group: a `RawNode` over its log. What goes in; `ready.rs` has what comes out.
//!
//! ```text
//!   Empty --snapshot--> Learner --joint change--> Voter (follower, candidate, leader)
//!                          |                        |
//!                          +---- own removal is applied ----> stopped
//!                          ^                                          |
//!                          +------ a leader has added it again -------+
//! ```

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use raft::eraftpb::{Entry as RaftEntry, Message, MessageType};
use raft::{RawNode, StateRole};

use super::appends::follow_on;
use super::mistakes::tampered;
use super::ready::is_member;
use super::synced_conf::SyncedConf;
use super::timeouts::{
    ELECTION_TICK, ELECTION_TICK_MAX, ELECTION_TICK_MIN, HEARTBEAT_TICK, election_timeout,
};
use crate::ids::{BrokerId, Index, Offset, PartitionId, PeerId, Term};
use crate::log::disk::Disk;
use crate::log::entry::{BatchInfo, Body, Descriptor, Entry, describe};
use crate::log::group_log::GroupLog;
use crate::mutant::{self, Mutant};
use crate::wire::batch;

/// What a replica is in its group at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Placed, but without a log yet: waits for the leader's snapshot.
    Empty,
    /// Receives the log, does not vote.
    Learner,
    /// Votes.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Applied its own removal; takes part in nothing any more.
    Stopped,
}

/// Why the leader did not take a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotProposed {
    /// This replica does not lead, or its term's first entry is not applied yet.
    #[error("this replica does not lead")]
    NotLeader,
    /// Leadership is being handed over, or too much waits for its quorum.
    #[error("the leader takes no proposals at the moment")]
    Busy,
}

/// A proposal that was taken. It is decided when an entry with this index is committed: this one,
/// if the term is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposed {
    /// Its index.
    pub index: Index,
    /// Its term.
    pub term: Term,
    /// The offset of its first record, for a batch.
    pub base_offset: Offset,
}

/// What all groups of a node share.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// Election timeouts are drawn from it.
    pub seed: u64,
    /// This node.
    pub node: BrokerId,
    /// Where raft's own words go.
    pub logger: slog::Logger,
    /// Whether commits are told to followers at once (`__meta`), or with the next append.
    pub broadcast_commit: bool,
}

/// Payload bytes that may wait for their quorum in one group; beyond that the leader is busy.
const UNCOMMITTED_BYTES_MAX: usize = 32 << 20;
/// The largest batch that is taken, whatever a topic allows. One message to a peer can carry all
/// that waits, and has to fit into a frame of the transport beside a frame's worth of others.
pub const BATCH_BYTES_MAX: usize = UNCOMMITTED_BYTES_MAX;
/// Descriptor bytes a message; payload bytes are bounded by the log's read budget.
const DESCRIPTOR_BYTES_MAX: u64 = 16 << 10;
const COMMITTED_BYTES_PER_READY_MAX: u64 = 256 << 10;
const INFLIGHT_MESSAGES_MAX: usize = 64;

/// One replica of one group.
pub struct Group<D: Disk> {
    pub(super) id: PartitionId,
    pub(super) raw: RawNode<GroupLog<D>>,
    pub(super) stopped: bool,
    /// Payloads of entries that no Ready has handed to the log yet.
    pub(super) staged: BTreeMap<(Index, Term), Bytes>,
    /// Readies whose sync is still to come, oldest first.
    pub(super) persisting: VecDeque<Persisting>,
    /// The membership that may be told to others.
    pub(super) synced_conf: SyncedConf,
    /// Peers that a snapshot was sent to, and the ticks since.
    pub(super) snapshots: BTreeMap<PeerId, usize>,
    /// When each peer last said something, in ticks; raft-rs's own mark is reset all the time.
    heard: BTreeMap<PeerId, u64>,
    ticks: u64,
    next_offset: Offset,
    uncommitted_bytes: usize,
    settings: GroupSettings,
    attempts: u32,
}

/// A Ready that is handed to the log but not synced.
#[derive(Debug)]
pub(super) struct Persisting {
    pub(super) number: u64,
    /// The round of the node whose sync covers it.
    pub(super) round: u64,
    /// Whether it changes the term or the vote.
    pub(super) elects: bool,
    pub(super) messages: Vec<Message>,
    pub(super) snapshot: Option<Index>,
}

impl<D: Disk> std::fmt::Debug for Group<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("id", &self.id)
            .field("peer", &self.peer())
            .field("role", &self.role())
            .field("term", &self.term())
            .field("committed", &self.committed())
            .finish_non_exhaustive()
    }
}

impl<D: Disk> Group<D> {
    /// A replica over `log`, whose owner has applied everything up to `applied`.
    pub fn open(
        settings: GroupSettings,
        id: PartitionId,
        log: GroupLog<D>,
        applied: Index,
    ) -> Result<Group<D>, raft::Error> {
        let config = raft::Config {
            id: log.peer().0,
            election_tick: ELECTION_TICK,
            heartbeat_tick: HEARTBEAT_TICK,
            min_election_tick: ELECTION_TICK_MIN,
            max_election_tick: ELECTION_TICK_MAX,
            applied,
            max_size_per_msg: DESCRIPTOR_BYTES_MAX,
            max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
            max_committed_size_per_ready: COMMITTED_BYTES_PER_READY_MAX,
            max_uncommitted_size: u64::MAX,
            pre_vote: true,
            check_quorum: true,
            batch_append: true,
            skip_bcast_commit: !settings.broadcast_commit,
            ..raft::Config::default()
        };
        let next_offset = log.log_end();
        let (conf, conf_index) = log.conf();
        let stopped = !conf.voters.is_empty() && !is_member(conf, log.peer());
        // Read back and maybe not synced; but nobody leads, or is asked, before the first sync.
        let synced_conf = SyncedConf::new(conf.clone(), conf_index);
        let raw = RawNode::new(&config, log, &settings.logger)?;
        let mut group = Group {
            id,
            raw,
            stopped,
            staged: BTreeMap::new(),
            persisting: VecDeque::new(),
            synced_conf,
            snapshots: BTreeMap::new(),
            heard: BTreeMap::new(),
            ticks: 0,
            next_offset,
            uncommitted_bytes: 0,
            settings,
            attempts: 0,
        };
        group.retime();
        Ok(group)
    }

    /// The group.
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// This replica's peer id.
    pub fn peer(&self) -> PeerId {
        PeerId(self.raw.raft.id)
    }

    /// The log.
    pub fn log(&self) -> &GroupLog<D> {
        self.raw.store()
    }

    /// The log, for its owner to move its start, roll and read.
    pub fn log_mut(&mut self) -> &mut GroupLog<D> {
        self.raw.mut_store()
    }

    /// Gives the log up, to be destroyed.
    pub fn into_log(self) -> GroupLog<D> {
        // raft-rs gives its storage back only by clone or by reference.
        self.raw.raft.r.raft_log.store
    }

    /// What this replica is at the moment.
    pub fn role(&self) -> Role {
        if self.stopped {
            return Role::Stopped;
        }
        let raft = &self.raw.raft;
        match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower if raft.promotable() => Role::Follower,
            StateRole::Follower if raft.prs().get(raft.id).is_some() => Role::Learner,
            StateRole::Follower => Role::Empty,
        }
    }

    /// Whether this replica leads.
    pub fn leads(&self) -> bool {
        !self.stopped && self.raw.raft.state == StateRole::Leader
    }

    /// Whether this replica leads and has applied its term's first entry, so that it knows all that
    /// was committed before it; only then does it take proposals and answer questions.
    pub fn leads_and_knows(&self) -> bool {
        self.leads() && self.raw.raft.apply_to_current_term()
    }

    /// Who leads, as far as this replica knows.
    pub fn leader(&self) -> Option<PeerId> {
        if self.stopped || self.raw.raft.leader_id == 0 {
            return None;
        }
        Some(PeerId(self.raw.raft.leader_id))
    }

    /// Whether a leader has been heard of lately. One that cannot stand for election, as it was
    /// removed or is a learner, holds on to the leader that it knew for ever.
    pub(crate) fn hears_leader(&self) -> bool {
        let lately = self.raw.raft.election_elapsed < ELECTION_TICK_MAX;
        self.leads() || (self.leader().is_some() && lately)
    }

    /// The term.
    pub fn term(&self) -> Term {
        self.raw.raft.term
    }

    /// Whom this replica voted for in its term; 0 is nobody.
    pub fn vote(&self) -> u64 {
        self.raw.raft.vote
    }

    /// The term of an entry; none if it is outside the log.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.raw.raft.raft_log.term(index).ok()
    }

    /// The last index that is known to be committed.
    pub fn committed(&self) -> Index {
        self.raw.raft.raft_log.committed
    }

    /// The last index whose effects the owner has seen.
    pub fn applied(&self) -> Index {
        self.raw.raft.raft_log.applied
    }

    /// The last index of the log.
    pub fn last_index(&self) -> Index {
        self.raw.raft.raft_log.last_index()
    }

    /// The one voter that a group without others needs for everything.
    pub fn is_sole_voter(&self) -> bool {
        let conf = self.raw.raft.prs().conf();
        conf.voters().ids().iter().eq([self.raw.raft.id])
    }

    /// Proposes a record batch: gives it its offset and epoch.
    pub fn propose_batch(
        &mut self,
        mut info: BatchInfo,
        bytes: Bytes,
    ) -> Result<Proposed, NotProposed> {
        if self.uncommitted_bytes + bytes.len() > UNCOMMITTED_BYTES_MAX {
            return Err(NotProposed::Busy);
        }
        let term = self.term();
        info.base_offset = self.next_offset;
        let epoch = i32::try_from(term).unwrap_or(i32::MAX);
        let bytes = batch::patch(bytes, info.base_offset, epoch);
        let records = Offset::from(info.records);
        let proposed = self.propose(Body::Batch(info, bytes.clone()))?;
        self.uncommitted_bytes += bytes.len();
        self.staged.insert((proposed.index, term), bytes);
        self.next_offset += records;
        Ok(proposed)
    }

    /// Proposes that the log starts at `offset` from now on.
    pub fn propose_log_start(&mut self, offset: Offset) -> Result<Proposed, NotProposed> {
        self.propose(Body::LogStart(offset))
    }

    /// Proposes a membership change that [`membership`](super::membership) has allowed.
    pub fn propose_change(&mut self, change: Bytes) -> Result<Proposed, NotProposed> {
        self.propose(Body::ConfChange(change))
    }

    fn propose(&mut self, body: Body) -> Result<Proposed, NotProposed> {
        // raft-rs at a follower would send the proposal on to the leader: ask first.
        let knows = self.leads_and_knows() || mutant::is(Mutant::ProduceBeforeNoop);
        if !self.leads() || !knows {
            return Err(NotProposed::NotLeader);
        }
        let entry: RaftEntry = Entry { index: 0, term: 0, body }.to_raft();
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.raw.raft.id;
        message.entries = vec![entry];
        let base_offset = self.next_offset;
        let result = self.raw.raft.step(message);
        self.retime();
        match result {
            Ok(()) => Ok(Proposed { index: self.last_index(), term: self.term(), base_offset }),
            Err(_) => Err(NotProposed::Busy),
        }
    }

    /// Takes a message of a peer, with the payloads of its entries. A message whose payloads are
    /// missing or wrong is dropped, as if the network had lost it.
    pub fn step(&mut self, message: Message, payloads: Vec<Bytes>) {
        let message = tampered(message, self.raw.raft.id);
        if message.to != self.raw.raft.id || (self.stopped && !self.takes_back(&message)) {
            return;
        }
        if message.get_msg_type() == MessageType::MsgTimeoutNow && self.installs() {
            return;
        }
        // No entry that was never seen may be answered for; an older broker may still send such.
        if !follow_on(&message) || !self.stage(&message, payloads) {
            return;
        }
        self.stopped = false;
        self.heard.insert(PeerId(message.from), self.ticks);
        self.come_to_term_of(&message);
        // An error means a message that is out of date; raft has ignored it.
        let _ = self.raw.step(message);
        self.retime();
    }

    /// Whether others need this replica although it has applied its own removal: a leader has
    /// added it again under the same id, or a voter does not know of the removal yet and cannot
    /// win without its vote. Its log and its vote are as they were, and it never campaigns.
    fn takes_back(&self, message: &Message) -> bool {
        let needs = matches!(
            message.get_msg_type(),
            MessageType::MsgAppend
                | MessageType::MsgHeartbeat
                | MessageType::MsgSnapshot
                | MessageType::MsgRequestVote
                | MessageType::MsgRequestPreVote
        );
        needs && message.term >= self.raw.raft.term
    }

    fn stage(&mut self, message: &Message, payloads: Vec<Bytes>) -> bool {
        let mut payloads = payloads.into_iter();
        let mut found = Vec::new();
        for entry in message.entries.iter() {
            match describe(entry) {
                Ok(Descriptor::Batch(info)) => match payloads.next() {
                    Some(payload) if info.matches(&payload) => {
                        found.push(((entry.index, entry.term), payload));
                    }
                    Some(_) | None => return false,
                },
                Ok(Descriptor::Noop | Descriptor::ConfChange | Descriptor::LogStart(_)) => {}
                Err(_) => return false,
            }
        }
        self.staged.extend(found);
        payloads.next().is_none()
    }

    /// 100 ms have passed.
    pub fn tick(&mut self) {
        // A sole voter that campaigned again before its last term is synced would vote twice in it.
        let is_early = self.is_sole_voter() && !self.persisting.is_empty();
        if self.stopped || is_early || self.installs() {
            return;
        }
        self.ticks += 1;
        let before = self.raw.raft.election_elapsed;
        self.raw.tick();
        if !self.leads() && self.raw.raft.election_elapsed < before {
            self.attempts = self.attempts.saturating_add(1);
        }
        if self.raw.raft.leader_id != 0 {
            self.attempts = 0;
        }
        self.expire_snapshots();
        self.retime();
    }

    /// The stream to the peers on `broker` broke: what was under way is lost.
    pub fn unreachable(&mut self, broker: BrokerId) {
        if !self.leads() {
            return;
        }
        let peers: Vec<u64> = self
            .raw
            .raft
            .prs()
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| PeerId(*id).broker() == broker && *id != self.raw.raft.id)
            .collect();
        for id in peers {
            self.raw.report_unreachable(id);
            self.snapshot_lost(PeerId(id));
        }
        self.retime();
    }

    /// Whether a peer has said something within the longest election timeout.
    pub fn is_active(&self, peer: PeerId) -> bool {
        let since = |tick| self.ticks.saturating_sub(tick) <= ELECTION_TICK_MAX as u64;
        peer == self.peer() || self.heard.get(&peer).copied().is_some_and(since)
    }

    /// Whether a Ready waits for [`Group::drive`](super::ready).
    pub fn has_ready(&self) -> bool {
        !self.stopped && self.raw.has_ready()
    }

    /// Overwrites the election timeout that raft-rs may just have drawn.
    pub(super) fn retime(&mut self) {
        let timeout = election_timeout(
            self.settings.seed,
            self.settings.node,
            self.id,
            self.raw.raft.term,
            self.attempts,
        );
        self.raw.raft.set_randomized_election_timeout(timeout);
    }

    /// Payload bytes proposed here that wait for their quorum.
    pub fn uncommitted_bytes(&self) -> usize {
        self.uncommitted_bytes
    }

    /// After the log has taken what was proposed, it knows the next offset.
    pub(super) fn settle(&mut self, committed_bytes: usize) {
        let next = self.log().log_end();
        if !mutant::is(Mutant::OffsetsFromCounter) || next > self.next_offset {
            self.next_offset = next;
        }
        self.uncommitted_bytes =
            if self.leads() { self.uncommitted_bytes.saturating_sub(committed_bytes) } else { 0 };
    }
}

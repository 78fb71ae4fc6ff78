//! One replica whose peers are the test: what it does with answers and orders that come in an order
//! which a whole cluster rarely shows.

use bytes::Bytes;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState, Entry as RaftEntry, Message,
    MessageType,
};

use super::envelope::{Section, decode};
use super::group::{Group, GroupSettings, Role};
use super::outbox::Outbox;
use crate::ids::{BrokerId, Index, PartitionId, PeerId, Uuid};
use crate::log::entry::{Body, Entry};
use crate::log::mem_disk::MemDisk;
use crate::log::{Birth, GroupLog, Image, Limits, Wal, recover};

const A: PeerId = PeerId(1 << 20 | 1);
const B: PeerId = PeerId(1 << 20 | 2);
const C: PeerId = PeerId(1 << 20 | 3);

/// Replica `A`, with what its node would do for it.
struct Node {
    group: Group<MemDisk>,
    wal: Wal<MemDisk>,
    disk: MemDisk,
    round: u64,
    outbox: Outbox,
}

impl Node {
    /// A replica of a group that is born with these voters.
    fn born(voters: &[PeerId]) -> Node {
        let (disk, limits) = (MemDisk::new(), Limits::default());
        let mut wal = recover::open(disk.clone(), limits.clone()).unwrap().wal;
        let voters: Vec<u64> = voters.iter().map(|peer| peer.0).collect();
        let conf = ConfState { voters, ..ConfState::default() };
        let image = Image { index: 1, term: 1, conf, conf_index: 1, ..Image::default() };
        let birth = Birth { peer: A, image: Some(image) };
        let id = PartitionId::new(Uuid::from_u128(7), 0);
        let log = GroupLog::create(disk.clone(), &mut wal, id, birth, &limits);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let settings =
            GroupSettings { seed: 1, node: BrokerId(1), logger, broadcast_commit: false };
        let group = Group::open(settings, id, log, 1).unwrap();
        Node { group, wal, disk, round: 1, outbox: Outbox::default() }
    }

    /// Works off what is ready and writes it, without a sync; what is to be synced is in the result.
    fn drive(&mut self) -> u64 {
        self.group.drive(&mut self.wal, &mut self.outbox, self.round).unwrap();
        self.round += 1;
        self.round - 1
    }

    fn sync(&mut self, round: u64) {
        if let Some(job) = self.wal.write().unwrap() {
            self.disk.sync(&job).unwrap();
        }
        self.group.persisted(round, &mut self.outbox).unwrap();
    }

    fn settle(&mut self) {
        while self.group.has_ready() || self.group.awaits_sync() {
            let round = self.drive();
            self.sync(round);
        }
    }

    fn hear(&mut self, from: PeerId, kind: MessageType, fill: impl FnOnce(&mut Message)) {
        let term = self.group.term();
        let mut message = Message { from: from.0, to: A.0, term, ..Message::default() };
        message.set_msg_type(kind);
        fill(&mut message);
        self.group.step(message, Vec::new());
    }

    fn appended(&mut self, from: PeerId, index: Index) {
        self.hear(from, MessageType::MsgAppendResponse, |message| message.index = index);
    }

    /// Makes `A` the leader, by the vote of `B`.
    fn elect(&mut self) {
        self.group.campaign();
        self.settle();
        let term = self.group.term() + 1;
        self.hear(B, MessageType::MsgRequestPreVoteResponse, |message| message.term = term);
        self.settle();
        self.hear(B, MessageType::MsgRequestVoteResponse, |_| {});
        self.settle();
        let noop = self.group.last_index();
        self.appended(B, noop);
        self.settle();
        assert!(self.group.leads_and_knows());
    }

    /// What it has said to others since the last time this was asked.
    fn said(&mut self) -> Vec<Message> {
        let frames: Vec<_> = self.outbox.take().collect();
        let sections =
            frames.into_iter().flat_map(|(_, f)| decode(f.concat().into()).unwrap().sections);
        let messages = sections.filter_map(|section| match section {
            Section::Raft { message, .. } => Some(message),
            Section::Broker(_) => None,
        });
        messages.collect()
    }
}

fn removal(peer: PeerId) -> Bytes {
    change(peer, ConfChangeType::RemoveNode)
}

fn change(peer: PeerId, kind: ConfChangeType) -> Bytes {
    let mut single = ConfChangeSingle { node_id: peer.0, ..ConfChangeSingle::default() };
    single.set_change_type(kind);
    let change = ConfChangeV2 { changes: vec![single], ..ConfChangeV2::default() };
    chronik_raft_bridge::encode_conf_change_v2(&change).unwrap().into()
}

/// A follower can win while the entry that removes it is on its way to be committed.
#[test]
fn a_leader_that_applies_its_own_removal_outlives_the_sync_of_its_last_entries() {
    let mut node = Node::born(&[A, B, C]);
    node.elect();
    let change = node.group.propose_change(removal(A)).unwrap().index;
    node.settle();
    node.group.propose_log_start(0).unwrap();
    let unsynced = node.drive();
    for peer in [B, C] {
        node.appended(peer, change);
    }
    node.drive();
    assert_eq!(node.group.role(), Role::Stopped);
    node.sync(unsynced);
    assert_eq!((node.group.role(), node.group.leader()), (Role::Stopped, None));
}

/// A follower can win in the joint state that makes it a learner; raft-rs would let it lead on.
#[test]
fn a_leader_that_applies_its_own_demotion_leads_no_more() {
    let mut node = Node::born(&[A, B, C]);
    node.elect();
    let demotion = change(A, ConfChangeType::AddLearnerNode);
    let index = node.group.propose_change(demotion).unwrap().index;
    node.settle();
    node.group.propose_log_start(0).unwrap();
    let unsynced = node.drive();
    assert!(node.group.leads());
    for peer in [B, C] {
        node.appended(peer, index);
    }
    node.drive();
    node.sync(unsynced);
    assert_eq!(node.group.role(), Role::Learner);
}

/// The other one of two may have lost its leadership before it knew of the commit.
#[test]
fn a_replica_that_applied_its_removal_still_votes_for_those_who_do_not_know_of_it() {
    let mut node = Node::born(&[A, B]);
    let removal: RaftEntry =
        Entry { index: 2, term: 2, body: Body::ConfChange(removal(A)) }.to_raft();
    node.hear(B, MessageType::MsgAppend, |message| {
        (message.term, message.index, message.log_term) = (2, 1, 1);
        (message.entries, message.commit) = (vec![removal], 2);
    });
    node.settle();
    assert_eq!(node.group.role(), Role::Stopped);
    node.said();
    for (kind, answer) in [
        (MessageType::MsgRequestPreVote, MessageType::MsgRequestPreVoteResponse),
        (MessageType::MsgRequestVote, MessageType::MsgRequestVoteResponse),
    ] {
        node.hear(B, kind, |message| {
            (message.term, message.index, message.log_term) = (3, 2, 2);
        });
        node.settle();
        let said = node.said();
        let [vote] = &said[..] else { panic!("{said:?}") };
        assert_eq!((vote.get_msg_type(), vote.to, vote.reject), (answer, B.0, false));
    }
    for _ in 0..50 {
        node.group.tick();
    }
    node.settle();
    assert_eq!(node.said(), [], "it never asks for votes itself");
}

/// The other one lost what it had not synced, and was a candidate since. It cannot win against a longer
/// log, and hears of the commit only from an answer of its own term.
#[test]
fn a_replica_that_applied_its_removal_tells_a_candidate_with_a_shorter_log_of_the_commit() {
    let mut node = Node::born(&[A, B]);
    let removal: RaftEntry =
        Entry { index: 2, term: 2, body: Body::ConfChange(removal(A)) }.to_raft();
    let start = Entry { index: 3, term: 2, body: Body::LogStart(0) }.to_raft();
    node.hear(B, MessageType::MsgAppend, |message| {
        (message.term, message.index, message.log_term) = (2, 1, 1);
        (message.entries, message.commit) = (vec![removal, start], 2);
    });
    node.settle();
    assert_eq!(node.group.role(), Role::Stopped);
    node.said();
    node.hear(B, MessageType::MsgRequestPreVote, |message| {
        (message.term, message.index, message.log_term) = (4, 2, 2);
    });
    node.settle();
    let said = node.said();
    let [answer] = &said[..] else { panic!("{said:?}") };
    assert_eq!((answer.to, answer.reject), (B.0, true));
    assert_eq!((answer.term, answer.commit, answer.commit_term), (3, 2, 2));
}

/// A disk without space can hold an answer back until another leader has replaced what it was about.
#[test]
fn an_answer_to_an_earlier_leader_is_not_sent_after_a_later_one_was_heard() {
    let mut node = Node::born(&[A, B, C]);
    let noop = |index, term| Entry { index, term, body: Body::Noop }.to_raft();
    let mut append = |from, term, entries| {
        node.hear(from, MessageType::MsgAppend, |message| {
            (message.term, message.index, message.log_term) = (term, 1, 1);
            message.entries = entries;
        });
        node.drive()
    };
    append(B, 2, vec![noop(2, 2), noop(3, 2)]);
    let round = append(C, 3, vec![noop(2, 3)]);
    node.sync(round);
    let said = node.said();
    let said: Vec<_> = said.iter().map(|m| (m.to, m.term, m.index, m.reject)).collect();
    assert_eq!(said, [(C.0, 3, 2, false)]);
}

/// A short log is no reason to let somebody vote who has none.
#[test]
fn a_learner_is_promoted_once_it_has_the_entry_that_let_it_in() {
    let mut node = Node::born(&[A, B]);
    node.elect();
    let index = node.group.propose_change(change(C, ConfChangeType::AddLearnerNode)).unwrap().index;
    node.settle();
    node.appended(B, index);
    node.settle();
    let mut single = ConfChangeSingle { node_id: C.0, ..ConfChangeSingle::default() };
    single.set_change_type(ConfChangeType::AddNode);
    let promotion = ConfChangeV2 { changes: vec![single], ..ConfChangeV2::default() };
    for (matched, is_taken) in [(1, false), (index - 1, false), (index, true)] {
        node.appended(C, matched);
        node.settle();
        let checked = node.group.check_change(&promotion, index);
        assert_eq!(checked.is_ok(), is_taken, "with {matched} of {index}: {checked:?}");
    }
}

/// The disk may be slower than an election timeout.
#[test]
fn a_replica_whose_snapshot_is_not_on_disk_yet_does_not_stand_for_election() {
    let mut node = Node::born(&[A, B, C]);
    let voters = vec![A.0, B.0, C.0];
    let conf = ConfState { voters, ..ConfState::default() };
    let image = Image { index: 9, term: 2, conf, conf_index: 1, ..Image::default() };
    node.hear(B, MessageType::MsgSnapshot, |message| {
        message.term = 2;
        message.snapshot = Some(image.to_raft());
    });
    let round = node.drive();
    for _ in 0..100 {
        node.group.tick();
    }
    node.group.campaign();
    node.hear(B, MessageType::MsgTimeoutNow, |_| {});
    node.drive();
    assert_eq!((node.group.role(), node.said()), (Role::Follower, Vec::new()));
    node.sync(round + 1);
    for _ in 0..100 {
        node.group.tick();
    }
    assert_eq!(node.group.role(), Role::Candidate);
}

/// raft-rs adds entries to an empty append under way, whatever its index.
#[test]
fn entries_go_out_behind_the_index_that_they_follow_on() {
    let mut node = Node::born(&[A, B, C]);
    node.elect();
    node.appended(C, node.group.last_index());
    node.settle();
    node.group.propose_log_start(0).unwrap();
    node.settle();
    node.said();
    // C has been sent all there is, and is sent an append without entries; then all is lost.
    node.hear(C, MessageType::MsgHeartbeatResponse, |_| {});
    node.group.unreachable(C.broker());
    node.hear(C, MessageType::MsgHeartbeatResponse, |_| {});
    node.settle();
    let said = node.said();
    let with_entries: Vec<&Message> =
        said.iter().filter(|m| m.to == C.0 && !m.entries.is_empty()).collect();
    let [append] = &with_entries[..] else { panic!("{said:?}") };
    assert_eq!(append.entries[0].index, append.index + 1, "{append:?}");
}

/// To find each entry of such an append in the log proves nothing of those that its index promises.
#[test]
fn an_append_whose_entries_do_not_follow_on_its_index_is_not_answered() {
    let mut node = Node::born(&[A, B]);
    let noop = |index| Entry { index, term: 2, body: Body::Noop }.to_raft();
    let mut append = |index, entries: Vec<RaftEntry>| {
        node.hear(B, MessageType::MsgAppend, |message| {
            (message.term, message.index, message.entries) = (2, index, entries);
            message.log_term = if index == 1 { 1 } else { 2 };
        });
        node.settle();
        node.said()
    };
    let said = append(1, vec![noop(2), noop(3)]);
    assert_eq!(said.iter().map(|m| (m.reject, m.index)).collect::<Vec<_>>(), [(false, 3)]);
    assert_eq!(append(3, vec![noop(2), noop(3)]), []);
}

//! Terms only grow and a vote is never taken back: within a run, and over restarts for what was
//! synced. What leaves a broker about an election is synced before.

use std::collections::BTreeMap;

use chronik_core::core::input::Ticket;
use chronik_core::core::observe::{DormantView, ReplicaView};
use chronik_core::ids::{BrokerId, PartitionId, PeerId};
use raft::eraftpb::{Message, MessageType};

use super::{ReplicaKey, Seen, Violation};

const NAME: &str = "term and vote monotonic";

/// Terms and votes that are on disk, and that will be after the syncs under way.
#[derive(Debug, Default)]
pub(super) struct Promises {
    on_disk: BTreeMap<ReplicaKey, (u64, u64)>,
    pending: BTreeMap<(BrokerId, Ticket), BTreeMap<ReplicaKey, (u64, u64)>>,
}

impl Promises {
    pub(super) fn begin(&mut self, node: BrokerId, ticket: Ticket, view: &ReplicaView<'_>) {
        let promises = self.pending.entry((node, ticket)).or_default();
        promises.insert((view.id, view.peer), (view.term, view.vote));
    }

    /// What came back from disk and is not in service yet is synced with all the rest.
    pub(super) fn begin_dormant(&mut self, node: BrokerId, ticket: Ticket, view: &DormantView) {
        let promises = self.pending.entry((node, ticket)).or_default();
        promises.insert((view.id, view.peer), (view.term, view.vote));
    }

    /// The term that a replica has on disk, if its disk was ever synced.
    pub(super) fn term(&self, key: &ReplicaKey) -> Option<u64> {
        self.on_disk.get(key).map(|(term, _)| *term)
    }

    pub(super) fn end(&mut self, node: BrokerId, ticket: Ticket) {
        self.on_disk.extend(self.pending.remove(&(node, ticket)).unwrap_or_default());
    }

    pub(super) fn forget_pending(&mut self, node: BrokerId) {
        self.pending.retain(|(of, _), _| *of != node);
    }

    pub(super) fn check(
        &self,
        view: &ReplicaView<'_>,
        before: Option<&Seen>,
    ) -> Result<(), Violation> {
        let synced = self.on_disk.get(&(view.id, view.peer)).copied();
        let before = before.map(|before| (before.term, before.vote));
        for (term, vote) in [synced, before].into_iter().flatten() {
            let taken_back = view.term == term && vote != 0 && view.vote != vote;
            if view.term < term || taken_back {
                let what = format!(
                    "{} {} is in term {} with vote {}, and was in term {term} with vote {vote}",
                    view.id, view.peer, view.term, view.vote
                );
                return Violation::new(NAME, what);
            }
        }
        Ok(())
    }

    /// A vote, or a request for votes, leaves a broker.
    pub(super) fn said(&self, group: PartitionId, message: &Message) -> Result<(), Violation> {
        let answers = message.get_msg_type() == MessageType::MsgRequestVoteResponse;
        if answers && message.reject {
            return Ok(());
        }
        let vote = if answers { message.to } else { message.from };
        let synced = self.on_disk.get(&(group, PeerId(message.from))).copied();
        // A later term may be on disk by now; then this vote is out of date, and harmless.
        if synced.is_some_and(|s| s == (message.term, vote) || s.0 > message.term) {
            return Ok(());
        }
        let what = format!(
            "{} says {:?} for {} in term {} of {group}; on disk is {synced:?}",
            PeerId(message.from),
            message.get_msg_type(),
            PeerId(vote),
            message.term
        );
        Violation::new("votes are synced before they are said", what)
    }
}

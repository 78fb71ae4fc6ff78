//! Changes of the cluster's metadata that this node asks for: proposed here if this node leads
//! `__meta`, else sent to the leader. Either way the asker learns what became of it from its own
//! image, so that whoever is answered can also see what was answered. It may ask more than once: the
//! image takes each proposal once (`meta::askers`), and the first time decides.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Core;
use super::peer_message::PeerMessage;
use crate::ids::{BrokerId, Index, Micros, PartitionId, PeerId, Term};
use crate::log::disk::Disk;
use crate::meta::Proposal;
use crate::meta::applied::{Outcome, Refusal};
use crate::meta::command::Command;
use crate::raft::group::NotProposed;

/// What became of a change that was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ProposeError {
    /// It was decided, and changes nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was not decided in time; it may still happen.
    #[error("the cluster's metadata has no leader that decides in time")]
    TimedOut,
}

/// Called with what became of a change.
pub(crate) type Then<D> = Box<dyn FnOnce(&mut Core<D>, Result<Outcome, ProposeError>)>;

/// What this node has asked for.
pub(super) struct Proposals<D: Disk> {
    next: u64,
    asked: BTreeMap<u64, Asked<D>>,
    /// Those that wait for an entry, by its index.
    placed: BTreeSet<(Index, u64)>,
}

struct Asked<D: Disk> {
    command: Bytes,
    then: Then<D>,
    deadline: Micros,
    state: AskedState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AskedState {
    /// To be sent (again) at the next tick.
    Waiting,
    /// Sent to the leader at this time.
    Sent(Micros),
    /// In the log at this index, if nothing happens to it.
    Placed(Index),
}

const RESEND_AFTER: Micros = Micros::from_millis(1_000);

impl<D: Disk> Default for Proposals<D> {
    fn default() -> Proposals<D> {
        Proposals { next: 0, asked: BTreeMap::new(), placed: BTreeSet::new() }
    }
}

impl<D: Disk> Proposals<D> {
    fn set_state(&mut self, id: u64, state: AskedState) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        if let AskedState::Placed(index) = std::mem::replace(&mut asked.state, state) {
            self.placed.remove(&(index, id));
        }
        if let AskedState::Placed(index) = state {
            self.placed.insert((index, id));
        }
    }

    fn take(&mut self, id: u64) -> Option<Asked<D>> {
        self.set_state(id, AskedState::Waiting);
        self.asked.remove(&id)
    }
}

impl<D: Disk> Core<D> {
    /// Asks for a change of the cluster's metadata. `then` is called when this node's image has it,
    /// or has refused it, or when it took too long.
    pub(crate) fn propose_meta(
        &mut self,
        command: &Command,
        then: impl FnOnce(&mut Core<D>, Result<Outcome, ProposeError>) + 'static,
    ) {
        let id = self.proposals.next;
        self.proposals.next += 1;
        let asked = Asked {
            command: command.encode(),
            then: Box::new(then),
            deadline: self.now.mono.after(self.config.limits.proposal_timeout),
            state: AskedState::Waiting,
        };
        self.proposals.asked.insert(id, asked);
        self.try_propose(id);
    }

    /// This node's wish number `seq`, as of now.
    fn proposal(&self, seq: u64) -> Proposal {
        let membership = self.node.membership.as_ref();
        let asker = membership.map_or(PeerId::new(0, self.me()), |membership| membership.meta_peer);
        let settled = self.proposals.asked.keys().next().copied().unwrap_or(seq);
        Proposal { asker, boot: self.node.boot, seq, settled }
    }

    /// Proposes a command here. Only its leader can.
    fn propose_here(
        &mut self,
        proposal: &Proposal,
        command: &Bytes,
    ) -> Result<(Index, Term), NotProposed> {
        let Some(replica) = self.replicas.get_mut(&PartitionId::META) else {
            return Err(NotProposed::NotLeader);
        };
        let key = proposal.encode();
        let (info, batch) = crate::partition::internal_batch(self.now.wall_ms, Some(&key), command);
        let proposed = replica.group.propose_batch(info, batch)?;
        self.dirty.insert(PartitionId::META);
        Ok((proposed.index, proposed.term))
    }

    fn try_propose(&mut self, id: u64) {
        let Some(asked) = self.proposals.asked.get(&id) else { return };
        let (proposal, command) = (self.proposal(id), asked.command.clone());
        let state = match self.propose_here(&proposal, &command) {
            Ok((index, _)) => AskedState::Placed(index),
            Err(NotProposed::Busy) => AskedState::Waiting,
            Err(NotProposed::NotLeader) => match self.leader_of(PartitionId::META) {
                Some(leader) if leader.broker != self.me() => {
                    let message = PeerMessage::Propose { proposal, command };
                    self.outbox.broker(leader.broker, &message.encode());
                    AskedState::Sent(self.now.mono)
                }
                Some(_) | None => AskedState::Waiting,
            },
        };
        self.proposals.set_state(id, state);
    }

    /// A peer asks us to propose.
    pub(super) fn peer_proposes(&mut self, from: BrokerId, proposal: &Proposal, command: &Bytes) {
        if proposal.asker.broker() != from {
            return;
        }
        let at = self.propose_here(proposal, command).ok();
        self.outbox.broker(from, &PeerMessage::Proposed { id: proposal.seq, at }.encode());
    }

    /// The leader has answered.
    pub(super) fn peer_proposed(&mut self, id: u64, at: Option<(Index, Term)>) {
        match at {
            // Applied already, and not with this proposal: another entry took its place.
            Some((index, _)) if index <= self.meta_applied => self.retry(id),
            Some((index, _)) => self.proposals.set_state(id, AskedState::Placed(index)),
            None => self.retry(id),
        }
    }

    /// All entries of `__meta` up to `index` are applied: who was placed there and still waits is
    /// not in them, or only in a leader's snapshot. It is asked for again.
    pub(super) fn retry_placed(&mut self, index: Index) {
        let here = self.proposals.placed.range(..=(index, u64::MAX));
        for id in here.map(|(_, id)| *id).collect::<Vec<_>>() {
            self.retry(id);
        }
    }

    /// A command is applied: if this node asked for it, whoever waits is answered.
    pub(super) fn proposal_decided(
        &mut self,
        proposal: &Proposal,
        result: Result<Outcome, Refusal>,
    ) {
        if self.is_ours(proposal) {
            self.decide(proposal.seq, result.map_err(ProposeError::Refused));
        }
    }

    /// A command is not applied, as it was before. Whoever still waits for it has missed that: it
    /// was in a leader's snapshot.
    pub(super) fn proposal_repeated(&mut self, proposal: &Proposal) {
        if self.is_ours(proposal) {
            self.decide(proposal.seq, Err(ProposeError::TimedOut));
        }
    }

    fn is_ours(&self, proposal: &Proposal) -> bool {
        let Proposal { asker, boot, seq, settled: _ } = *proposal;
        let ours = self.proposal(seq);
        (asker, boot) == (ours.asker, ours.boot)
    }

    fn retry(&mut self, id: u64) {
        self.proposals.set_state(id, AskedState::Waiting);
    }

    fn decide(&mut self, id: u64, result: Result<Outcome, ProposeError>) {
        if let Some(asked) = self.proposals.take(id) {
            (asked.then)(self, result);
        }
    }

    pub(super) fn tick_proposals(&mut self) {
        let now = self.now.mono;
        let mut late = Vec::new();
        let mut again = Vec::new();
        for (id, asked) in &self.proposals.asked {
            if asked.deadline <= now {
                late.push(*id);
                continue;
            }
            match asked.state {
                AskedState::Waiting => again.push(*id),
                AskedState::Sent(at) if now.since(at) >= RESEND_AFTER => again.push(*id),
                AskedState::Sent(_) | AskedState::Placed(_) => {}
            }
        }
        for id in late {
            self.decide(id, Err(ProposeError::TimedOut));
        }
        for id in again {
            self.try_propose(id);
        }
    }
}

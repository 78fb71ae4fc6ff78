//! Changes of the cluster's metadata that this node asks for: proposed here if this node leads
//! `__meta`, else sent to the leader. Either way the asker learns what became of it from its own
//! image, so that whoever is answered can also see what was answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::Core;
use super::peer_message::PeerMessage;
use crate::ids::{BrokerId, Index, Micros, PartitionId, Term};
use crate::log::disk::Disk;
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
    /// What the last entries came to: an answer of the leader may arrive after the entry itself.
    recent: VecDeque<(Index, Term, Result<Outcome, Refusal>)>,
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
    /// In the log, if nothing happens to it.
    Placed(Index, Term),
}

const RECENT_MAX: usize = 4096;
const RESEND_AFTER: Micros = Micros::from_millis(1_000);

impl<D: Disk> Default for Proposals<D> {
    fn default() -> Proposals<D> {
        Proposals {
            next: 0,
            asked: BTreeMap::new(),
            placed: BTreeSet::new(),
            recent: VecDeque::new(),
        }
    }
}

impl<D: Disk> Proposals<D> {
    /// Remembers what the entry at `index` came to.
    pub(super) fn record(&mut self, index: Index, term: Term, result: Result<Outcome, Refusal>) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((index, term, result));
    }

    fn set_state(&mut self, id: u64, state: AskedState) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        if let AskedState::Placed(index, _) = std::mem::replace(&mut asked.state, state) {
            self.placed.remove(&(index, id));
        }
        if let AskedState::Placed(index, _) = state {
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

    /// Proposes a command here. Only its leader can.
    fn propose_here(&mut self, command: &Bytes) -> Result<(Index, Term), NotProposed> {
        let Some(replica) = self.replicas.get_mut(&PartitionId::META) else {
            return Err(NotProposed::NotLeader);
        };
        let (info, batch) = crate::partition::internal_batch(self.now.wall_ms, command);
        let proposed = replica.group.propose_batch(info, batch)?;
        self.dirty.insert(PartitionId::META);
        Ok((proposed.index, proposed.term))
    }

    fn try_propose(&mut self, id: u64) {
        let Some(asked) = self.proposals.asked.get(&id) else { return };
        let command = asked.command.clone();
        let state = match self.propose_here(&command) {
            Ok((index, term)) => AskedState::Placed(index, term),
            Err(NotProposed::Busy) => AskedState::Waiting,
            Err(NotProposed::NotLeader) => match self.leader_of(PartitionId::META) {
                Some(leader) if leader.broker != self.me() => {
                    let message = PeerMessage::Propose { id, command };
                    self.outbox.broker(leader.broker, &message.encode());
                    AskedState::Sent(self.now.mono)
                }
                Some(_) | None => AskedState::Waiting,
            },
        };
        self.proposals.set_state(id, state);
    }

    /// A peer asks us to propose.
    pub(super) fn peer_proposes(&mut self, from: BrokerId, id: u64, command: &Bytes) {
        let at = self.propose_here(command).ok();
        self.outbox.broker(from, &PeerMessage::Proposed { id, at }.encode());
    }

    /// The leader has answered.
    pub(super) fn peer_proposed(&mut self, id: u64, at: Option<(Index, Term)>) {
        let Some((index, term)) = at else { return self.retry(id) };
        self.proposals.set_state(id, AskedState::Placed(index, term));
        if index <= self.meta_applied {
            let seen = self.proposals.recent.iter().rev().find(|seen| seen.0 == index).cloned();
            match seen {
                Some((_, at, result)) if at == term => self.decide(id, Ok(result)),
                Some(_) => self.retry(id),
                // So long ago that nobody knows: it may have happened.
                None => self.decide(id, Err(ProposeError::TimedOut)),
            }
        }
    }

    /// The entry at `index` of `__meta` is applied: whoever waits for that index is decided.
    pub(super) fn decide_proposals(&mut self, index: Index, term: Term) {
        let here = self.proposals.placed.range((index, 0)..=(index, u64::MAX));
        let waiting: Vec<(u64, Term)> = here
            .filter_map(|(_, id)| match self.proposals.asked.get(id)?.state {
                AskedState::Placed(_, placed) => Some((*id, placed)),
                AskedState::Sent(_) | AskedState::Waiting => None,
            })
            .collect();
        for (id, placed) in waiting {
            let last = self.proposals.recent.back();
            match last {
                Some((at, _, result)) if *at == index && placed == term => {
                    let result = result.clone();
                    self.decide(id, Ok(result));
                }
                // Another entry took its place: it did not happen, and can be asked for again.
                Some(_) | None => self.retry(id),
            }
        }
    }

    fn retry(&mut self, id: u64) {
        self.proposals.set_state(id, AskedState::Waiting);
    }

    fn decide(&mut self, id: u64, result: Result<Result<Outcome, Refusal>, ProposeError>) {
        if let Some(asked) = self.proposals.take(id) {
            let result = result.and_then(|decided| decided.map_err(ProposeError::Refused));
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
                AskedState::Sent(_) | AskedState::Placed(..) => {}
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

//! Requests that wait: produces for their commit, fetches for records. Who wakes them is elsewhere;
//! here they are kept, and given up when their time is over.

use std::collections::{BTreeMap, BTreeSet};

use super::input::{ConnId, Token};
use super::{AppendWaiter, Core};
use crate::error::KafkaError;
use crate::ids::{Index, Micros, PartitionId};
use crate::log::disk::Disk;
use crate::partition::fetch::ParkedFetch;
use crate::partition::produce::ParkedProduce;

/// Requests that wait, by their number on this node.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    next: u64,
    pub(crate) produces: BTreeMap<u64, ParkedProduce>,
    pub(crate) fetches: BTreeMap<u64, ParkedFetch>,
    /// With acks=1: answered when this round's entries are in the write-ahead log.
    pub(crate) unwritten: Vec<ParkedProduce>,
    deadlines: BTreeSet<(Micros, u64)>,
    connections: BTreeSet<(ConnId, u64)>,
}

impl Parked {
    /// A number for a request that is about to wait.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn park_produce(&mut self, id: u64, produce: ParkedProduce) {
        self.deadlines.insert((produce.deadline, id));
        self.connections.insert((produce.token.conn, id));
        self.produces.insert(id, produce);
    }

    pub(crate) fn park_fetch(&mut self, id: u64, fetch: ParkedFetch) {
        self.deadlines.insert((fetch.deadline, id));
        self.connections.insert((fetch.token.conn, id));
        self.fetches.insert(id, fetch);
    }

    pub(crate) fn take_produce(&mut self, id: u64) -> Option<ParkedProduce> {
        let produce = self.produces.remove(&id)?;
        self.deadlines.remove(&(produce.deadline, id));
        self.connections.remove(&(produce.token.conn, id));
        Some(produce)
    }

    /// For [`Core::end_fetch`], which also takes it off the partitions that it watches.
    pub(crate) fn take_fetch(&mut self, id: u64) -> Option<ParkedFetch> {
        let fetch = self.fetches.remove(&id)?;
        self.deadlines.remove(&(fetch.deadline, id));
        self.connections.remove(&(fetch.token.conn, id));
        Some(fetch)
    }

    pub(super) fn next_deadline(&self) -> Option<Micros> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn due(&self, now: Micros) -> Vec<u64> {
        self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    fn of_connection(&self, conn: ConnId) -> Vec<u64> {
        self.connections.range((conn, 0)..=(conn, u64::MAX)).map(|(_, id)| *id).collect()
    }
}

impl<D: Disk> Core<D> {
    pub(super) fn forget_connection(&mut self, conn: ConnId) {
        for id in self.parked.of_connection(conn) {
            self.parked.take_produce(id);
            self.end_fetch(id);
        }
        crate::handlers::groups::disconnected(self, conn);
    }

    /// Answers those whose time is over: a produce with an error, a fetch with what there is.
    pub(super) fn expire_parked(&mut self) {
        for id in self.parked.due(self.now.mono) {
            if let Some(produce) = self.parked.take_produce(id) {
                let token: Token = produce.token;
                let response = produce.give_up(KafkaError::RequestTimedOut);
                self.reply(token, response);
            } else if let Some(fetch) = self.end_fetch(id) {
                self.answer_fetch(&fetch);
            }
        }
    }

    /// Answers every fetch that waits with what there is.
    pub(super) fn answer_waiting_fetches(&mut self) {
        let waiting: Vec<u64> = self.parked.fetches.keys().copied().collect();
        for id in waiting {
            if let Some(fetch) = self.end_fetch(id) {
                self.answer_fetch(&fetch);
            }
        }
    }

    /// This round's entries are in the write-ahead log.
    pub(super) fn answer_written(&mut self) {
        for produce in std::mem::take(&mut self.parked.unwritten) {
            let token = produce.token;
            let response = produce.answer();
            self.reply(token, response);
        }
    }

    /// This round's entries are not in the write-ahead log: there is no space.
    pub(super) fn refuse_written(&mut self) {
        for produce in std::mem::take(&mut self.parked.unwritten) {
            let token = produce.token;
            let response = produce.give_up(KafkaError::KafkaStorageError);
            self.reply(token, response);
        }
    }

    /// Everything of this group up to `committed` is decided: whoever appended it in this term is
    /// answered.
    pub(super) fn settle_appends(&mut self, id: PartitionId, committed: Index) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        let mut decided = Vec::new();
        while replica.appends.front().is_some_and(|waiter| waiter.index <= committed) {
            decided.extend(replica.appends.pop_front());
        }
        let Some(replica) = self.replicas.get(&id) else { return };
        let log = replica.group.log();
        let start = log.log_start();
        let kept = |waiter: &AppendWaiter| {
            raft::Storage::term(log, waiter.index).is_ok_and(|term| term == waiter.term)
        };
        let decided: Vec<_> = decided.into_iter().map(|waiter| (waiter, kept(&waiter))).collect();
        for (waiter, kept) in decided {
            let result = if kept { Ok(start) } else { Err(KafkaError::NotLeaderOrFollower) };
            self.settle_append(waiter, result);
        }
    }

    /// This replica leads no more: what is not committed may still be, or not.
    pub(super) fn fail_appends(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        for waiter in std::mem::take(&mut replica.appends) {
            self.settle_append(waiter, Err(KafkaError::NotLeaderOrFollower));
        }
    }

    fn settle_append(&mut self, waiter: AppendWaiter, result: Result<i64, KafkaError>) {
        let Some(produce) = self.parked.produces.get_mut(&waiter.produce) else { return };
        if produce.settle(waiter.slot, result)
            && let Some(produce) = self.parked.take_produce(waiter.produce)
        {
            let token = produce.token;
            let response = produce.answer();
            self.reply(token, response);
        }
    }

    pub(super) fn wake_fetches(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get(&id) else { return };
        let waiting: Vec<u64> = replica.fetches.iter().copied().collect();
        for fetch in waiting {
            self.try_fetch_again(fetch);
        }
    }
}

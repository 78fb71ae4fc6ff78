//! Topics whose producers are answered when a quorum has received a record, before it is synced.
//!
//! A user asks for it with Kafka's own `flush.messages` and `flush.ms`. Raft still believes only
//! what is synced, and the high watermark stays the commit index: what is relaxed is the moment of
//! the answer. It survives any killed process; a loss of power on a quorum at once can cost records
//! that were answered early, never consistency.

use std::collections::BTreeMap;

use super::peer_message::{PeerMessage, ReceivedRow};
use super::{Core, Machine, Replica};
use crate::ids::{BrokerId, Index, PartitionId, PeerId};
use crate::log::disk::Disk;

impl<D: Disk> Replica<D> {
    fn is_relaxed(&self) -> bool {
        match &self.machine {
            Machine::Records(partition) => partition.config.is_relaxed(),
            Machine::Meta | Machine::Groups(_) => false,
        }
    }

    /// The highest index that a quorum has, synced or not, as far as this leader knows.
    fn received_by_quorum(&self) -> Index {
        let (conf, _) = self.group.log().conf();
        let halves = [&conf.voters, &conf.voters_outgoing];
        let of = |half: &Vec<u64>| {
            let mut have: Vec<Index> =
                half.iter().map(|id| self.has_received(PeerId(*id))).collect();
            have.sort_unstable();
            // The highest that at least a majority of this half has.
            have.get((half.len() - 1) / 2).copied().unwrap_or(0)
        };
        halves.into_iter().filter(|half| !half.is_empty()).map(of).min().unwrap_or(0)
    }

    fn has_received(&self, peer: PeerId) -> Index {
        let told = self.received.get(&peer).copied().unwrap_or(0);
        told.max(self.group.matched(peer))
    }
}

impl<D: Disk> Core<D> {
    /// A drive has put entries into a log: once they are written, the leader is told.
    pub(super) fn note_appended(&mut self, id: PartitionId) {
        if self.replicas.get(&id).is_some_and(Replica::is_relaxed) {
            self.relaxed.insert(id);
        }
    }

    /// The round's entries are in the write-ahead log.
    pub(super) fn tell_received(&mut self) {
        let mut rows: BTreeMap<BrokerId, Vec<ReceivedRow>> = BTreeMap::new();
        for id in std::mem::take(&mut self.relaxed) {
            let Some(replica) = self.replicas.get(&id) else { continue };
            let group = &replica.group;
            // With a last entry of the leader's own term, all before it is the leader's as well;
            // otherwise these are still the entries of the leader before.
            if group.log().last_term() != group.term() {
                continue;
            }
            match group.leader() {
                Some(leader) if leader == group.peer() => {
                    let (me, last) = (group.peer(), group.log().last());
                    if let Some(replica) = self.replicas.get_mut(&id) {
                        replica.received.insert(me, last);
                    }
                    self.settle_received(id);
                }
                Some(leader) => rows.entry(leader.broker()).or_default().push(ReceivedRow {
                    group: id,
                    from: group.peer(),
                    term: group.term(),
                    index: group.log().last(),
                }),
                None => {}
            }
        }
        for (to, rows) in rows {
            self.outbox.broker(to, &PeerMessage::Received(rows).encode());
        }
    }

    /// A follower has entries in its write-ahead log.
    pub(super) fn peer_received(&mut self, from: BrokerId, rows: Vec<ReceivedRow>) {
        for row in rows {
            let Some(replica) = self.replicas.get_mut(&row.group) else { continue };
            // Of another term, the follower's entries may be others than the leader's.
            if replica.leading != Some(row.term) || row.from.broker() != from {
                continue;
            }
            let known = replica.received.entry(row.from).or_default();
            *known = (*known).max(row.index);
            self.settle_received(row.group);
        }
    }

    fn settle_received(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get(&id) else { return };
        if replica.leading.is_some() && replica.is_relaxed() {
            let upto = replica.received_by_quorum();
            self.settle_appends(id, upto);
        }
    }
}

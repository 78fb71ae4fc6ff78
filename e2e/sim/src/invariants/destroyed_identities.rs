//! A replica that was destroyed, and whose end was synced, is never there again and never votes: its
//! peer id is used up. And none ends without a word: what a broker held on disk it holds after a
//! start, unless it was seen to destroy it or its image has no place for it any more.

use std::collections::{BTreeMap, BTreeSet};

use chronik_core::core::Core;
use chronik_core::core::input::Ticket;
use chronik_core::ids::{BrokerId, PartitionId, PeerId};
use chronik_core::log::mem_disk::MemDisk;
use raft::eraftpb::Message;

use super::{ReplicaKey, Violation};

const NAME: &str = "destroyed identities stay gone";

/// What each broker holds, and what it held.
#[derive(Debug, Default)]
pub(super) struct DestroyedIdentities {
    held: BTreeMap<BrokerId, BTreeSet<ReplicaKey>>,
    /// Seen to be destroyed; a loss of power can still take that back.
    ending: BTreeMap<BrokerId, BTreeSet<ReplicaKey>>,
    pending: BTreeMap<(BrokerId, Ticket), BTreeSet<ReplicaKey>>,
    on_disk: BTreeMap<BrokerId, BTreeSet<ReplicaKey>>,
    gone: BTreeSet<ReplicaKey>,
}

impl DestroyedIdentities {
    pub(super) fn lose_disk(&mut self, node: BrokerId) {
        self.held.remove(&node);
        self.ending.remove(&node);
        self.on_disk.remove(&node);
    }

    /// A process began to run. Says what it destroyed before anybody could see it.
    pub(super) fn started(
        &mut self,
        node: BrokerId,
        core: &Core<MemDisk>,
        damaged: bool,
    ) -> Result<Vec<ReplicaKey>, Violation> {
        let now: BTreeSet<ReplicaKey> = core.held_replicas().collect();
        // A flipped bit can take the record of an end; then the replica is there, and not in service.
        if !damaged {
            self.none_is_gone(node, &now)?;
        }
        let mut ended = Vec::new();
        let mut ending = self.ending.remove(&node).unwrap_or_default();
        let (_, image) = core.image();
        for key in self.on_disk.get(&node).into_iter().flatten() {
            if now.contains(key) || ending.contains(key) {
                continue;
            }
            let (id, peer) = *key;
            // An earlier image that it read back may have had no place for it, and the last one wants it again.
            let is_wanted = image.replica_on(id, node).is_some_and(|wanted| wanted.peer == peer);
            if is_wanted && !core.has_ended(id, peer) {
                let what = format!("{node:?} has lost {id} {peer} without having destroyed it");
                return Violation::new("what is synced is kept", what);
            }
            // Destroyed while it started, by what its image had learnt last.
            ending.insert(*key);
            ended.push(*key);
        }
        // A destroyed replica that is not here was written to be: it stays on its way out.
        self.ending.insert(node, ending.into_iter().filter(|key| !now.contains(key)).collect());
        self.held.insert(node, now);
        Ok(ended)
    }

    /// A round has ended. Says what was destroyed in it.
    pub(super) fn check(
        &mut self,
        node: BrokerId,
        core: &Core<MemDisk>,
    ) -> Result<Vec<ReplicaKey>, Violation> {
        let held = self.held.entry(node).or_default();
        if core.held_replicas().count() == held.len()
            && core.held_replicas().all(|key| held.contains(&key))
        {
            return Ok(Vec::new());
        }
        let now: BTreeSet<ReplicaKey> = core.held_replicas().collect();
        let ended: Vec<ReplicaKey> = held.difference(&now).copied().collect();
        *held = now;
        self.none_is_gone(node, &self.held[&node])?;
        self.none_returns(node)?;
        self.ending.entry(node).or_default().extend(&ended);
        Ok(ended)
    }

    fn none_is_gone(&self, node: BrokerId, now: &BTreeSet<ReplicaKey>) -> Result<(), Violation> {
        let Some((id, peer)) = now.iter().find(|key| self.gone.contains(key)) else {
            return Ok(());
        };
        let what = format!("{node:?} holds {id} as {peer} again, which it has destroyed");
        Violation::new(NAME, what)
    }

    /// What was destroyed is not made again by the same run of a process, synced or not.
    fn none_returns(&self, node: BrokerId) -> Result<(), Violation> {
        let (Some(ending), Some(held)) = (self.ending.get(&node), self.held.get(&node)) else {
            return Ok(());
        };
        let Some((id, peer)) = ending.intersection(held).next() else { return Ok(()) };
        let what = format!("{node:?} makes {id} again as {peer}, which it has just destroyed");
        Violation::new(NAME, what)
    }

    /// A sync was asked for, with everything written.
    pub(super) fn begin(&mut self, node: BrokerId, ticket: Ticket, core: &Core<MemDisk>) {
        self.pending.insert((node, ticket), core.held_replicas().collect());
    }

    pub(super) fn end(&mut self, node: BrokerId, ticket: Ticket) {
        let Some(on_disk) = self.pending.remove(&(node, ticket)) else { return };
        if let Some(ending) = self.ending.get_mut(&node) {
            let known = self.on_disk.get(&node);
            // What was not on disk before may have been made and destroyed since.
            let ended = |key: &ReplicaKey| {
                !on_disk.contains(key) && known.is_some_and(|known| known.contains(key))
            };
            self.gone.extend(ending.iter().copied().filter(ended));
            ending.retain(|key| !ended(key));
        }
        self.on_disk.insert(node, on_disk);
    }

    pub(super) fn forget_pending(&mut self, node: BrokerId) {
        self.pending.retain(|(of, _), _| *of != node);
    }

    /// A vote, or a request for votes, leaves a broker.
    pub(super) fn said(&self, group: PartitionId, message: &Message) -> Result<(), Violation> {
        if message.reject || !self.gone.contains(&(group, PeerId(message.from))) {
            return Ok(());
        }
        let (from, what) = (PeerId(message.from), message.get_msg_type());
        Violation::new(NAME, format!("{from}, destroyed, says {what:?} in {group}"))
    }
}

//! Leaderships go home: after a broker was away, the groups that it is to lead are led by others.
//! Every few seconds each leader hands a few of them back. Who is to lead is in the targets of
//! `__meta`; `__meta` itself is led by whoever was elected.

use super::Core;
use crate::ids::{BrokerId, Micros, PartitionId, PeerId};
use crate::log::disk::Disk;
use crate::meta::ClusterConfig;

/// How often leaderships are handed back, and how long a broker must have been connected before it
/// is given any: one that flaps gets none.
pub(super) const BALANCE_EVERY: Micros = Micros::from_millis(5_000);

/// Transfers at once. Each costs its group a round trip of silence.
const TRANSFERS_MAX: usize = 16;

impl<D: Disk> Core<D> {
    pub(super) fn tick_balance(&mut self) {
        if self.now.mono.since(self.balanced) < BALANCE_EVERY {
            return;
        }
        self.balanced = self.now.mono;
        if self.is_shutting_down() || !ClusterConfig::of(&self.meta).auto_leader_rebalance {
            return;
        }
        let away = self.replicas.keys().filter_map(|id| Some((*id, self.preferred_instead(*id)?)));
        let away: Vec<(PartitionId, PeerId)> = away.take(TRANSFERS_MAX).collect();
        for (id, peer) in away {
            let Some(replica) = self.replicas.get_mut(&id) else { continue };
            let taken = replica.group.transfer_leadership(Some(peer));
            tracing::debug!(group = %id, to = %peer, taken, "hands the leadership back");
            self.dirty.insert(id);
        }
    }

    /// The replica that is to lead a group that this node leads, if it could do so now.
    fn preferred_instead(&self, id: PartitionId) -> Option<PeerId> {
        let replica = self.replicas.get(&id).filter(|replica| replica.leading.is_some())?;
        // `__meta` has no target.
        let preferred = *self.meta.partition(id)?.target.first()?;
        let (conf, _) = replica.group.log().conf();
        let votes = conf.voters.contains(&preferred.0) && conf.voters_outgoing.is_empty();
        (preferred.broker() != self.me()
            && votes
            && self.is_settled(preferred.broker())
            && replica.group.could_lead(preferred))
        .then_some(preferred)
    }

    /// Whether a broker is here to stay, as far as can be known.
    fn is_settled(&self, id: BrokerId) -> bool {
        let active = self.meta.broker(id).is_some_and(crate::meta::Broker::is_active);
        let connected = self.peers.connected(id);
        active && connected.is_some_and(|since| self.now.mono.since(since) >= BALANCE_EVERY)
    }
}

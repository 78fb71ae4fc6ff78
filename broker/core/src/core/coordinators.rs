//! The coordinators of consumer groups on this node: their effects carried out, their timers.

use bytes::Bytes;

use super::{Core, Machine};
use crate::coordinator::{Effect, GroupConfig};
use crate::ids::PartitionId;
use crate::log::disk::Disk;
use crate::meta::configs::ClusterConfig;

impl<D: Disk> Core<D> {
    /// Sends a coordinator's answers and proposes its records.
    pub(crate) fn carry_out(&mut self, id: PartitionId, effects: Vec<Effect>) {
        let mut effects: std::collections::VecDeque<Effect> = effects.into();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Reply { token, response } => {
                    crate::handlers::groups::reply(self, token, response);
                }
                Effect::Propose(record) => {
                    if !self.propose_record(id, &record) {
                        effects.extend(self.record_dropped(id, record));
                    }
                }
            }
        }
    }

    fn propose_record(&mut self, id: PartitionId, record: &Bytes) -> bool {
        let now = self.now.wall_ms;
        let Some(replica) = self.replicas.get_mut(&id) else { return false };
        let (info, batch) = crate::partition::internal_batch(now, None, record);
        let taken = replica.group.propose_batch(info, batch).is_ok();
        self.dirty.insert(id);
        taken
    }

    fn record_dropped(&mut self, id: PartitionId, record: Bytes) -> Vec<Effect> {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(&id) else { return Vec::new() };
        let Machine::Groups(coordinator) = &mut replica.machine else { return Vec::new() };
        coordinator.dropped(now, record).unwrap_or_default()
    }

    pub(super) fn tick_coordinators(&mut self) {
        let now = self.now;
        let due: Vec<PartitionId> = self
            .replicas
            .iter()
            .filter(|(_, replica)| match &replica.machine {
                Machine::Groups(coordinator) => {
                    coordinator.next_deadline().is_some_and(|at| at <= now.mono)
                }
                Machine::Meta | Machine::Records(_) => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(replica) = self.replicas.get_mut(&id) else { continue };
            if let Machine::Groups(coordinator) = &mut replica.machine {
                let effects = coordinator.tick(now);
                self.carry_out(id, effects);
            }
        }
    }

    /// What the cluster's configs say to coordinators.
    pub(super) fn group_config(&self) -> GroupConfig {
        let config = ClusterConfig::of(&self.meta);
        let millis = |ms: u64| i32::try_from(ms).unwrap_or(i32::MAX);
        GroupConfig {
            initial_rebalance_delay_ms: u32::try_from(config.group_initial_rebalance_delay_ms)
                .unwrap_or(u32::MAX),
            session_timeout_ms_min: millis(config.group_min_session_timeout_ms),
            session_timeout_ms_max: millis(config.group_max_session_timeout_ms),
            offset_retention_ms: i64::try_from(config.offsets_retention_ms).unwrap_or(i64::MAX),
            ..GroupConfig::default()
        }
    }

    /// A seed for a coordinator's member ids: its own, and another one at each start of the node.
    pub(super) fn coordinator_seed(&self, id: PartitionId) -> u64 {
        let (high, low) = id.topic.as_u64_pair();
        let words = [high, low, u64::from(id.partition), self.node.boot];
        words.iter().fold(self.config.seed, |seed, word| {
            (seed ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
        })
    }
}

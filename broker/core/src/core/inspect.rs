//! What `/metrics` and `/readyz` show of a node: plain numbers, no registry.

use std::collections::BTreeMap;

use super::{Core, Machine};
use crate::admin::NodeState;
use crate::log::disk::Disk;
use crate::raft::group::Role;

/// Counts that only grow, and the disk's free space as of the last tick.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Requests by API name.
    pub requests: BTreeMap<&'static str, u64>,
    /// Records taken from producers.
    pub records_in: u64,
    /// Bytes of record batches taken from producers.
    pub bytes_in: u64,
    /// Bytes of record batches given to consumers.
    pub bytes_out: u64,
    /// Record batches refused, for whatever reason.
    pub batches_refused: u64,
    /// Frames of peers that did not decode.
    pub bad_frames: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Bytes of segments read to look for damage.
    pub scrubbed_bytes: u64,
    /// Free bytes on the disk.
    pub free_bytes: u64,
}

impl Counters {
    /// Counts a request.
    pub(crate) fn count_request(&mut self, api: &'static str) {
        *self.requests.entry(api).or_default() += 1;
    }
}

/// A node at one moment.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Its life.
    pub state: NodeState,
    /// Counts.
    pub counters: Counters,
    /// Replicas by role.
    pub roles: BTreeMap<&'static str, u64>,
    /// Replicas taken offline.
    pub offline: u64,
    /// Replicas in service whose files are damaged.
    pub damaged: u64,
    /// Groups of `__consumer_offsets` led here.
    pub coordinators: u64,
    /// Requests that wait for their commit.
    pub produces_parked: u64,
    /// Requests that wait for records.
    pub fetches_parked: u64,
    /// How often a partition names a fetch that waits for it.
    pub watches: u64,
    /// Payload bytes that wait for their quorum.
    pub uncommitted_bytes: u64,
    /// Entries of `__meta` applied.
    pub meta_applied: u64,
    /// Brokers fenced, as this node's image has it.
    pub brokers_fenced: u64,
}

impl<D: Disk> Core<D> {
    /// Whether clients can be told about the cluster: its image names this broker, in service.
    /// Once true the shell does not ask again; a broker that is fenced later still answers.
    pub fn serves_clients(&self) -> bool {
        self.knows_this_directory() && self.meta.broker(self.me()).is_some_and(|me| !me.fenced)
    }

    /// This node at this moment.
    pub fn inspect(&self) -> Inspection {
        let mut roles = BTreeMap::new();
        for replica in self.replicas.values() {
            *roles.entry(role_name(replica.group.role())).or_default() += 1;
        }
        let coordinators = self.replicas.values().filter(|replica| {
            replica.leading.is_some() && matches!(replica.machine, Machine::Groups(_))
        });
        Inspection {
            state: self.state(),
            counters: self.counters.clone(),
            roles,
            offline: self.offline.len() as u64,
            damaged: self.damaged.len() as u64,
            coordinators: coordinators.count() as u64,
            produces_parked: self.parked.produces.len() as u64,
            fetches_parked: self.parked.fetches.len() as u64,
            watches: self.replicas.values().map(|replica| replica.fetches.len() as u64).sum(),
            uncommitted_bytes: self.uncommitted as u64,
            meta_applied: self.meta_applied,
            brokers_fenced: self.meta.brokers().filter(|broker| broker.fenced).count() as u64,
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Empty => "empty",
        Role::Learner => "learner",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Stopped => "stopped",
    }
}

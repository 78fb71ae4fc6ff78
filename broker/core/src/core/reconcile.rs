//! The replicas on this node follow its image of the cluster, and nothing else: a message never
//! makes or destroys one. The one exception is this node's own replica of `__meta`, which it
//! makes when it enters a cluster.

use raft::eraftpb::ConfState;

use super::replica::Offline;
use super::{Core, Machine, Replica, with_causes};
use crate::ids::{Index, PartitionId, PeerId};
use crate::log::disk::Disk;
use crate::log::group_log::{Birth, GroupLog};
use crate::log::image::Image;
use crate::meta;
use crate::meta::command::Command;
use crate::mutant::{self, Mutant};
use crate::raft::group::Group;
use crate::raft::ready::is_member;

/// A group is born at this index and term, never at 0: an empty replica must not be able to start
/// from anything but a leader's snapshot.
const BIRTH: Index = 1;

impl<D: Disk> Core<D> {
    /// Opens the replica of `__meta` that an earlier run left, and applies what it had committed.
    pub(super) fn wake_meta(&mut self) {
        match self.dormant.remove(&PartitionId::META) {
            Some(log) => {
                self.open_replica(PartitionId::META, log);
                self.dirty.insert(PartitionId::META);
            }
            None if self.offline.contains_key(&PartitionId::META) => {}
            // A crash came between the membership and the replica: nobody has heard of it yet.
            None => self.create_meta(),
        }
    }

    /// Makes this node's replica of `__meta`, as its membership says.
    pub(super) fn create_meta(&mut self) {
        let Some(membership) = &self.node.membership else { return };
        let peer = membership.meta_peer;
        let image = membership.born_with.map(|_| birth_image(&[peer]));
        self.create_replica(PartitionId::META, Birth { peer, image });
        if let Some(replica) = self.replicas.get_mut(&PartitionId::META) {
            replica.group.campaign();
        }
    }

    /// Brings all replicas in line with the image.
    pub(super) fn reconcile_all(&mut self) {
        let me = self.me();
        let wanted = self.meta.replicas_on(me).map(|(id, _)| id);
        let held = self.replicas.keys().chain(self.dormant.keys()).chain(self.offline.keys());
        let all: std::collections::BTreeSet<PartitionId> = wanted.chain(held.copied()).collect();
        for id in all {
            self.reconcile(id);
        }
    }

    /// Brings one replica in line with the image.
    pub(super) fn reconcile(&mut self, id: PartitionId) {
        // An image that is older than this directory's registration speaks of another life of this
        // broker: to make its replicas would bring a lost disk's votes back.
        if id == PartitionId::META || !self.knows_this_directory() {
            return;
        }
        let wanted = self.meta.replica_on(id, self.me());
        let held = self.held(id);
        match (held, wanted) {
            (Some(held), Some(wanted)) if held == wanted.peer => {
                if let Some(log) = self.dormant.remove(&id) {
                    self.open_replica(id, log);
                }
                self.configure_replica(id);
            }
            (Some(held), _)
                if self.is_unreported_member(id, held) || self.is_sound_learner(id, held) =>
            {
                if let Some(log) = self.dormant.remove(&id) {
                    self.open_replica(id, log);
                }
            }
            (Some(held), Some(wanted)) if held < wanted.peer => {
                self.destroy_replica(id);
                self.place(id, &wanted);
            }
            // Its place is gone. What the group still has of this broker is an earlier life, which has
            // ended: the operator takes it out, or it gets a successor.
            (Some(held), _) if held.placed_at() <= self.meta_applied => self.destroy_replica(id),
            // The image is older than the replica: it has more to come.
            (Some(_), _) => {}
            (None, Some(wanted)) => self.place(id, &wanted),
            (None, None) => {}
        }
    }

    pub(super) fn knows_this_directory(&self) -> bool {
        let known = self.meta.broker(self.me());
        known.is_some_and(|known| known.registration.directory == self.config.directory)
    }

    /// Whether a replica here is a member by a change that the image has not heard of: its leader's
    /// report is on its way, and a vote that counts may lie here. It stays even where the image gives
    /// its place another name: the place may have got the member's name back since.
    fn is_unreported_member(&self, id: PartitionId, peer: PeerId) -> bool {
        let Some(known) = self.meta.partition(id) else { return false };
        let awake = self.replicas.get(&id).map(|replica| replica.group.log());
        awake.or_else(|| self.dormant.get(&id)).is_some_and(|log| {
            let (conf, conf_index) = log.conf();
            conf_index > known.conf_index && is_member(conf, peer)
        })
    }

    /// Whether a replica here that is not known to be damaged is a learner of its group. It stays until
    /// the group has let it go, whatever name its place has now: with the name back it could be given a
    /// vote before its group notices that it has ended.
    fn is_sound_learner(&self, id: PartitionId, peer: PeerId) -> bool {
        self.meta.partition(id).is_some_and(|known| known.learners.contains(&peer))
            && !self.offline.contains_key(&id)
            && !self.damaged.contains_key(&id)
    }

    /// The life of the replica that is on this node, whatever its state.
    fn held(&self, id: PartitionId) -> Option<PeerId> {
        let awake = self.replicas.get(&id).map(|replica| replica.group.peer());
        let dormant = || self.dormant.get(&id).map(GroupLog::peer);
        awake.or_else(dormant).or_else(|| self.offline.get(&id).map(|offline| offline.peer))
    }

    fn place(&mut self, id: PartitionId, wanted: &meta::partitions::Replica) {
        // A replica that was here and is destroyed never comes back under its old name.
        if self.has_ended(id, wanted.peer) && !mutant::is(Mutant::ForgetTombstone) {
            return;
        }
        let image = wanted.born.then(|| birth_image(&wanted.initial_voters));
        self.create_replica(id, Birth { peer: wanted.peer, image });
        self.configure_replica(id);
        let first = wanted.born && wanted.initial_voters.first() == Some(&wanted.peer);
        if let Some(replica) = self.replicas.get_mut(&id).filter(|_| first) {
            replica.campaigns = true;
            replica.group.campaign();
            self.dirty.insert(id);
        }
    }

    fn create_replica(&mut self, id: PartitionId, birth: Birth) {
        let (disk, limits) = (self.disk.clone(), &self.config.limits.log);
        let log = GroupLog::create(disk, &mut self.wal, id, birth, limits);
        self.open_replica(id, log);
    }

    fn open_replica(&mut self, id: PartitionId, log: GroupLog<D>) {
        let peer = log.peer();
        let (applied, machine) = match self.restored(id, &log) {
            Ok(restored) => restored,
            // The next checkpoint must still name it: what nothing names would be made anew under the
            // name that has voted.
            Err(reason) => return self.stays_offline(id, Offline { peer, reason, log: Some(log) }),
        };
        let settings = self.group_settings(id == PartitionId::META);
        match Group::open(settings, id, log, applied) {
            Ok(group) => {
                let sole = group.is_sole_voter();
                self.replicas.insert(id, Replica::new(group, machine));
                if let Some(replica) = self.replicas.get_mut(&id).filter(|_| sole) {
                    replica.group.campaign();
                }
                self.dirty.insert(id);
            }
            Err(error) => {
                let reason = with_causes(&error);
                self.wal.condemn(id, peer, reason.clone());
                self.stays_offline(id, Offline { peer, reason, log: None });
            }
        }
    }

    fn stays_offline(&mut self, id: PartitionId, offline: Offline<D>) {
        tracing::error!(group = %id, reason = %offline.reason, "replica stays offline");
        self.offline.insert(id, offline);
    }

    /// Up to where a log's newest checkpoint has applied it, and the state there.
    fn restored(&mut self, id: PartitionId, log: &GroupLog<D>) -> Result<(Index, Machine), String> {
        let (applied, state) = log.last_state().map_err(|error| with_causes(&error))?;
        if id == PartitionId::META {
            self.restore_meta(applied, state).map_err(|error| with_causes(&error))?;
            return Ok((applied, Machine::Meta));
        }
        let machine = self.machine_from(id, state).map_err(|error| with_causes(&error))?;
        Ok((applied, machine))
    }

    fn destroy_replica(&mut self, id: PartitionId) {
        self.damaged.remove(&id);
        let awake = self.evict(id).map(|replica| replica.group.into_log());
        let log = awake
            .or_else(|| self.dormant.remove(&id))
            .or_else(|| self.offline.remove(&id).and_then(|offline| offline.log));
        match log {
            Some(log) => {
                tracing::info!(group = %id, peer = %log.peer(), "replica destroyed");
                if let Err(error) = log.destroy(&mut self.wal) {
                    tracing::error!(group = %id, error = %with_causes(&error), "files stay behind");
                }
            }
            None => self.wal.destroy_corrupt(id),
        }
    }

    /// Asks for a new life of every replica here that is damaged, where others can do without it and
    /// rebuild it; and of one that ended here when its group had no place for it, and that has been
    /// given one again.
    pub(super) fn replace_damaged(&mut self) {
        if self.replacing || self.meta.cluster_id().is_none() {
            return;
        }
        let offline = self.offline.iter().map(|(id, offline)| (*id, offline.peer));
        let damaged = self.damaged.iter().map(|(id, damaged)| (*id, damaged.peer));
        let buried = self.wal.tombstones().keys().filter_map(|id| {
            let wanted = self.meta.replica_on(*id, self.me())?.peer;
            (self.held(*id).is_none() && self.has_ended(*id, wanted)).then_some((*id, wanted))
        });
        let mut ended = offline.chain(damaged).chain(buried);
        let Some((id, peer)) = ended.find(|(id, peer)| self.meta.can_replace(*id, *peer)) else {
            return;
        };
        let command = Command::ReplaceReplica { id, peer };
        tracing::warn!(group = %id, peer = %peer, "asks for a new replica in its place");
        self.replacing = true;
        self.propose_meta(&command, |core, _| core.replacing = false);
    }
}

/// What a group starts from on the replicas that its creating command names.
fn birth_image(voters: &[PeerId]) -> Image {
    let voters: Vec<u64> = voters.iter().map(|peer| peer.0).collect();
    Image {
        index: BIRTH,
        term: 1,
        start: 0,
        next: 0,
        conf: ConfState { voters, ..ConfState::default() },
        conf_index: BIRTH,
        state: bytes::Bytes::new(),
    }
}

//! What the model's platform and brokers do with each step. Brokers refuse what is late or stale;
//! what a broker could not refuse is asserted here.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{BrokerId, Change, Conf, META_TOPIC, Member, PeerId, Step, broker_of};

use crate::model::{Cluster, Disk, ModelGroup, World, is_internal};

impl World {
    /// Carries a step out; false if it was refused.
    pub(crate) fn execute(&mut self, step: &Step) -> bool {
        match step {
            Step::Start(id) => self.start(*id),
            Step::Stop(id) => {
                self.assert_forgotten(*id, step);
                self.revisions.template.remove(id);
                self.revisions.runs.remove(id);
                let idle = self.revisions.idle.remove(id) | self.lost.remove(id);
                self.running.remove(id) || idle
            }
            Step::Update(id) => self.update(*id),
            Step::DeleteVolume(id) => {
                self.assert_forgotten(*id, step);
                assert!(!self.running.contains(id), "the volume of a running broker is deleted");
                self.disks.remove(id).is_some()
            }
            Step::Replace(id) => {
                assert!(self.lost.remove(id), "a volume is given up that nobody lost");
                self.disks.remove(id);
                self.check();
                self.revisions.idle.remove(id);
                self.start(*id)
            }
            Step::Initialize { to, cluster_id, brokers } => {
                self.initialize(*to, cluster_id, *brokers)
            }
            Step::Wipe { to, directory } => self.wipe(*to, directory),
            Step::ChangeMembership { to, topic, partition, change, expected_conf_index } => {
                let apply = |world: &World, group: &mut ModelGroup| {
                    group.conf_index == *expected_conf_index && change_group(world, group, change)
                };
                self.at_leader(*to, topic, *partition, apply)
            }
            Step::TransferLeadership { to, topic, partition, peer } => {
                let apply = |world: &World, group: &mut ModelGroup| {
                    let able = group.conf.voters.contains(peer) && world.is_alive(*peer);
                    if able && group.percent.get(peer) == Some(&100) {
                        group.leader = Some(*peer);
                        group.term += 1;
                    }
                    able
                };
                self.at_leader(*to, topic, *partition, apply)
            }
            Step::Cordon { to, broker } => self.command(*to, |c, _| c.mark(*broker, true)),
            Step::Uncordon { to, broker } => self.command(*to, |c, _| c.mark(*broker, false)),
            Step::Drain { to, broker } => self.command(*to, |c, lives| c.drain(*broker, lives)),
            Step::Rebalance { to } => {
                let done = self.command(*to, |c, lives| c.rebalance(lives));
                if done && let Some(cluster) = &self.cluster {
                    let counts = cluster.brokers.iter().map(|(id, m)| (*id, m.replicas));
                    self.rebalanced_at = Some(counts.collect());
                }
                done
            }
            Step::SetRack { to, broker, directory, rack } => {
                self.command(*to, |c, _| c.set_rack(*broker, directory, rack.clone()))
            }
            Step::SetAdvertised { to, broker, directory, address } => {
                self.command(*to, |c, _| c.set_advertised(*broker, directory, address.clone()))
            }
            Step::SetCatchUpRate { to, bytes_per_second } => self.command(*to, |c, _| {
                c.catch_up_rate = Some(*bytes_per_second);
                true
            }),
            Step::RemoveBroker { to, broker, directory } => {
                self.command(*to, |c, _| c.forget(*broker, directory))
            }
        }
    }

    fn wipe(&mut self, id: BrokerId, directory: &str) -> bool {
        let disk = self.disks.get(&id);
        let wiped = disk.is_some_and(|d| d.retired && d.directory == directory)
            && self.running.contains(&id);
        if wiped {
            self.disks.remove(&id);
            self.running.remove(&id);
        }
        wiped
    }

    fn start(&mut self, id: BrokerId) -> bool {
        if !self.disks.contains_key(&id) {
            self.directories += 1;
            let directory = format!("dir-{}", self.directories);
            self.disks.insert(id, Disk { directory, joined: false, retired: false, image: None });
        }
        assert!(!self.revisions.idle.contains(&id), "broker {id} is started twice");
        self.revisions.started(id);
        if self.revisions.is_bad(id) {
            return self.revisions.idle.insert(id);
        }
        assert!(self.running.insert(id), "broker {id} is started twice");
        true
    }

    fn initialize(&mut self, to: BrokerId, cluster_id: &str, brokers: u32) -> bool {
        let Some(disk) = self.disks.get_mut(&to).filter(|_| self.running.contains(&to)) else {
            return false;
        };
        if disk.joined {
            let Some(cluster) = self.cluster.as_mut() else { return false };
            assert_eq!(cluster.id, cluster_id);
            cluster.wanted_at_birth = brokers as usize;
            return true;
        }
        assert!(self.cluster.is_none(), "a second cluster is made");
        disk.joined = true;
        let mut cluster = Cluster {
            id: cluster_id.into(),
            index: 0,
            open: false,
            catch_up_rate: None,
            wanted_at_birth: brokers as usize,
            brokers: BTreeMap::new(),
            meta: ModelGroup { term: 1, conf_index: 1, ..ModelGroup::default() },
            data: BTreeMap::new(),
        };
        let directory = disk.directory.clone();
        cluster.adopt(to, &directory, &mut self.lives);
        let peer = cluster.brokers[&to].meta_peer;
        cluster.meta.conf.voters.insert(peer);
        cluster.meta.percent.insert(peer, 100);
        cluster.meta.leader = Some(peer);
        self.disks.get_mut(&to).expect("it was just there").image = Some(cluster.image());
        self.cluster = Some(cluster);
        true
    }

    fn at_leader(
        &mut self,
        to: BrokerId,
        topic: &str,
        partition: u32,
        apply: impl Fn(&World, &mut ModelGroup) -> bool,
    ) -> bool {
        let Some(mut cluster) = self.cluster.take() else { return false };
        let group = if topic == META_TOPIC {
            Some(&mut cluster.meta)
        } else {
            cluster.data.get_mut(&(topic.to_string(), partition))
        };
        let done = group.is_some_and(|group| {
            let leads = group.leader.is_some_and(|l| broker_of(l) == to && self.is_alive(l));
            leads && self.is_available(group) && apply(self, group)
        });
        cluster.count();
        self.cluster = Some(cluster);
        self.check();
        done
    }

    fn command(
        &mut self,
        to: BrokerId,
        apply: impl FnOnce(&mut Cluster, &mut BTreeMap<PeerId, String>) -> bool,
    ) -> bool {
        let Some(mut cluster) = self.cluster.take() else { return false };
        let leads = cluster.meta.leader.is_some_and(|l| broker_of(l) == to && self.is_alive(l));
        let done =
            leads && self.is_available(&cluster.meta) && apply(&mut cluster, &mut self.lives);
        cluster.count();
        self.cluster = Some(cluster);
        done
    }

    fn assert_forgotten(&self, id: BrokerId, step: &Step) {
        let Some(cluster) = &self.cluster else { panic!("without a cluster: {step}") };
        assert!(!cluster.brokers.contains_key(&id), "a member is taken away: {step}");
        for group in cluster.groups() {
            let mut named = group.conf.members().chain(group.target.iter().copied());
            assert!(!named.any(|p| broker_of(p) == id), "still in a group: {step}");
        }
    }
}

fn change_group(world: &World, group: &mut ModelGroup, change: &Change) -> bool {
    let conf = &mut group.conf;
    assert!(
        !conf.is_joint() || *change == Change::LeaveJoint,
        "a second change is opened in one group"
    );
    match change {
        Change::AddLearner(peer) => {
            assert!(!conf.contains(*peer), "a member is added again");
            assert!(world.lives.contains_key(peer), "nobody placed this replica");
            conf.learners.insert(*peer);
        }
        Change::Remove(peer) => {
            assert_ne!(group.leader, Some(*peer), "a leader is removed while it leads");
            conf.voters.remove(peer);
            conf.learners.remove(peer);
            group.percent.remove(peer);
        }
        Change::LeaveJoint => {
            if conf.is_joint() {
                group.leave_joint();
            }
            return true;
        }
        Change::Joint { promote, demote, remove } => {
            let mut next = Conf { outgoing: conf.voters.clone(), ..conf.clone() };
            for peer in promote {
                assert_eq!(group.percent.get(peer), Some(&100), "promoted before it caught up");
                next.learners.remove(peer);
                next.voters.insert(*peer);
            }
            next.voters.retain(|p| !demote.contains(p) && !remove.contains(p));
            next.learners_next.extend(demote);
            let leader = group.leader.expect("asked at the leader");
            assert!(next.voters.contains(&leader), "a leader is removed while it leads");
            if !World::majority(&next, |p| world.is_alive(p)) {
                // Raft would not commit it until they are back.
                return false;
            }
            *conf = next;
        }
    }
    group.conf_index += 1;
    true
}

impl Cluster {
    fn mark(&mut self, broker: BrokerId, cordoned: bool) -> bool {
        self.brokers.get_mut(&broker).map(|m| m.cordoned = cordoned).is_some()
    }

    /// Brokers that may get a new replica, least loaded first.
    pub(crate) fn open_to_replicas(&self) -> Vec<BrokerId> {
        let fit = |m: &Member| !m.cordoned && !m.fenced;
        let mut ids: Vec<(u32, BrokerId)> =
            self.brokers.iter().filter(|(_, m)| fit(m)).map(|(id, m)| (m.replicas, *id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Puts a new replica of a group's target on a broker.
    fn aim(
        &mut self,
        key: &(String, u32),
        from: Option<PeerId>,
        to: BrokerId,
        lives: &mut BTreeMap<PeerId, String>,
    ) {
        let conf = &self.data[key].conf;
        let directory = self.brokers[&to].directory.clone();
        // A member of an earlier life of the broker is not its replica.
        let is_own = |p: &PeerId| broker_of(*p) == to && lives.get(p) == Some(&directory);
        let held = conf.members().find(is_own);
        let peer = held.unwrap_or_else(|| self.peer(to));
        lives.insert(peer, directory);
        let target = &mut self.data.get_mut(key).expect("it was just there").target;
        if let Some(from) = from {
            target.remove(&from);
        }
        target.insert(peer);
        self.count();
    }

    fn drain(&mut self, broker: BrokerId, lives: &mut BTreeMap<PeerId, String>) -> bool {
        for key in self.data.keys().cloned().collect::<Vec<_>>() {
            let target: BTreeSet<PeerId> = self.data[&key].target.clone();
            let Some(from) = target.iter().copied().find(|p| broker_of(*p) == broker) else {
                continue;
            };
            let free = |id: &BrokerId| !target.iter().any(|p| broker_of(*p) == *id);
            match self.open_to_replicas().into_iter().find(free) {
                Some(to) => self.aim(&key, Some(from), to, lives),
                // A broker that is only away is waited for.
                None if is_internal(&key.0) && target.len() > 1 && !self.any_stays(free) => {
                    self.data.get_mut(&key).expect("it was just there").target.remove(&from);
                    self.count();
                }
                None => return false,
            }
        }
        true
    }

    fn any_stays(&self, free: impl Fn(&BrokerId) -> bool) -> bool {
        self.brokers.iter().any(|(id, m)| !m.cordoned && free(id))
    }

    fn grow_internal(&mut self, lives: &mut BTreeMap<PeerId, String>) {
        let internal = self.data.keys().filter(|(topic, _)| is_internal(topic));
        for key in internal.cloned().collect::<Vec<_>>() {
            while self.data[&key].target.len() < 3 {
                let target = &self.data[&key].target;
                let free = |id: &BrokerId| !target.iter().any(|p| broker_of(*p) == *id);
                let Some(to) = self.open_to_replicas().into_iter().find(free) else { break };
                self.aim(&key, None, to, lives);
            }
        }
    }

    fn rebalance(&mut self, lives: &mut BTreeMap<PeerId, String>) -> bool {
        self.grow_internal(lives);
        let order = self.open_to_replicas();
        let (Some(least), Some(most)) = (order.first(), order.last()) else { return true };
        if self.brokers[most].replicas - self.brokers[least].replicas <= 1 {
            return true;
        }
        let from = |g: &ModelGroup| {
            let on = |id: BrokerId| g.target.iter().copied().find(|p| broker_of(*p) == id);
            on(*most).filter(|_| on(*least).is_none())
        };
        let found = self.data.iter().find_map(|(k, g)| Some((k.clone(), from(g)?)));
        // A group counts on its old broker until it has moved, so one move a call.
        if let Some((key, peer)) = found {
            self.aim(&key, Some(peer), *least, lives);
        }
        true
    }

    fn set_rack(&mut self, broker: BrokerId, directory: &str, rack: Option<String>) -> bool {
        let known = self.brokers.get_mut(&broker).filter(|m| m.directory == directory);
        known.map(|m| m.told_rack = rack).is_some()
    }

    fn set_advertised(
        &mut self,
        broker: BrokerId,
        directory: &str,
        address: Option<String>,
    ) -> bool {
        let known = self.brokers.get_mut(&broker).filter(|m| m.directory == directory);
        known.map(|m| m.advertised = address).is_some()
    }

    fn forget(&mut self, broker: BrokerId, directory: &str) -> bool {
        let known = self.brokers.get(&broker).filter(|m| m.directory == directory);
        let empty = known.is_some_and(|m| m.replicas == 0 && m.cordoned);
        let in_meta = self.meta.conf.members().any(|p| broker_of(p) == broker);
        if !empty || in_meta {
            return false;
        }
        self.index += 1;
        self.brokers.remove(&broker).is_some()
    }
}

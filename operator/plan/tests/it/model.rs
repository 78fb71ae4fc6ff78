//! A small model of a cluster: brokers with disks, `__meta`, and groups with members. It carries
//! steps out, loses answers, crashes and forgets, and panics when a step breaks what may not break.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{
    BrokerId, Conf, Group, META_TOPIC, Member, Meta, Node, NodeState, Observed, PeerId, Process,
    Progress, broker_of, meta_voters,
};

use crate::model_rolls::Revisions;

/// SplitMix64: the model's only randomness.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) directory: String,
    pub(crate) joined: bool,
    pub(crate) retired: bool,
    pub(crate) image: Option<Meta>,
}

#[derive(Clone, Default)]
pub(crate) struct ModelGroup {
    pub(crate) conf: Conf,
    pub(crate) conf_index: u64,
    pub(crate) leader: Option<PeerId>,
    pub(crate) term: u64,
    pub(crate) target: BTreeSet<PeerId>,
    pub(crate) percent: BTreeMap<PeerId, u32>,
}

pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) index: u64,
    pub(crate) open: bool,
    pub(crate) wanted_at_birth: usize,
    pub(crate) brokers: BTreeMap<BrokerId, Member>,
    pub(crate) meta: ModelGroup,
    pub(crate) data: BTreeMap<(String, u32), ModelGroup>,
    pub(crate) catch_up_rate: Option<u64>,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) disks: BTreeMap<BrokerId, Disk>,
    pub(crate) running: BTreeSet<BrokerId>,
    pub(crate) cluster: Option<Cluster>,
    /// Which directory each life of a replica lies in.
    pub(crate) lives: BTreeMap<PeerId, String>,
    pub(crate) directories: u64,
    pub(crate) rebalanced_at: Option<BTreeMap<BrokerId, u32>>,
    pub(crate) formed: bool,
    pub(crate) revisions: Revisions,
    /// Brokers whose node is gone with their disk, and who are said to be.
    pub(crate) lost: BTreeSet<BrokerId>,
}

/// Where the platform sees a broker.
pub(crate) fn rack(id: BrokerId) -> String {
    format!("zone-{}", id % 3)
}

/// Where the platform has clients outside find a broker.
pub(crate) fn address(id: BrokerId) -> String {
    format!("node-{id}:{}", 30000 + id)
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World {
            dice: Dice(seed),
            disks: BTreeMap::new(),
            running: BTreeSet::new(),
            cluster: None,
            lives: BTreeMap::new(),
            directories: 0,
            rebalanced_at: None,
            formed: false,
            revisions: Revisions::default(),
            lost: BTreeSet::new(),
        }
    }

    pub(crate) fn has_data(&self, peer: PeerId) -> bool {
        self.disks
            .get(&broker_of(peer))
            .is_some_and(|d| Some(&d.directory) == self.lives.get(&peer))
    }

    pub(crate) fn is_alive(&self, peer: PeerId) -> bool {
        self.running.contains(&broker_of(peer)) && self.has_data(peer)
    }

    /// A majority of both halves satisfies `ok`.
    pub(crate) fn majority(conf: &Conf, ok: impl Fn(PeerId) -> bool) -> bool {
        [&conf.voters, &conf.outgoing]
            .iter()
            .all(|half| half.is_empty() || half.iter().filter(|p| ok(**p)).count() > half.len() / 2)
    }

    pub(crate) fn is_available(&self, group: &ModelGroup) -> bool {
        Self::majority(&group.conf, |p| self.is_alive(p)) && group.leader.is_some()
    }

    /// Losing this broker's disk takes no group's quorum, also while others are down.
    pub(crate) fn can_lose(&self, broker: BrokerId) -> bool {
        let Some(cluster) = &self.cluster else { return false };
        cluster.groups().all(|g| self.commits_without(broker, g))
    }

    /// What must hold at every moment.
    pub(crate) fn check(&self) {
        let Some(cluster) = &self.cluster else { return };
        for group in cluster.groups() {
            assert!(!group.conf.voters.is_empty(), "a group without voters");
            assert!(
                Self::majority(&group.conf, |p| self.has_data(p)),
                "a group lost its quorum for good: {:?}",
                group.conf
            );
        }
    }

    /// Time passes: elections, registrations, replication.
    pub(crate) fn tick(&mut self) {
        self.start_idle();
        self.elect();
        self.register();
        self.replicate();
        self.elect();
        if let Some(cluster) = &mut self.cluster {
            cluster.open |= cluster.meta.conf.voters.len() >= meta_voters(cluster.wanted_at_birth);
        }
        self.check();
    }

    fn elect(&mut self) {
        let Some(mut cluster) = self.cluster.take() else { return };
        for group in cluster.groups_mut() {
            let majority = Self::majority(&group.conf, |p| self.is_alive(p));
            if group.leader.is_some_and(|l| majority && self.is_alive(l)) {
                continue;
            }
            let complete = |p: &PeerId| self.is_alive(*p) && group.percent.get(p) == Some(&100);
            let able: Vec<PeerId> = group.conf.voters.iter().copied().filter(complete).collect();
            group.leader = None;
            if majority && !able.is_empty() {
                group.leader = Some(able[self.dice.below(able.len() as u64) as usize]);
                group.term += 1;
            }
        }
        self.cluster = Some(cluster);
    }

    fn register(&mut self) {
        let Some(mut cluster) = self.cluster.take() else { return };
        if self.is_available(&cluster.meta) {
            for id in self.running.clone() {
                let disk = self.disks.get_mut(&id).expect("a running broker has a disk");
                let known = cluster.brokers.get(&id).map(|m| (m.directory.clone(), m.fenced));
                let is_own = known.as_ref().is_some_and(|(d, _)| *d == disk.directory);
                if disk.joined && !is_own && self.dice.one_in(2) {
                    disk.retired = true;
                } else if !disk.retired && !disk.joined && self.dice.one_in(2) {
                    let may = known.as_ref().is_none_or(|(_, fenced)| *fenced);
                    if may {
                        disk.joined = true;
                        let directory = disk.directory.clone();
                        cluster.adopt(id, &directory, &mut self.lives);
                    }
                }
                if self.dice.one_in(2) {
                    let image = cluster.image();
                    let disk = self.disks.get_mut(&id).expect("a running broker has a disk");
                    disk.image = disk.joined.then_some(image);
                }
            }
            for (id, member) in &mut cluster.brokers {
                let here = self.disks.get(id).is_some_and(|d| d.directory == member.directory);
                let alive = here && self.running.contains(id);
                if alive == member.fenced && self.dice.one_in(2) {
                    member.fenced = !alive;
                }
            }
        }
        self.cluster = Some(cluster);
    }

    fn replicate(&mut self) {
        let Some(mut cluster) = self.cluster.take() else { return };
        for group in cluster.groups_mut() {
            if !self.is_available(group) {
                continue;
            }
            let members: Vec<PeerId> = group.conf.members().collect();
            for peer in members {
                if !self.is_alive(peer) {
                    continue;
                }
                let percent = group.percent.entry(peer).or_insert(0);
                *percent = (*percent + 20 + self.dice.below(80) as u32).min(100);
            }
            if group.conf.is_joint() && self.dice.one_in(2) {
                group.leave_joint();
            }
        }
        cluster.count();
        self.cluster = Some(cluster);
    }

    /// One pass over everything, with some answers missing.
    pub(crate) fn observe(&mut self, silence: u64) -> Observed {
        let ids: BTreeSet<BrokerId> =
            self.disks.keys().chain(self.running.iter()).copied().collect();
        let mut seen = Observed {
            formed: self.formed,
            rebalanced_at: self.rebalanced_at.clone(),
            ..Observed::default()
        };
        for id in ids {
            let (serves, lost) = (self.running.contains(&id), self.lost.contains(&id));
            let idle = lost || self.revisions.idle.contains(&id);
            let (running, volume) = (serves || idle, self.disks.contains_key(&id));
            let revision = self.revisions.of(id);
            let ready_for_s = self.revisions.ready_for_s(id, serves);
            let stuck = idle && (lost || self.revisions.is_bad(id));
            let ending = false;
            let process =
                Process { running, volume, revision, ending, idle, stuck, lost, ready_for_s };
            seen.processes.insert(id, process);
            if serves {
                seen.racks.insert(id, rack(id));
                seen.advertised.insert(id, address(id));
            }
            if serves && (silence == 0 || !self.dice.one_in(silence)) {
                seen.nodes.insert(id, self.describe(id));
            }
        }
        self.formed |= seen.nodes.values().any(|n| n.cluster_id.is_some());
        self.rebalanced_at = seen.still_rebalanced_at();
        seen
    }

    pub(crate) fn describe(&self, id: BrokerId) -> Node {
        let disk = &self.disks[&id];
        let mut node = Node {
            state: NodeState::Uninitialized,
            directory: disk.directory.clone(),
            cluster_id: None,
            meta: None,
            groups: Vec::new(),
            leaders: 0,
            offline: 0,
            quorum_losses: BTreeMap::new(),
            needed: BTreeMap::new(),
        };
        let Some(cluster) = self.cluster.as_ref().filter(|_| disk.joined) else { return node };
        node.cluster_id = Some(cluster.id.clone());
        node.state = if disk.retired { NodeState::Retired } else { NodeState::Member };
        node.meta = disk.image.clone();
        if disk.retired {
            return node;
        }
        let led: Vec<&ModelGroup> = cluster.groups().filter(|g| self.leads(id, g)).collect();
        node.leaders = led.len() as u32;
        for broker in cluster.brokers.keys() {
            let waits =
                |g: &&&ModelGroup| g.conf.voters.len() > 2 && !self.commits_without(*broker, g);
            let losses = led.iter().filter(waits).count() as u32;
            if losses > 0 {
                node.quorum_losses.insert(*broker, losses);
            }
            let needs = |g: &&&ModelGroup| {
                let halves = [&g.conf.voters, &g.conf.outgoing].into_iter();
                halves.filter(|half| half.len() <= 2).flatten().any(|p| broker_of(*p) == *broker)
            };
            let needed = led.iter().filter(needs).count() as u32;
            if needed > 0 {
                node.needed.insert(*broker, needed);
            }
        }
        let mut add = |topic: &str, partition, group: &ModelGroup| {
            if self.leads(id, group) {
                node.groups.push(self.describe_group(topic, partition, group));
            }
        };
        add(META_TOPIC, 0, &cluster.meta);
        for ((topic, partition), group) in cluster.data.iter().filter(|(_, g)| g.is_off_target()) {
            add(topic, *partition, group);
        }
        if cluster.meta.leader.is_some_and(|l| broker_of(l) == id) {
            node.meta = Some(cluster.image());
        }
        node
    }

    fn leads(&self, id: BrokerId, group: &ModelGroup) -> bool {
        group.leader.is_some_and(|l| broker_of(l) == id && self.is_alive(l))
    }

    fn commits_without(&self, broker: BrokerId, group: &ModelGroup) -> bool {
        Self::majority(&group.conf, |p| {
            broker_of(p) != broker && self.is_alive(p) && group.percent.get(&p) == Some(&100)
        })
    }

    fn describe_group(&self, topic: &str, partition: u32, group: &ModelGroup) -> Group {
        let leader = group.leader.expect("only groups with a leader are described");
        let progress = |peer: PeerId| {
            let percent = group.percent.get(&peer).copied().unwrap_or(0);
            let active = self.is_alive(peer);
            (
                peer,
                Progress {
                    matched: u64::from(percent),
                    active,
                    caught_up: percent == 100,
                    percent,
                },
            )
        };
        Group {
            topic: topic.into(),
            partition,
            leader,
            term: group.term,
            conf: group.conf.clone(),
            conf_index: group.conf_index,
            target: group.target.clone(),
            progress: group.conf.members().filter(|p| *p != leader).map(progress).collect(),
        }
    }
}

/// The cluster's own topics have three replicas, or as many as there are brokers.
pub(crate) fn is_internal(topic: &str) -> bool {
    topic.starts_with("__")
}

impl ModelGroup {
    pub(crate) fn is_off_target(&self) -> bool {
        self.conf.is_joint() || !self.conf.learners.is_empty() || self.conf.voters != self.target
    }

    pub(crate) fn leave_joint(&mut self) {
        self.conf.outgoing.clear();
        let next = std::mem::take(&mut self.conf.learners_next);
        self.conf.learners.extend(next);
        self.conf_index += 1;
        let members: BTreeSet<PeerId> = self.conf.members().collect();
        self.percent.retain(|p, _| members.contains(p));
    }
}

impl Cluster {
    pub(crate) fn groups(&self) -> impl Iterator<Item = &ModelGroup> {
        self.data.values().chain([&self.meta])
    }

    pub(crate) fn groups_mut(&mut self) -> impl Iterator<Item = &mut ModelGroup> {
        self.data.values_mut().chain([&mut self.meta])
    }

    pub(crate) fn peer(&mut self, broker: BrokerId) -> PeerId {
        self.index += 1;
        self.index << 20 | PeerId::from(broker)
    }

    /// A registration: a new broker, or a new life of a known one.
    pub(crate) fn adopt(
        &mut self,
        id: BrokerId,
        directory: &str,
        lives: &mut BTreeMap<PeerId, String>,
    ) {
        let meta_peer = self.peer(id);
        lives.insert(meta_peer, directory.into());
        let cordoned = self.brokers.get(&id).is_some_and(|m| m.cordoned);
        let directory = directory.to_string();
        for group in self.data.values_mut() {
            if let Some(old) = group.target.iter().copied().find(|p| broker_of(*p) == id) {
                group.target.remove(&old);
                group.target.insert(meta_peer);
            }
        }
        let member = Member {
            directory,
            meta_peer,
            cordoned,
            fenced: false,
            told_rack: None,
            advertised: None,
            replicas: 0,
        };
        self.brokers.insert(id, member);
        self.count();
    }

    pub(crate) fn count(&mut self) {
        for (id, member) in &mut self.brokers {
            let on = |g: &&ModelGroup| {
                g.conf.members().chain(g.target.iter().copied()).any(|p| broker_of(p) == *id)
            };
            member.replicas = self.data.values().filter(on).count() as u32;
        }
    }

    pub(crate) fn image(&self) -> Meta {
        let of_users = self.data.iter().filter(|((topic, _), _)| !is_internal(topic));
        let largest = of_users.max_by_key(|(_, g)| g.target.len());
        Meta {
            applied: self.index,
            open: self.open,
            brokers: self.brokers.clone(),
            partitions: self.data.len() as u32,
            off_target: self.data.values().filter(|g| g.is_off_target()).count() as u32,
            largest: largest.map(|((topic, _), g)| (topic.clone(), g.target.len() as u32)),
            catch_up_rate: self.catch_up_rate,
        }
    }
}

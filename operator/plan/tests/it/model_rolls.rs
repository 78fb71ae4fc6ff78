//! What the model's brokers run: revisions of image and settings, some of which never come up, and
//! what a restart may not do.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::{BrokerId, Revision, broker_of};

use crate::model::World;

#[derive(Default)]
pub(crate) struct Revisions {
    /// What the manifest asks for.
    pub(crate) wanted: u64,
    /// Revisions that never come up.
    pub(crate) bad: BTreeSet<u64>,
    /// What each broker would come back as.
    pub(crate) template: BTreeMap<BrokerId, u64>,
    /// What each broker runs.
    pub(crate) runs: BTreeMap<BrokerId, u64>,
    /// For how many looks each broker has been ready; a look is ten seconds.
    pub(crate) ready: BTreeMap<BrokerId, u32>,
    /// Brokers that are being started, or try to in vain.
    pub(crate) idle: BTreeSet<BrokerId>,
}

impl Revisions {
    pub(crate) fn of(&self, id: BrokerId) -> Revision {
        match (self.template.get(&id), self.runs.get(&id)) {
            (Some(template), _) if *template != self.wanted => Revision::Due,
            (Some(template), Some(runs)) if runs != template => Revision::Begun,
            _ => Revision::Current,
        }
    }

    /// One more look at a broker.
    pub(crate) fn ready_for_s(&mut self, id: BrokerId, serves: bool) -> Option<u32> {
        if !serves {
            self.ready.remove(&id);
            return None;
        }
        let looks = self.ready.entry(id).or_insert(0);
        *looks += 1;
        Some((*looks - 1) * 10)
    }

    pub(crate) fn started(&mut self, id: BrokerId) {
        let wanted = self.wanted;
        let template = *self.template.entry(id).or_insert(wanted);
        self.runs.insert(id, template);
        self.ready.remove(&id);
    }

    pub(crate) fn is_bad(&self, id: BrokerId) -> bool {
        self.runs.get(&id).is_some_and(|revision| self.bad.contains(revision))
    }
}

impl World {
    /// The platform's half of an update: first what it would come back as, then the restart.
    pub(crate) fn update(&mut self, id: BrokerId) -> bool {
        if self.revisions.of(id) == Revision::Due {
            self.revisions.template.insert(id, self.revisions.wanted);
            return true;
        }
        if self.revisions.of(id) == Revision::Current {
            return false;
        }
        if self.running.contains(&id) {
            self.assert_can_stop(id);
            self.running.remove(&id);
        }
        self.revisions.started(id);
        self.revisions.idle.insert(id);
        true
    }

    /// Whoever was being started is there now, unless what it runs never comes up.
    pub(crate) fn start_idle(&mut self) {
        for id in std::mem::take(&mut self.revisions.idle) {
            if self.revisions.is_bad(id) {
                self.revisions.idle.insert(id);
            } else if self.lost.contains(&id) {
                // Its pod has no node.
            } else if self.disks.contains_key(&id) {
                self.running.insert(id);
            }
        }
    }

    fn assert_can_stop(&self, id: BrokerId) {
        let cluster =
            self.cluster.as_ref().expect("a broker that serves is restarted in a cluster");
        for group in cluster.groups().filter(|g| g.conf.voters.len() > 2) {
            let stays = |p| broker_of(p) != id && self.is_alive(p) && group.percent[&p] == 100;
            assert!(Self::majority(&group.conf, stays), "a restart of {id} stops {:?}", group.conf);
        }
        for other in cluster.brokers.keys().filter(|other| **other != id) {
            assert!(self.running.contains(other), "{id} is restarted while {other} is down");
        }
    }
}

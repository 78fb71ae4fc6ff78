//! The platform under the operator, as Kubernetes is: a broker that is told to end comes back by
//! itself, as what its template says then; one whose node is gone with its disk does not come back
//! before the disk is given up. What takes a broker away is judged here.

use chronik_core::core::Core;
use chronik_core::core::input::Input;
use chronik_core::ids::BrokerId;
use chronik_core::log::mem_disk::MemDisk;
use chronik_plan::{Process, Revision};

use crate::node::{Death, Node};
use crate::world::World;

/// What came of a step that the platform does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// It cannot be done yet; a later pass does it, if it is still wanted then.
    Later,
}

impl World {
    /// What the platform shows of a broker.
    pub(super) fn process(&self, id: BrokerId, node: &Node) -> Process {
        let gone = self.operator.gone.contains(&id);
        let serves = node.core.is_some();
        // Between the end of a process and its next start the platform still has it.
        let running = serves || node.ending || gone;
        Process {
            running,
            volume: node.volume || gone,
            revision: self.revision(node),
            ending: node.ending,
            idle: running && !serves,
            stuck: gone,
            lost: gone,
            ready_for_s: None,
        }
    }

    fn revision(&self, node: &Node) -> Revision {
        if node.template != self.operator.wanted {
            Revision::Due
        } else if node.core.is_some() && node.runs != node.template {
            Revision::Begun
        } else {
            Revision::Current
        }
    }

    /// Starts a broker that the platform does not have.
    pub(super) fn bring_up(&mut self, id: BrokerId) -> Outcome {
        self.operator.stopped.remove(&id);
        let wanted = self.operator.wanted;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.template = wanted;
        }
        self.start(id);
        Outcome::Done
    }

    /// Takes a broker away for good.
    pub(super) fn take_down(&mut self, id: BrokerId) -> Outcome {
        self.judge_end(id);
        self.operator.stopped.insert(id);
        self.operator.gone.remove(&id);
        self.stop(id, Death::Killed);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.ending = false;
        }
        Outcome::Done
    }

    pub(super) fn delete_volume(&mut self, id: BrokerId) -> Outcome {
        self.judge_end(id);
        self.coverage.count("volumes deleted");
        self.stop(id, Death::Killed);
        self.lose_disk(id);
        Outcome::Done
    }

    /// A restart with what is wanted: first what the broker would come back as, then its end.
    pub(super) fn update(&mut self, id: BrokerId) -> Outcome {
        let wanted = self.operator.wanted;
        let Some(node) = self.nodes.get_mut(&id) else { return Outcome::Later };
        if node.template != wanted {
            node.template = wanted;
            return Outcome::Done;
        }
        if node.core.is_none() || node.ending || node.runs == wanted {
            return Outcome::Later;
        }
        self.judge_restart(id);
        self.node(id).ending = true;
        self.coverage.count("rolling restarts");
        self.input(id, Input::Shutdown);
        Outcome::Done
    }

    /// Gives up the disk of a broker whose node is gone; it gets another node, and an empty disk.
    pub(super) fn replace(&mut self, id: BrokerId) -> Outcome {
        if !self.operator.gone.remove(&id) {
            return Outcome::Later;
        }
        self.coverage.count("lost volumes given up");
        self.start(id);
        Outcome::Done
    }

    /// A process has ended as it was told to.
    pub(crate) fn drained(&mut self, id: BrokerId) {
        if self.node(id).ending {
            let after = self.chance.platform.range(50_000, 1_500_000);
            self.later(after, crate::event::Event::Start(id));
        }
    }

    /// A node is gone, with the disk of the broker on it.
    pub(crate) fn lose_node(&mut self, id: BrokerId) {
        self.note(&format!("the node of {id:?} is gone"));
        self.stop(id, Death::PowerLost);
        self.lose_disk(id);
        self.node(id).ending = false;
        self.operator.lost = Some(id);
        self.operator.gone.insert(id);
    }

    /// All brokers are wanted to run something newer.
    pub(crate) fn roll(&mut self) {
        if self.calm_since.is_none() {
            self.want_newer();
        }
    }

    pub(crate) fn want_newer(&mut self) {
        self.operator.wanted += 1;
        self.note(&format!("revision {} is wanted", self.operator.wanted));
    }

    /// A broker that does not run what is wanted, or a volume that is not to be there any more.
    pub(crate) fn left_behind(&self) -> Option<String> {
        let wanted = self.operator.wanted;
        let is_left = |id: &&BrokerId| self.nodes.get(id).is_some_and(|node| node.volume);
        if self.options.deletes_volumes
            && let Some(id) = self.operator.stopped.iter().find(is_left)
        {
            return Some(format!("the volume of {id:?} is not deleted"));
        }
        let mut running = self.nodes.iter().filter(|(_, node)| node.core.is_some());
        let (id, node) =
            running.find(|(_, node)| (node.runs, node.template) != (wanted, wanted))?;
        Some(format!("{id:?} runs revision {}, and {wanted} is wanted", node.runs))
    }

    /// A broker is to end for good: it is no member, and nobody counts on it.
    fn judge_end(&mut self, id: BrokerId) {
        let judged = self.checks.ends_for_good(id, self.newest());
        self.judge(judged);
    }

    /// Whoever has the latest image of the cluster.
    fn newest(&self) -> Option<&Core<MemDisk>> {
        let cores = self.nodes.values().filter_map(|node| node.core.as_ref());
        cores.max_by_key(|core| core.image().0)
    }

    /// A broker is to empty its disk.
    pub(crate) fn judge_wipe(&mut self, id: BrokerId) {
        let directory = self.node(id).directory;
        let judged = self.checks.wipes(id, directory);
        self.judge(judged);
    }

    /// A broker that serves is to be restarted. The plan cannot know what has happened since it looked.
    fn judge_restart(&mut self, id: BrokerId) {
        let since = self.operator.looked;
        if self.nodes.values().any(|node| node.core.is_none() && node.ended >= since) {
            return;
        }
        let up = |other: BrokerId| {
            self.nodes.get(&other).is_some_and(|node| node.core.is_some() && !node.ending)
        };
        let judged = self.checks.restarts(id, up, self.newest());
        self.judge(judged);
    }
}

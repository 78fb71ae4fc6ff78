//! What goes wrong, and when; and the end of it. A disk is lost only where the cluster promises to
//! survive that: while everything is whole, and one at a time.

use chronik_core::core::input::Input;
use chronik_core::ids::BrokerId;

use crate::event::Event;
use crate::node::{Death, FREE_BYTES_MIN};
use crate::options::FaultKind;
use crate::world::World;

const SECOND: u64 = 1_000_000;

impl World {
    pub(crate) fn next_fault(&mut self) {
        if self.calm_since.is_some() {
            return;
        }
        let gap = self.chance.faults.range(50_000, self.options.fault_gap_max);
        self.later(gap, Event::Fault);
        let total: u64 = self.options.faults.iter().map(|(_, weight)| weight).sum();
        let mut draw = self.chance.faults.range(1, total.max(1));
        let kind = self.options.faults.iter().find_map(|(kind, weight)| {
            let hit = draw <= *weight;
            draw = draw.saturating_sub(*weight);
            hit.then_some(*kind)
        });
        let running = self.running();
        let victim = self.chance.faults.pick(&running).copied();
        if let (Some(kind), Some(victim)) = (kind, victim) {
            self.inject(kind, victim, &running);
        }
    }

    fn inject(&mut self, kind: FaultKind, victim: BrokerId, running: &[BrokerId]) {
        if kind == FaultKind::LoseDisk && !self.may_lose_a_disk() {
            return;
        }
        self.coverage.count(kind.name());
        self.note(&format!("fault {} at {victim:?}", kind.name()));
        let lasts = self.chance.faults.skewed(100_000, 8 * SECOND);
        match kind {
            FaultKind::Kill => self.fell(victim, Death::Killed, lasts),
            FaultKind::PowerLoss => self.fell(victim, Death::PowerLost, lasts),
            FaultKind::Blackout => {
                for id in running {
                    let lasts = self.chance.faults.skewed(100_000, 4 * SECOND);
                    self.fell(*id, Death::PowerLost, lasts);
                }
            }
            FaultKind::Pause => {
                let until = self.now + lasts.min(5 * SECOND);
                self.node(victim).paused_until = until;
                self.queue.at(until, Event::Resume(victim));
            }
            FaultKind::Shutdown => {
                self.input(victim, Input::Shutdown);
                self.later(11 * SECOND + lasts, Event::Start(victim));
            }
            FaultKind::Partition => self.partition(lasts),
            FaultKind::OneWay => {
                let other = self.chance.faults.pick(running).copied();
                if let Some(other) = other.filter(|other| *other != victim) {
                    self.cut(vec![(victim, other)], lasts);
                }
            }
            FaultKind::Break => {
                let other = self.chance.faults.pick(running).copied();
                if let Some(other) = other.filter(|other| *other != victim) {
                    self.break_stream(victim, other, 20_000);
                }
            }
            FaultKind::ClockStep => {
                let step = self.chance.faults.range(0, 7_200_000);
                self.node(victim).wall_offset_ms = i64::try_from(step).unwrap_or(0) - 3_600_000;
            }
            FaultKind::DiskFull => {
                self.node(victim).disk.set_capacity(None);
                let room = self.chance.faults.range(FREE_BYTES_MIN / 2, FREE_BYTES_MIN + 65_536);
                self.fill_disk(victim, room);
                self.later(lasts, Event::Space(victim));
            }
            FaultKind::LoseDisk => {
                self.fell(victim, Death::PowerLost, lasts);
                self.lose_disk(victim);
                self.operator.lost = Some(victim);
            }
        }
    }

    fn fell(&mut self, id: BrokerId, death: Death, back_after: u64) {
        self.stop(id, death);
        self.later(back_after, Event::Start(id));
    }

    fn partition(&mut self, lasts: u64) {
        let nodes: Vec<BrokerId> = self.nodes.keys().copied().collect();
        let (here, there): (Vec<_>, Vec<_>) =
            nodes.into_iter().partition(|_| self.chance.faults.chance(500_000));
        let links = here.iter().flat_map(|a| there.iter().flat_map(|b| [(*a, *b), (*b, *a)]));
        let links: Vec<_> = links.collect();
        self.cut(links, lasts);
    }

    fn fill_disk(&mut self, id: BrokerId, room: u64) {
        use chronik_core::log::disk::Disk;
        let disk = &self.node(id).disk;
        let paths = disk.paths();
        let mut used = 0;
        for path in paths {
            if let Ok(file) = disk.open(&path, false) {
                used += disk.len(file).unwrap_or(0);
                disk.close(file);
            }
        }
        disk.set_capacity(Some(used + room));
    }

    pub(crate) fn space(&mut self, id: BrokerId) {
        if let Some(node) = self.nodes.get(&id) {
            node.disk.set_capacity(None);
            self.note(&format!("{id:?} has space again"));
        }
    }

    pub(crate) fn resize(&mut self, size: u32) {
        if self.calm_since.is_none() {
            self.note(&format!("{size} brokers are wanted"));
            let before = self.operator.desired.brokers;
            self.coverage.count(if size > before { "grown" } else { "shrunk" });
            self.operator.desired.brokers = size;
        }
    }

    /// Nothing goes wrong from here on.
    pub(crate) fn calm(&mut self) {
        self.note("all is calm");
        self.calm_since = Some(self.now);
        self.heal_all();
        let ids: Vec<BrokerId> = self.nodes.keys().copied().collect();
        for id in ids {
            self.space(id);
            let node = self.node(id);
            node.paused_until = 0;
            if let Some(at) = node.wakes_at.filter(|at| *at > self.now) {
                // It was to wake when its pause ended.
                let now = self.now;
                let _ = at;
                self.node(id).wakes_at = Some(now);
                self.queue.at(now, Event::Wake(id));
            }
            let down = !self.runs(id) && self.nodes[&id].volume;
            if down && self.operator.may_revive(id) {
                self.start(id);
            }
        }
    }
}

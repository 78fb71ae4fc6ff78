//! What goes wrong, and when; and the end of it. A disk is lost or damaged only where the cluster
//! promises to survive that, and one at a time.

use chronik_core::core::input::Input;
use chronik_core::ids::BrokerId;
use chronik_core::log::disk::Disk;

use crate::event::{Event, Life};
use crate::net::{Hindrance, Said};
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
        if !self.may_happen(kind, victim) {
            return;
        }
        self.coverage.count(kind.name());
        self.note(&format!("fault {} at {victim:?}", kind.name()));
        let lasts = self.chance.faults.skewed(100_000, 8 * SECOND);
        match kind {
            FaultKind::Kill => self.fell_somewhere(victim, Death::Killed, lasts),
            FaultKind::PowerLoss => self.fell_somewhere(victim, Death::PowerLost, lasts),
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
            FaultKind::LoseDisk if self.chance.platform.chance(self.options.nodes_go) => {
                self.lose_node(victim);
            }
            FaultKind::LoseDisk => {
                self.fell(victim, Death::PowerLost, lasts);
                self.lose_disk(victim);
                self.operator.lost = Some(victim);
            }
            FaultKind::Rot => {
                self.rot(victim);
                if self.chance.faults.chance(500_000) {
                    self.fell(victim, Death::Killed, lasts);
                }
            }
            FaultKind::KillInRecovery => {
                let writes = self.chance.faults.skewed(0, 40);
                self.node(victim).dies_after = u32::try_from(writes).ok();
                let lost = self.chance.faults.chance(500_000);
                let death = if lost { Death::PowerLost } else { Death::Killed };
                self.fell(victim, death, lasts.min(2 * SECOND));
            }
            FaultKind::Partition => self.partition(lasts),
            FaultKind::OneWay | FaultKind::Break | FaultKind::Clog | FaultKind::Mute => {
                let other = self.chance.faults.pick(running).copied();
                if let Some(other) = other.filter(|other| *other != victim) {
                    self.inject_on_link(kind, victim, other, lasts);
                }
            }
        }
    }

    fn inject_on_link(&mut self, kind: FaultKind, from: BrokerId, to: BrokerId, lasts: u64) {
        if kind == FaultKind::OneWay {
            self.cut(vec![(from, to)], lasts);
        } else if kind == FaultKind::Break {
            self.break_stream(from, to, 20_000);
        } else if kind == FaultKind::Clog {
            let most = self.chance.faults.range(50_000, SECOND);
            self.hinder(from, to, Hindrance::Slow(most), lasts);
        } else if let Some(said) = self.chance.faults.pick(&Said::ALL).copied() {
            self.hinder(from, to, Hindrance::Mute(said), lasts);
        }
    }

    /// Whether the cluster promises to survive it now. Never are two disks lost or damaged: what
    /// happened to one of them the others have to make good.
    fn may_happen(&self, kind: FaultKind, victim: BrokerId) -> bool {
        let others_are_sound = self.checks.damaged().all(|damaged| damaged == victim);
        if kind == FaultKind::LoseDisk {
            return others_are_sound && self.may_lose_a_disk();
        }
        kind != FaultKind::Rot || (others_are_sound && self.may_damage_a_disk())
    }

    /// A process is killed while it reads its logs back, or right after.
    pub(crate) fn die_in_recovery(&mut self, id: BrokerId) {
        self.note(&format!("{id:?} dies in its recovery"));
        self.coverage.count("deaths in recovery");
        let disk = self.node(id).disk.clone();
        disk.fail_writes_after(None);
        if self.chance.faults.chance(500_000) {
            let survives = self.chance.faults.range(0, SECOND);
            disk.crash(|| self.chance.faults.chance(survives));
            self.checks.unsynced_lost(self.now);
        } else {
            disk.kill();
        }
        let after = self.chance.faults.skewed(10_000, SECOND);
        self.later(after, Event::Start(id));
    }

    /// Flips bits on the disk of a broker. Whether anybody ever reads them is another matter. The end
    /// of its log is spared for as long as nothing on the disk says that it was synced: there a
    /// flipped bit is what a power loss may leave behind, and no log can tell the two apart.
    fn rot(&mut self, id: BrokerId) {
        let disk = self.node(id).disk.clone();
        for _ in 0..self.chance.faults.range(1, 3) {
            let Some(path) = self.chance.faults.pick(&disk.paths()).cloned() else { return };
            let Ok(file) = disk.open(&path, false) else { return };
            let len = disk.len(file).unwrap_or(0);
            disk.close(file);
            let at = self.chance.faults.range(0, len.saturating_sub(1));
            if self.is_unvouched(id, &path, at) {
                self.coverage.count("bits not flipped at the end of a log");
                continue;
            }
            if disk.flip(&path, usize::try_from(at).unwrap_or(0)) {
                self.note(&format!("{id:?}: a bit of byte {at} of {path} flips"));
                self.coverage.count("bits flipped");
                self.checks.disk_damaged(id);
            }
        }
    }

    fn is_unvouched(&self, id: BrokerId, path: &str, at: u64) -> bool {
        let name = path.strip_prefix("wal/").and_then(|name| name.strip_suffix(".wal"));
        let seq = name.and_then(|seq| seq.parse::<u64>().ok());
        let core = self.nodes.get(&id).and_then(|node| node.core.as_ref());
        seq.zip(core).is_some_and(|(seq, core)| core.unvouched().contains(&(seq, at)))
    }

    /// Whether the cluster promises to survive damage on one disk from now on.
    fn may_damage_a_disk(&self) -> bool {
        self.operator.lost.is_none()
            && self.clients.topics_are_replicated()
            && self.checks.groups_have_spares()
    }

    /// What the broker tells whoever reads its log to do: to remove the directory and start it again.
    pub(crate) fn wipe_damaged(&mut self, id: BrokerId) {
        self.coverage.count("damaged brokers wiped");
        self.stop(id, Death::Killed);
        self.lose_disk(id);
        self.operator.lost = Some(id);
        self.later(SECOND, Event::Start(id));
    }

    /// A process ends now, or in the middle of its next sync.
    fn fell_somewhere(&mut self, id: BrokerId, death: Death, back_after: u64) {
        if self.chance.faults.chance(500_000) {
            self.node(id).dies_in_sync = Some((death, back_after));
        } else {
            self.fell(id, death, back_after);
        }
    }

    pub(crate) fn dies(&mut self, id: BrokerId, life: Life, death: Death, back_after: u64) {
        let lives = self.nodes.get(&id).is_some_and(|n| n.life == life && n.core.is_some());
        if lives && self.calm_since.is_none() {
            self.coverage.count("deaths in a sync");
            self.node(id).syncs_slowly = true;
            self.fell(id, death, back_after);
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

    pub(crate) fn limit_catching_up(&mut self, bytes_per_second: u64) {
        if self.calm_since.is_none() {
            self.note(&format!("replicas are to catch up at {bytes_per_second} bytes a second"));
            self.coverage.count("catch-up rates wanted");
            self.operator.desired.catch_up_rate = Some(bytes_per_second);
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
            node.dies_in_sync = None;
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

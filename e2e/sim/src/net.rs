//! The network between brokers: one ordered stream for each direction of each pair. Frames of a
//! stream arrive in their order and are lost only with the stream, of which the first ones may
//! still arrive; a cut link holds them back until it heals or the stream is given up.

mod hindrance;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use chronik_core::core::input::Input;
use chronik_core::ids::BrokerId;

use crate::event::{End, Event, StreamId};
use crate::node::{Death, notice_max};
use crate::world::World;

pub(crate) use hindrance::joined;
use hindrance::{Hindered, has_snapshot};
pub(crate) use hindrance::{Hindrance, Said};

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Net {
    streams: BTreeMap<(BrokerId, BrokerId), Stream>,
    /// Links that carry nothing, and by how many partitions.
    cut: BTreeMap<(BrokerId, BrokerId), u32>,
    stuck: BTreeSet<StreamId>,
    hindered: BTreeMap<u64, Hindered>,
    hindrances: u64,
}

#[derive(Debug, Default)]
struct Stream {
    number: u64,
    open: bool,
    /// The sender has not been told of the break.
    ending: bool,
    arrives: u64,
    /// Under way, oldest first, with the time of arrival.
    under_way: VecDeque<(u64, Bytes)>,
}

impl Net {
    fn is_cut(&self, from: BrokerId, to: BrokerId) -> bool {
        self.cut.contains_key(&(from, to))
    }

    fn is_open(&self, id: StreamId) -> bool {
        self.streams.get(&(id.from, id.to)).is_some_and(|s| s.open && s.number == id.number)
    }
}

impl World {
    pub(crate) fn dial(&mut self, from: BrokerId, to: BrokerId) {
        let Some(dialler) = self.nodes.get(&from) else { return };
        let Some(core) = &dialler.core else { return };
        let stream = self.net.streams.entry((from, to)).or_default();
        if stream.open || stream.ending || !dialler.peers.contains(&to) {
            return;
        }
        let mut hello = core.hello();
        let now = self.now;
        let answers =
            self.nodes.get(&to).is_some_and(|n| n.core.is_some() && n.paused_until <= now);
        let cut = self.net.is_cut(from, to) || self.net.is_cut(to, from);
        if cut || !answers || dialler.paused_until > now {
            let again = self.chance.net.range(50_000, 400_000);
            return self.later(again, Event::Dial(from, to));
        }
        let stream = self.net.streams.entry((from, to)).or_default();
        stream.number += 1;
        stream.open = true;
        stream.arrives = now;
        let number = stream.number;
        hello.stream = number;
        self.note(&format!("stream {from:?} -> {to:?} opens"));
        self.input(to, Input::PeerConnected(hello));
        self.input(from, Input::PeerReachable { to, stream: Some(number) });
    }

    pub(crate) fn send(&mut self, from: BrokerId, to: BrokerId, frame: Bytes) {
        let hostile = self.calm_since.is_none();
        let breaks = hostile && self.chance.net.chance(self.options.net_break);
        if hostile && self.chance.net.chance(self.options.net_calls) {
            self.call_besides(from, to, &frame);
        }
        let longer = self.hindered_for(from, to);
        let Some(stream) = self.net.streams.get_mut(&(from, to)).filter(|s| s.open) else { return };
        let id = StreamId { from, to, number: stream.number };
        self.trace.absorb(&frame);
        let snapshot = hostile && self.options.snapshot_loss > 0 && has_snapshot(&frame);
        let delay = self.chance.net.skewed(100, self.options.net_delay_max) + longer;
        stream.arrives = stream.arrives.max(self.now + delay);
        let at = stream.arrives;
        stream.under_way.push_back((at, frame));
        self.queue.at(at, Event::Frame(id));
        if breaks {
            self.break_stream(from, to, 20_000);
        }
        if snapshot && self.chance.net.chance(self.options.snapshot_loss) {
            self.lose_snapshot(from, to);
        }
    }

    /// A stream with a snapshot on it ends, and nothing arrives of what is under way.
    fn lose_snapshot(&mut self, from: BrokerId, to: BrokerId) {
        let Some(stream) = self.net.streams.get_mut(&(from, to)).filter(|s| s.open) else { return };
        stream.under_way.clear();
        self.coverage.count("snapshots lost");
        self.break_stream(from, to, 20_000);
    }

    /// What has arrived by now; nothing does over a link that is cut.
    pub(crate) fn frames(&mut self, id: StreamId) {
        if !self.net.is_open(id) {
            return;
        }
        if self.net.is_cut(id.from, id.to) {
            if self.net.stuck.insert(id) {
                let patience = self.chance.net.range(500_000, 4_000_000);
                self.later(patience, Event::Stuck(id));
            }
            return;
        }
        let now = self.now;
        while let Some(stream) = self.net.streams.get_mut(&(id.from, id.to)) {
            if stream.under_way.front().is_none_or(|(at, _)| *at > now) {
                break;
            }
            let Some((_, frame)) = stream.under_way.pop_front() else { break };
            if let Some(frame) = self.heard(id.from, id.to, frame) {
                self.input(id.to, Input::PeerFrame { from: id.from, frame });
            }
        }
    }

    pub(crate) fn stuck(&mut self, id: StreamId) {
        if self.net.stuck.remove(&id) && self.net.is_open(id) && self.net.is_cut(id.from, id.to) {
            self.break_stream(id.from, id.to, 50_000);
        }
    }

    /// Ends a stream; both ends learn of it within `notice` microseconds.
    pub(crate) fn break_stream(&mut self, from: BrokerId, to: BrokerId, notice: u64) {
        let Some(stream) = self.net.streams.get_mut(&(from, to)).filter(|s| s.open) else { return };
        stream.open = false;
        stream.ending = true;
        let id = StreamId { from, to, number: stream.number };
        let under_way = std::mem::take(&mut stream.under_way);
        if !self.net.is_cut(from, to) {
            // The first ones had arrived already, though nobody has looked at them yet.
            let arrived = self.chance.net.skewed(0, under_way.len() as u64);
            for (_, frame) in under_way.into_iter().take(usize::try_from(arrived).unwrap_or(0)) {
                if let Some(frame) = self.heard(from, to, frame) {
                    self.input(to, Input::PeerFrame { from, frame });
                }
            }
        }
        self.coverage.count("stream breaks");
        self.note(&format!("stream {from:?} -> {to:?} breaks"));
        for end in [End::Sender, End::Receiver] {
            let after = self.chance.net.range(0, notice);
            self.later(after, Event::Broken(id, end));
        }
    }

    pub(crate) fn stream_broken(&mut self, id: StreamId, end: End) {
        let Some(stream) = self.net.streams.get_mut(&(id.from, id.to)) else { return };
        if stream.number != id.number {
            return;
        }
        match end {
            End::Sender => {
                stream.ending = false;
                self.input(id.from, Input::PeerReachable { to: id.to, stream: None });
                self.later(1_000, Event::Dial(id.from, id.to));
            }
            End::Receiver => self.input(id.to, Input::PeerGone { from: id.from }),
        }
    }

    /// A process ended: its streams in both directions are gone at once, and the others learn of it.
    pub(crate) fn cut_streams_of(&mut self, id: BrokerId, death: Death) {
        let pairs: Vec<_> = self.net.streams.keys().copied().collect();
        for (from, to) in pairs.into_iter().filter(|(from, to)| *from == id || *to == id) {
            self.break_stream(from, to, notice_max(death).0);
            // A new process knows nothing of the old one's stream.
            if from == id
                && let Some(stream) = self.net.streams.get_mut(&(from, to))
            {
                stream.ending = false;
            }
        }
    }

    /// Cuts links for a while.
    pub(crate) fn cut(&mut self, links: Vec<(BrokerId, BrokerId)>, lasts: u64) {
        for link in &links {
            *self.net.cut.entry(*link).or_default() += 1;
        }
        self.later(lasts, Event::Heal(links));
    }

    pub(crate) fn heal(&mut self, links: &[(BrokerId, BrokerId)]) {
        self.note(&format!("{} links heal", links.len()));
        for (from, to) in links.iter().copied() {
            let Some(cuts) = self.net.cut.get_mut(&(from, to)) else { continue };
            *cuts -= 1;
            if *cuts > 0 {
                continue;
            }
            self.net.cut.remove(&(from, to));
            let Some(stream) = self.net.streams.get(&(from, to)) else { continue };
            let id = StreamId { from, to, number: stream.number };
            self.net.stuck.remove(&id);
            self.later(0, Event::Frame(id));
        }
    }

    /// Heals everything at once.
    pub(crate) fn heal_all(&mut self) {
        self.net.hindered.clear();
        let links: Vec<_> = self.net.cut.keys().copied().collect();
        for link in links {
            self.net.cut.insert(link, 1);
            self.heal(&[link]);
        }
    }
}

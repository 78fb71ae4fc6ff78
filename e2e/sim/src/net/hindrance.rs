//! What goes wrong on links that carry something all the same: slow ones, ones that lose one kind of
//! message, and raft messages that arrive by a call of their own, late, twice, or out of order.

use bytes::{Bytes, BytesMut};
use chronik_core::core::input::Input;
use chronik_core::ids::{BrokerId, PartitionId};
use chronik_core::raft::envelope::{self, Frame, FrameBuilder, Section};
use raft::eraftpb::{Message, MessageType};

use crate::event::{Call, Event};
use crate::world::World;

/// A kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Entries and their acknowledgements.
    Appends,
    /// Heartbeats and their answers.
    Heartbeats,
    /// All that elections need.
    Votes,
    /// Snapshots.
    Snapshots,
    /// What brokers say to each other beside raft.
    Brokers,
}

impl Said {
    pub(crate) const ALL: [Said; 5] =
        [Said::Appends, Said::Heartbeats, Said::Votes, Said::Snapshots, Said::Brokers];

    fn of(message: &Message) -> Said {
        match message.get_msg_type() {
            MessageType::MsgHeartbeat | MessageType::MsgHeartbeatResponse => Said::Heartbeats,
            MessageType::MsgRequestVote
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgRequestPreVote
            | MessageType::MsgRequestPreVoteResponse
            | MessageType::MsgTimeoutNow => Said::Votes,
            MessageType::MsgSnapshot => Said::Snapshots,
            _ => Said::Appends,
        }
    }
}

/// What is wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// Frames take up to so much longer.
    Slow(u64),
    /// It loses this.
    Mute(Said),
}

/// A link with something wrong.
#[derive(Debug)]
pub(super) struct Hindered {
    from: BrokerId,
    to: BrokerId,
    what: Hindrance,
}

impl World {
    /// Something is wrong with the link from `from` to `to` for a while, or with both directions.
    pub(crate) fn hinder(&mut self, from: BrokerId, to: BrokerId, what: Hindrance, lasts: u64) {
        let both = self.chance.faults.chance(500_000);
        let links = [Some((from, to)), both.then_some((to, from))];
        for (from, to) in links.into_iter().flatten() {
            self.note(&format!("{from:?} -> {to:?}: {what:?}"));
            self.net.hindrances += 1;
            let number = self.net.hindrances;
            self.net.hindered.insert(number, Hindered { from, to, what });
            self.later(lasts, Event::Unhinder(number));
        }
    }

    pub(crate) fn unhinder(&mut self, number: u64) {
        self.net.hindered.remove(&number);
    }

    /// How much longer a frame takes.
    pub(super) fn hindered_for(&mut self, from: BrokerId, to: BrokerId) -> u64 {
        let on_it = self.net.hindered.values().filter(|it| (it.from, it.to) == (from, to));
        let most = on_it.filter_map(|it| match it.what {
            Hindrance::Slow(most) => Some(most),
            Hindrance::Mute(_) => None,
        });
        match most.max() {
            Some(most) => self.chance.net.range(most / 4, most),
            None => 0,
        }
    }

    /// What arrives of a frame.
    pub(super) fn heard(&mut self, from: BrokerId, to: BrokerId, frame: Bytes) -> Option<Bytes> {
        let on_it = self.net.hindered.values().filter(|it| (it.from, it.to) == (from, to));
        let mute = |it: &Hindered| match it.what {
            Hindrance::Mute(said) => Some(said),
            Hindrance::Slow(_) => None,
        };
        let lost: Vec<Said> = on_it.filter_map(mute).collect();
        if lost.is_empty() {
            return Some(frame);
        }
        let Frame { answers, sections } = envelope::decode(frame).ok()?;
        let mut kept = FrameBuilder::new(answers);
        for section in sections {
            let said = match &section {
                Section::Raft { message, .. } => Said::of(message),
                Section::Broker(_) => Said::Brokers,
            };
            if lost.contains(&said) {
                self.coverage.count("messages lost");
                continue;
            }
            match section {
                Section::Raft { group, message, payloads } => {
                    kept.raft(group, &message, payloads).ok()?;
                }
                Section::Broker(bytes) => kept.broker(&bytes),
            }
        }
        Some(joined(&kept.finish()?))
    }

    /// Some of the raft messages in a frame are sent by calls of their own as well: these know
    /// nothing of the stream and its order.
    pub(super) fn call_besides(&mut self, from: BrokerId, to: BrokerId, frame: &Bytes) {
        if self.net.is_cut(from, to) {
            return;
        }
        for section in envelope::decode(frame.clone()).into_iter().flat_map(|it| it.sections) {
            let Section::Raft { group, message, .. } = section else { continue };
            let Some(topic) = self.topic_for_call(from, group) else { continue };
            let Ok(message) = chronik_raft_bridge::encode_raft_message(&message) else { continue };
            let call = Call { topic, partition: group.partition, message: message.into() };
            for _ in 0..self.chance.net.range(0, 2) {
                let delay = self.chance.net.skewed(100, 3_000_000);
                self.later(delay, Event::Call(to, Box::new(call.clone())));
            }
        }
    }

    fn topic_for_call(&self, from: BrokerId, group: PartitionId) -> Option<String> {
        if group.topic == PartitionId::META.topic {
            return Some("__meta".to_owned());
        }
        let (_, image) = self.nodes.get(&from)?.core.as_ref()?.image();
        image.topic(group.topic).map(|topic| format!("{}@{}", topic.name, topic.id))
    }

    pub(crate) fn call_arrives(&mut self, to: BrokerId, call: Call) {
        self.coverage.count("calls of step");
        let Call { topic, partition, message } = call;
        self.input(to, Input::Step { topic, partition, message, token: 0 });
    }
}

/// Whether a snapshot is in a frame.
pub(super) fn has_snapshot(frame: &Bytes) -> bool {
    envelope::decode(frame.clone()).into_iter().flat_map(|it| it.sections).any(
        |section| matches!(section, Section::Raft { message, .. } if Said::of(&message) == Said::Snapshots),
    )
}

/// A frame's parts as one.
pub(crate) fn joined(parts: &[Bytes]) -> Bytes {
    let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| joined.extend_from_slice(part));
    joined.freeze()
}

//! What is to be sent to each peer at the end of a round: one frame each, whatever the number of
//! groups that speak.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::eraftpb::Message;

use super::envelope::FrameBuilder;
use super::throttle::Throttle;
use crate::ids::{BrokerId, PartitionId, PeerId};

/// Frames in the making, by peer.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: BTreeMap<BrokerId, Vec<FrameBuilder>>,
    /// The newest stream that each peer has opened to us.
    heard: BTreeMap<BrokerId, u64>,
    /// What may be sent to replicas that are catching up.
    pub throttle: Throttle,
}

/// A frame is closed at this size; the transport's limit is four times as large.
const FRAME_BYTES_MAX: usize = 8 << 20;

impl Outbox {
    /// Adds a Raft message for the broker that its receiver lives on.
    pub fn raft(&mut self, group: PartitionId, message: &Message, payloads: Vec<Bytes>) {
        let frame = self.frame(PeerId(message.to).broker());
        if let Err(error) = frame.raft(group, message, payloads) {
            // Encoding into memory fails only on a message that no Raft makes; losing it is legal.
            tracing::error!(%group, %error, "a raft message could not be encoded");
        }
    }

    /// Adds a broker's own message.
    pub fn broker(&mut self, to: BrokerId, message: &[u8]) {
        self.frame(to).broker(message);
    }

    /// All frames, in the order in which they are to be sent.
    pub fn take(&mut self) -> impl Iterator<Item = (BrokerId, Vec<Bytes>)> + use<> {
        std::mem::take(&mut self.frames).into_iter().flat_map(|(to, frames)| {
            frames.into_iter().filter_map(move |frame| Some((to, frame.finish()?)))
        })
    }

    /// A peer has opened a stream to us: what is added from now on answers that one.
    pub fn hears(&mut self, peer: BrokerId, stream: u64) {
        self.heard.insert(peer, stream);
    }

    fn frame(&mut self, to: BrokerId) -> &mut FrameBuilder {
        let answers = self.heard.get(&to).copied().unwrap_or(0);
        let frames = self.frames.entry(to).or_default();
        let goes_on =
            |frame: &FrameBuilder| frame.bytes() < FRAME_BYTES_MAX && frame.answers() == answers;
        if !frames.last().is_some_and(goes_on) {
            frames.push(FrameBuilder::new(answers));
        }
        frames.last_mut().expect("one was just pushed")
    }
}

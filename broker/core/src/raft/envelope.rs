//! What travels in one frame between two brokers: Raft messages of many groups with the payloads
//! that their entries name, packed heartbeats, and the brokers' own messages.
//!
//! A frame is a version byte, the number of the stream that it answers, and sections; a section is
//! a tag and its body. Payloads are parts of their own, so that they leave a broker without being
//! copied together.

use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};

use super::heartbeat::Heartbeat;
use crate::codec::{CodecError, Reader, Writer};
use crate::ids::PartitionId;

const VERSION: u8 = 2;
/// Room for a few messages.
const OPEN_BYTES: usize = 512;
const TAG_RAFT: u8 = 1;
const TAG_HEARTBEATS: u8 = 2;
const TAG_BROKER: u8 = 3;

/// A frame, as its receiver sees it.
#[derive(Debug)]
pub struct Frame {
    /// The newest stream of the receiver that its sender had heard of; 0 for none.
    pub answers: u64,
    /// What it says, in order.
    pub sections: Vec<Section>,
}

/// One section of a frame, as its receiver sees it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all sections are Raft messages: a box would be one more allocation for each"
)]
pub enum Section {
    /// A message of one group, with the payloads of its entries that have one, in their order.
    Raft {
        /// The group.
        group: PartitionId,
        /// The message; its entries carry descriptors.
        message: Message,
        /// One payload for each batch entry.
        payloads: Vec<Bytes>,
    },
    /// A message of the broker itself (`core::peers` knows what it says).
    Broker(Bytes),
}

/// A frame that does not decode. The stream that it came on is worth nothing any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The frame's own bytes.
    #[error("peer frame")]
    Codec(#[from] CodecError),
    /// A raft message inside.
    #[error("raft message in a peer frame")]
    Message(#[from] chronik_raft_bridge::DecodeError),
    /// A raft message that was to go into one.
    #[error("raft message for a peer frame")]
    Encode(#[from] chronik_raft_bridge::EncodeError),
}

/// Whether a message tells a leader what became of what it sent. On a stream that has broken since,
/// that is no news of the one that is open now. Votes are not meant: they are promises that hold.
pub fn is_answer(message: &Message) -> bool {
    matches!(
        message.get_msg_type(),
        MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse
    )
}

/// Builds one frame.
#[derive(Debug)]
pub struct FrameBuilder {
    answers: u64,
    parts: Vec<Bytes>,
    open: Writer,
    heartbeats: Vec<Heartbeat>,
    bytes: usize,
}

impl FrameBuilder {
    /// A frame to a peer whose newest stream to us has this number; 0 for none.
    #[must_use]
    pub fn new(answers: u64) -> FrameBuilder {
        FrameBuilder {
            answers,
            parts: Vec::new(),
            open: Writer::with_capacity(OPEN_BYTES),
            heartbeats: Vec::new(),
            bytes: 0,
        }
    }

    /// The number that it was begun with.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Adds a message of a group. Heartbeats are held back and packed.
    pub fn raft(
        &mut self,
        group: PartitionId,
        message: &Message,
        payloads: Vec<Bytes>,
    ) -> Result<(), FrameError> {
        if let Some(row) = Heartbeat::from_message(group, message) {
            self.heartbeats.push(row);
            return Ok(());
        }
        let encoded = chronik_raft_bridge::encode_raft_message(message)?;
        self.begin();
        self.open.u8(TAG_RAFT).uuid(group.topic).u32(group.partition).bytes(&encoded);
        self.open.list(payloads.iter(), |out, payload| {
            out.u32(u32::try_from(payload.len()).expect("a batch is below 2 GiB"));
        });
        if !payloads.is_empty() {
            self.close_part();
            for payload in payloads {
                self.bytes += payload.len();
                self.parts.push(payload);
            }
        }
        Ok(())
    }

    /// Adds a broker's own message.
    pub fn broker(&mut self, message: &[u8]) {
        self.begin();
        self.open.u8(TAG_BROKER).bytes(message);
    }

    /// Bytes so far, heartbeats not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.open.len()
    }

    /// The frame; none if nothing was added.
    #[must_use]
    pub fn finish(mut self) -> Option<Vec<Bytes>> {
        if !self.heartbeats.is_empty() {
            self.begin();
            let rows = std::mem::take(&mut self.heartbeats);
            self.open.u8(TAG_HEARTBEATS).list(rows.iter(), |out, row| row.encode(out));
        }
        self.close_part();
        if self.parts.is_empty() { None } else { Some(self.parts) }
    }

    fn begin(&mut self) {
        if self.parts.is_empty() && self.open.is_empty() {
            self.open.u8(VERSION).u64(self.answers);
        }
    }

    fn close_part(&mut self) {
        if !self.open.is_empty() {
            let part = std::mem::take(&mut self.open).finish();
            self.bytes += part.len();
            self.parts.push(part);
        }
    }
}

/// Reads a frame; heartbeats come out as messages again.
pub fn decode(frame: Bytes) -> Result<Frame, FrameError> {
    let mut from = Reader::new(frame);
    match from.u8("frame version")? {
        VERSION => {}
        value => {
            return Err(CodecError::Unknown { what: "frame version", value: value.into() }.into());
        }
    }
    let answers = from.u64("stream that the frame answers")?;
    let mut sections = Vec::new();
    while from.left() > 0 {
        match from.u8("section tag")? {
            TAG_RAFT => sections.push(decode_raft(&mut from)?),
            TAG_HEARTBEATS => {
                let rows = from.list("heartbeats", Heartbeat::decode)?;
                sections.extend(rows.into_iter().map(|row| Section::Raft {
                    group: row.group,
                    message: row.into_message(),
                    payloads: Vec::new(),
                }));
            }
            TAG_BROKER => sections.push(Section::Broker(from.bytes("broker message")?)),
            value => {
                return Err(CodecError::Unknown { what: "section tag", value: value.into() }.into());
            }
        }
    }
    Ok(Frame { answers, sections })
}

fn decode_raft(from: &mut Reader) -> Result<Section, FrameError> {
    let group = PartitionId::new(from.uuid("group")?, from.u32("partition")?);
    let message = chronik_raft_bridge::decode_raft_message(&from.bytes("raft message")?)?;
    let lengths = from.list("payload lengths", |from| from.u32("payload length"))?;
    let payloads = lengths
        .into_iter()
        .map(|len| from.take("payload", len as usize))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Section::Raft { group, message, payloads })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use raft::eraftpb::{Entry, MessageType};

    use super::*;
    use crate::ids::{PeerId, Uuid};

    fn join(parts: &[Bytes]) -> Bytes {
        parts.concat().into()
    }

    #[test]
    fn sections_come_out_as_they_went_in() {
        let group = PartitionId::new(Uuid::from_u128(7), 3);
        let mut append = Message { from: 1, to: 2, term: 5, ..Message::default() };
        append.set_msg_type(MessageType::MsgAppend);
        append.entries = vec![Entry { index: 9, term: 5, ..Entry::default() }];
        let mut beat = Message { from: 1, to: 2, term: 5, commit: 8, ..Message::default() };
        beat.set_msg_type(MessageType::MsgHeartbeat);
        let mut builder = FrameBuilder::new(77);
        builder.raft(group, &append, vec![Bytes::from_static(b"payload")]).unwrap();
        builder.raft(group, &beat, Vec::new()).unwrap();
        builder.broker(b"hello");
        let Frame { answers, sections } = decode(join(&builder.finish().unwrap())).unwrap();
        assert_eq!(answers, 77);
        let [
            Section::Raft { message: first, payloads, .. },
            Section::Broker(words),
            Section::Raft { message: second, .. },
        ] = &sections[..]
        else {
            panic!("unexpected sections: {sections:?}")
        };
        assert_eq!(first, &append);
        assert_eq!(payloads[..], [Bytes::from_static(b"payload")]);
        assert_eq!(&words[..], b"hello");
        assert_eq!(second, &beat);
        assert_eq!(PeerId(second.from).0, 1);
    }

    #[test]
    fn nothing_makes_no_frame() {
        assert!(FrameBuilder::new(1).finish().is_none());
    }

    #[test]
    fn golden() {
        let mut builder = FrameBuilder::new(0x0102);
        builder.broker(b"hi");
        let expected = [2, 0, 0, 0, 0, 0, 0, 1, 2, TAG_BROKER, 0, 0, 0, 2, b'h', b'i'];
        assert_eq!(join(&builder.finish().unwrap()), expected[..]);
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(bytes.into());
        }

        #[test]
        fn a_cut_frame_is_refused(cut in 1usize..40) {
            let mut builder = FrameBuilder::new(1);
            let mut append = Message { from: 1, to: 2, term: 5, ..Message::default() };
            append.set_msg_type(MessageType::MsgAppend);
            builder.raft(PartitionId::META, &append, vec![Bytes::from_static(&[1; 40])]).unwrap();
            let frame = join(&builder.finish().unwrap());
            prop_assert!(decode(frame.slice(..frame.len() - cut)).is_err());
        }
    }
}

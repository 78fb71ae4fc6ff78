//! The other brokers, as this one knows them: where they are, whether its stream to them is open,
//! when they last said something; and what they say beside Raft.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};

use super::Core;
use super::input::Hello;
use super::log_limit::LogLimit;
use super::node::Membership;
use super::output::Output;
use super::peer_message::PeerMessage;
use crate::ids::{BrokerId, Micros, PartitionId, PeerId, Uuid};
use crate::log::disk::Disk;
use crate::meta::command::Command;
use crate::raft::envelope::{self, Frame, Section, is_answer};

/// The other brokers.
#[derive(Debug)]
pub(super) struct Peers {
    me: BrokerId,
    table: BTreeMap<BrokerId, Peer>,
    shown: Option<Vec<(BrokerId, String)>>,
    /// Whose streams to us are not listened to.
    strangers: BTreeSet<BrokerId>,
    bad_frame_log: LogLimit,
}

#[derive(Debug, Default)]
struct Peer {
    address: String,
    /// Our stream to it, while that is open.
    stream: Option<u64>,
    heard: Option<Micros>,
    /// Since when its stream to us is open; not while it says that it cannot lead.
    connected: Option<Micros>,
    /// The directory that was heard of.
    directory: Option<Uuid>,
    /// What it said when it opened its stream to us.
    hello: Option<Hello>,
}

impl Peers {
    pub(super) fn new(me: BrokerId, seeds: &[(BrokerId, String)]) -> Peers {
        let peer = |address: &String| Peer { address: address.clone(), ..Peer::default() };
        let table = seeds.iter().map(|(id, address)| (*id, peer(address))).collect();
        Peers {
            me,
            table,
            shown: None,
            strangers: BTreeSet::new(),
            bad_frame_log: LogLimit::default(),
        }
    }

    /// When a broker was last heard of, in its life with this directory: another directory under
    /// its id must not keep the old one's session alive.
    pub(super) fn heard(&self, broker: BrokerId, directory: Uuid) -> Option<Micros> {
        let peer = self.table.get(&broker)?;
        peer.heard.filter(|_| peer.directory == Some(directory))
    }

    /// Brokers that a frame can be sent to now.
    pub(super) fn reachable(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.table.iter().filter(|(_, peer)| peer.stream.is_some()).map(|(id, _)| *id)
    }

    /// Since when a broker has been connected and means to stay.
    pub(super) fn connected(&self, broker: BrokerId) -> Option<Micros> {
        self.table.get(&broker)?.connected
    }

    pub(super) fn gone(&mut self, from: BrokerId) {
        self.strangers.remove(&from);
        if let Some(peer) = self.table.get_mut(&from) {
            peer.hello = None;
            peer.connected = None;
        }
    }

    fn learn(&mut self, broker: BrokerId, address: &str) {
        if broker != self.me && !address.is_empty() {
            self.table.entry(broker).or_default().address = address.to_owned();
        }
    }
}

impl<D: Disk> Core<D> {
    /// Tells the shell whom to keep a stream open to, if that has changed.
    pub(super) fn show_peers(&mut self) {
        for broker in self.meta.brokers() {
            self.peers.learn(broker.id(), &broker.registration.peer_address);
        }
        let me = self.me();
        let others = self.peers.table.iter().filter(|(id, _)| **id != me);
        let wanted: Vec<_> = others.map(|(id, peer)| (*id, peer.address.clone())).collect();
        if self.peers.shown.as_ref() != Some(&wanted) {
            self.peers.shown = Some(wanted.clone());
            self.outputs.push(Output::Peers(wanted));
        }
    }

    pub(super) fn peer_connected(&mut self, hello: Hello) {
        self.peers.strangers.remove(&hello.broker);
        if self.is_stranger(&hello) {
            // Nothing of it is believed: the broker of this id in our cluster is another one.
            tracing::warn!(
                peer = %hello.broker, cluster = hello.cluster_id, boot = hello.boot,
                "a broker of another cluster, or with an older copy of its directory, is ignored"
            );
            self.peers.strangers.insert(hello.broker);
            return;
        }
        self.peers.learn(hello.broker, &hello.peer_address);
        self.answer_anew(hello.broker, hello.stream);
        if let Some(peer) = self.peers.table.get_mut(&hello.broker) {
            peer.heard = Some(self.now.mono);
            peer.connected = Some(self.now.mono);
            peer.directory = Some(hello.directory);
            peer.hello = Some(hello);
        }
        self.show_peers();
    }

    /// A peer has opened another stream. What it asked on an older one it has given up and asks
    /// again; an answer to that would tell its leaders of messages that they have forgotten.
    fn answer_anew(&mut self, from: BrokerId, stream: u64) {
        // Whatever the older stream has brought is worked off first, so that nothing of it counts
        // as an answer to the new one.
        self.drive_dirty();
        for replica in self.replicas.values_mut() {
            replica.group.forget_answers(from);
        }
        self.outbox.hears(from, stream);
    }

    pub(super) fn peer_reachable(&mut self, to: BrokerId, stream: Option<u64>) {
        let Some(peer) = self.peers.table.get_mut(&to) else { return };
        peer.stream = stream;
        if stream.is_none() {
            for (id, replica) in &mut self.replicas {
                replica.group.unreachable(to);
                if replica.group.has_ready() {
                    self.dirty.insert(*id);
                }
            }
        }
    }

    pub(super) fn peer_frame(&mut self, from: BrokerId, frame: Bytes) {
        let hello = self.peers.table.get(&from).and_then(|peer| peer.hello.as_ref());
        if self.peers.strangers.contains(&from) || hello.is_some_and(|it| self.is_stranger(it)) {
            return;
        }
        if let Some(peer) = self.peers.table.get_mut(&from) {
            peer.heard = Some(self.now.mono);
        }
        let Frame { answers, sections } = match envelope::decode(frame) {
            Ok(frame) => frame,
            Err(error) => {
                return self.complain(from, &error);
            }
        };
        // Its stream to us outlives ours to it, so answers to our last one can still come.
        let stream = self.peers.table.get(&from).and_then(|peer| peer.stream);
        let stale = stream != Some(answers);
        for section in sections {
            match section {
                Section::Raft { message, .. } if stale && is_answer(&message) => {}
                Section::Raft { group, message, payloads } => {
                    self.peer_raft(from, group, message, payloads);
                }
                Section::Broker(bytes) => match PeerMessage::decode(bytes) {
                    Ok(message) => self.peer_says(from, message),
                    Err(error) => self.complain(from, &error),
                },
            }
        }
    }

    /// What a peer sent does not decode, and is dropped.
    fn complain(&mut self, from: BrokerId, error: &dyn std::error::Error) {
        self.counters.bad_frames += 1;
        if let Some(others) = self.peers.bad_frame_log.admit(self.now.mono) {
            tracing::error!(
                peer = %from, error = %super::with_causes(error), others_since_last_line = others,
                "bad frame of a peer dropped"
            );
        }
    }

    /// Whether a peer is of another cluster, or woke up with a directory as it was before: that one
    /// has forgotten votes and entries that it gave its word for.
    fn is_stranger(&self, hello: &Hello) -> bool {
        let foreign = match (hello.cluster_id.as_deref(), self.cluster_id()) {
            (Some(theirs), Some(ours)) => theirs != ours,
            (Some(_) | None, _) => false,
        };
        let known = self.meta.broker(hello.broker).map(|broker| &broker.registration);
        let restored = known
            .is_some_and(|known| known.directory == hello.directory && hello.boot < known.boot);
        foreign || restored
    }

    pub(super) fn peer_raft(
        &mut self,
        from: BrokerId,
        group: PartitionId,
        message: Message,
        payloads: Vec<Bytes>,
    ) {
        // raft-rs checks neither: a message of another life of this replica must not be stepped.
        if PeerId(message.from).broker() != from || PeerId(message.to).broker() != self.me() {
            return;
        }
        if matches!(
            message.get_msg_type(),
            MessageType::MsgPropose | MessageType::MsgTransferLeader | MessageType::MsgReadIndex
        ) {
            return;
        }
        if message.get_msg_type() == MessageType::MsgAppend
            && !message.entries.is_empty()
            && !self.has_space()
        {
            return;
        }
        let Some(replica) = self.replicas.get_mut(&group) else { return };
        // raft-rs panics on what no honest peer says, such as a commit beyond the log.
        let stepped = super::round::guarded(|| {
            replica.group.step(message, payloads);
            Ok(())
        });
        match stepped {
            Ok(()) => {
                self.dirty.insert(group);
            }
            Err(reason) => self.take_offline(group, format!("message of broker {from}: {reason}")),
        }
    }

    /// The `Step` call: one message, for those who have no stream.
    pub(super) fn step_call(
        &mut self,
        topic: &str,
        partition: u32,
        message: &[u8],
    ) -> Result<(), String> {
        let message = chronik_raft_bridge::decode_raft_message(message)
            .map_err(|error| format!("failed to decode message: {}", super::with_causes(&error)))?;
        let group = self.named_group(topic, partition)?;
        let replica = self
            .replicas
            .get(&group)
            .ok_or_else(|| format!("this broker holds no replica of {topic}-{partition}"))?;
        if replica.group.peer() != PeerId(message.to) {
            let (here, to) = (replica.group.peer(), PeerId(message.to));
            return Err(format!("the replica here is {here}, the message is for {to}"));
        }
        self.peer_raft(PeerId(message.from).broker(), group, message, Vec::new());
        Ok(())
    }

    /// The group of a topic's name, or of `name@uuid`.
    pub(super) fn named_group(&self, topic: &str, partition: u32) -> Result<PartitionId, String> {
        if topic == "__meta" {
            return Ok(PartitionId { partition, ..PartitionId::META });
        }
        let unknown = || format!("there is no topic {topic}");
        match topic.split_once('@') {
            Some((name, id)) => {
                let id = Uuid::parse_str(id).map_err(|_| format!("{id} is no topic id"))?;
                let found = self.meta.topic(id).filter(|topic| topic.name == name);
                found.map(|topic| PartitionId::new(topic.id, partition)).ok_or_else(unknown)
            }
            None => {
                let found = self.meta.topic_by_name(topic);
                found.map(|topic| PartitionId::new(topic.id, partition)).ok_or_else(unknown)
            }
        }
    }

    fn peer_says(&mut self, from: BrokerId, message: PeerMessage) {
        match message {
            PeerMessage::Alive => {}
            PeerMessage::Leaving => {
                if let Some(peer) = self.peers.table.get_mut(&from) {
                    peer.connected = None;
                }
            }
            PeerMessage::Staying => {
                let connected = self.peers.table.get_mut(&from).filter(|peer| peer.hello.is_some());
                if let Some(peer) = connected {
                    peer.connected = Some(self.now.mono);
                }
            }
            PeerMessage::Register(command) => self.peer_registers(from, command),
            PeerMessage::Registered { directory, cluster_id, meta_peer } => {
                if directory == self.config.directory && self.node.membership.is_none() {
                    self.join(Membership { cluster_id, meta_peer, born_with: None });
                }
            }
            PeerMessage::NotRegistered { directory, cluster_id, retired, reason } => {
                if directory == self.config.directory {
                    self.not_registered(&cluster_id, retired, &reason);
                }
            }
            PeerMessage::Propose { proposal, command } => {
                self.peer_proposes(from, &proposal, &command);
            }
            PeerMessage::Proposed { id, at } => self.peer_proposed(id, at),
            PeerMessage::Received(rows) => self.peer_received(from, rows),
        }
    }

    /// A broker asks to be let in; only one with an image of the cluster can answer.
    fn peer_registers(&mut self, from: BrokerId, command: Bytes) {
        if self.meta.cluster_id().is_none() {
            return;
        }
        let Ok(command @ Command::RegisterBroker(_)) = Command::decode(command) else { return };
        let Command::RegisterBroker(registration) = &command else { return };
        let (id, directory) = (registration.id, registration.directory);
        if id != from {
            return;
        }
        self.propose_meta(&command, move |core, result| {
            core.answer_registration(from, directory, result);
        });
    }
}

//! One raft node: a task that owns the `RawNode`, and a server that takes `Step` calls for it.

use std::collections::BTreeMap;
use std::time::Duration;

use chronik_e2e::admin::peer::peer_client::PeerClient;
use chronik_e2e::admin::peer::peer_server::{Peer, PeerServer};
use chronik_e2e::admin::peer::{RaftMessage as Request, StepResponse};
use chronik_raft_bridge::{decode_raft_message, encode_raft_message};
use raft::prelude::Message as RaftMessage;
use raft::prelude::{ConfState, Entry};
use raft::storage::MemStorage;
use raft::{Config, RawNode};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

/// What a node has seen so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) leader: u64,
    pub(crate) term: u64,
    /// Messages that came through `Step`, by their type.
    pub(crate) received: BTreeMap<i32, usize>,
    /// The data of entries that were applied.
    pub(crate) applied: Vec<Vec<u8>>,
}

enum Input {
    Message(Box<RaftMessage>),
    Propose(Vec<u8>),
}

/// A running node.
pub(crate) struct Node {
    pub(crate) report: watch::Receiver<Report>,
    inputs: mpsc::Sender<Input>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    pub(crate) async fn propose(&self, data: Vec<u8>) {
        self.inputs.send(Input::Propose(data)).await.unwrap();
    }

    /// From one moment to the next, as kill -9.
    pub(crate) fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct StepService {
    inputs: mpsc::Sender<Input>,
}

#[tonic::async_trait]
impl Peer for StepService {
    async fn step(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<StepResponse>, tonic::Status> {
        let request = request.into_inner();
        assert_eq!((request.topic.as_str(), request.partition), ("__meta", 0));
        let answer = match decode_raft_message(&request.message) {
            Ok(message) => {
                let sent = self.inputs.send(Input::Message(Box::new(message))).await;
                StepResponse { success: sent.is_ok(), error: String::new() }
            }
            Err(error) => StepResponse { success: false, error: error.to_string() },
        };
        Ok(tonic::Response::new(answer))
    }
}

/// Starts a node for each id, on ports of their own.
pub(crate) async fn start(ids: &[u64]) -> BTreeMap<u64, Node> {
    let mut listeners = BTreeMap::new();
    for id in ids {
        listeners.insert(*id, TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let channel = |listener: &TcpListener| -> Channel {
        let address = listener.local_addr().unwrap();
        Endpoint::new(format!("http://{address}")).unwrap().connect_lazy()
    };
    let peers: BTreeMap<u64, Channel> =
        listeners.iter().map(|(id, listener)| (*id, channel(listener))).collect();
    let mut nodes = BTreeMap::new();
    for (id, listener) in listeners {
        let (inputs, from_others) = mpsc::channel(1_000);
        let (reports, report) = watch::channel(Report::default());
        let service = PeerServer::new(StepService { inputs: inputs.clone() });
        let server = async move {
            let incoming = TcpListenerStream::new(listener);
            let _ = Server::builder().add_service(service).serve_with_incoming(incoming).await;
        };
        let raw = raw_node(id, ids);
        let tasks =
            vec![tokio::spawn(server), tokio::spawn(run(raw, from_others, reports, peers.clone()))];
        nodes.insert(id, Node { report, inputs, tasks });
    }
    nodes
}

fn raw_node(id: u64, voters: &[u64]) -> RawNode<MemStorage> {
    let storage = MemStorage::new_with_conf_state(ConfState {
        voters: voters.to_vec(),
        ..Default::default()
    });
    let config = Config {
        id,
        pre_vote: true,
        check_quorum: true,
        heartbeat_tick: 2,
        election_tick: 10,
        ..Default::default()
    };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, storage, &logger).unwrap()
}

/// The node's loop: inputs and ticks in, messages out through `Step`.
async fn run(
    mut raw: RawNode<MemStorage>,
    mut inputs: mpsc::Receiver<Input>,
    reports: watch::Sender<Report>,
    peers: BTreeMap<u64, Channel>,
) {
    let mut report = Report::default();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                raw.tick();
            }
            input = inputs.recv() => match input {
                Some(Input::Message(message)) => {
                    *report.received.entry(message.msg_type).or_default() += 1;
                    // A message of an older term or for somebody else is refused, which is fine.
                    let _ = raw.step(*message);
                }
                Some(Input::Propose(data)) => raw.propose(Vec::new(), data).unwrap(),
                None => return,
            },
        }
        handle_ready(&mut raw, &mut report, &peers);
        report.leader = raw.raft.leader_id;
        report.term = raw.raft.term;
        reports.send_replace(report.clone());
    }
}

fn handle_ready(
    raw: &mut RawNode<MemStorage>,
    report: &mut Report,
    peers: &BTreeMap<u64, Channel>,
) {
    if !raw.has_ready() {
        return;
    }
    let mut ready = raw.ready();
    send(ready.take_messages(), peers);
    apply(ready.take_committed_entries(), report);
    raw.mut_store().wl().append(ready.entries()).unwrap();
    if let Some(state) = ready.hs() {
        raw.mut_store().wl().set_hardstate(state.clone());
    }
    send(ready.take_persisted_messages(), peers);
    let mut light = raw.advance(ready);
    if let Some(commit) = light.commit_index() {
        raw.mut_store().wl().mut_hard_state().commit = commit;
    }
    send(light.take_messages(), peers);
    apply(light.take_committed_entries(), report);
    raw.advance_apply();
}

fn apply(entries: Vec<Entry>, report: &mut Report) {
    let data = entries.into_iter().map(|entry| entry.data);
    report.applied.extend(data.filter(|data| !data.is_empty()));
}

/// Each message is a call of its own; one that fails is a lost message.
fn send(messages: Vec<RaftMessage>, peers: &BTreeMap<u64, Channel>) {
    for message in messages {
        let mut client = PeerClient::new(peers[&message.to].clone());
        let request = Request {
            topic: "__meta".to_owned(),
            partition: 0,
            message: encode_raft_message(&message).unwrap(),
        };
        tokio::spawn(async move {
            let _ = client.step(request).await;
        });
    }
}

//! Our own stream to every peer: dials, says hello, sends frames in order, dials again. What was
//! queued when a stream breaks, or when its queue is full, is discarded: the core is told and
//! sends again what still matters.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chronik_core::core::input::{Hello, Input};
use chronik_core::ids::BrokerId;
use chronik_tls::dial::Connector;
use chronik_tls::identity::Role;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::accept::Credentials;
use super::codec::RawCodec;
use super::{FRAME_BYTES_MAX, STREAM_PATH, WINDOW_BYTES, hello};
use crate::metrics::Metrics;
use crate::node::handle::Handle;

/// What may wait for one peer.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A peer that answers nothing is noticed after both.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Our streams to all peers.
#[derive(Debug)]
pub struct Links {
    node: Handle,
    metrics: Arc<Metrics>,
    hello: watch::Receiver<Hello>,
    credentials: Credentials,
    /// Streams opened so far, to all peers together.
    opened: Arc<AtomicU64>,
    links: BTreeMap<BrokerId, Link>,
}

#[derive(Debug)]
struct Link {
    address: String,
    lane: Arc<Lane>,
    task: JoinHandle<()>,
}

/// What the node and a link's task share.
#[derive(Debug, Default)]
struct Lane {
    /// The open stream's queue; none while there is no stream.
    open: Mutex<Option<Queue>>,
    /// Ends the open stream.
    broken: Notify,
}

#[derive(Debug, Clone)]
struct Queue {
    frames: mpsc::UnboundedSender<Vec<Bytes>>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Lane {
    fn open(&self) -> MutexGuard<'_, Option<Queue>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    /// No streams yet; `hello` is what each will say first. A changed hello opens them again.
    #[must_use]
    pub fn new(
        node: Handle,
        metrics: Arc<Metrics>,
        hello: watch::Receiver<Hello>,
        credentials: Credentials,
    ) -> Links {
        let (opened, links) = (Arc::default(), BTreeMap::new());
        Links { node, metrics, hello, credentials, opened, links }
    }

    /// Keeps a stream open to exactly `peers`.
    pub fn set(&mut self, peers: Vec<(BrokerId, String)>) {
        let wanted: BTreeMap<BrokerId, String> = peers.into_iter().collect();
        let (node, metrics) = (&self.node, &self.metrics);
        self.links.retain(|to, link| {
            let keep = wanted.get(to) == Some(&link.address);
            if !keep {
                link.task.abort();
                if link.lane.open().take().is_some() {
                    tell(node, metrics, *to, None);
                }
            }
            keep
        });
        for (to, address) in wanted {
            if self.links.contains_key(&to) {
                continue;
            }
            let lane = Arc::new(Lane::default());
            let dialler = Dialler {
                to,
                address: address.clone(),
                lane: Arc::clone(&lane),
                node: self.node.clone(),
                metrics: Arc::clone(&self.metrics),
                hello: self.hello.clone(),
                credentials: self.credentials.clone(),
                opened: Arc::clone(&self.opened),
            };
            let task = tokio::spawn(dialler.run());
            self.links.insert(to, Link { address, lane, task });
        }
    }

    /// Queues a frame behind all earlier ones; drops it if there is no stream.
    pub fn send(&self, to: BrokerId, frame: Vec<Bytes>) {
        let Some(link) = self.links.get(&to) else { return };
        let mut open = link.lane.open();
        let Some(queue) = &*open else { return };
        let len: usize = frame.iter().map(Bytes::len).sum();
        if queue.waiting_bytes.load(Ordering::Relaxed) + len > QUEUE_BYTES_MAX {
            tracing::warn!(peer = %to, "peer does not keep up: discarding what is queued for it");
            self.metrics.peer_overflows.inc();
            *open = None;
            link.lane.broken.notify_one();
            return;
        }
        queue.waiting_bytes.fetch_add(len, Ordering::Relaxed);
        self.metrics.peer_sent_frames.inc();
        self.metrics.peer_sent_bytes.inc_by(len as u64);
        // The other end goes only with the stream, whose task then says so.
        let _ = queue.frames.send(frame);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in self.links.values() {
            link.task.abort();
        }
    }
}

/// The task of one link.
struct Dialler {
    to: BrokerId,
    address: String,
    lane: Arc<Lane>,
    node: Handle,
    metrics: Arc<Metrics>,
    hello: watch::Receiver<Hello>,
    credentials: Credentials,
    opened: Arc<AtomicU64>,
}

impl Dialler {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let started = Instant::now();
            match self.connect().await {
                Ok((stream, answers)) => {
                    tracing::info!(peer = %self.to, address = %self.address, "connected to peer");
                    tell(&self.node, &self.metrics, self.to, Some(stream));
                    let reason = self.until_end(answers).await;
                    *self.lane.open() = None;
                    tell(&self.node, &self.metrics, self.to, None);
                    tracing::info!(peer = %self.to, reason, "stream to peer ended");
                    if self.hello.has_changed().unwrap_or(false) {
                        // Ended by us, to say who we are now.
                        continue;
                    }
                }
                Err(reason) => {
                    *self.lane.open() = None;
                    self.miss(&reason);
                    self.node.input(Input::PeerReachable { to: self.to, stream: None });
                }
            }
            // A stream that held for a while starts the waiting times anew.
            if started.elapsed() > BACKOFF_MAX {
                backoff = BACKOFF_MIN;
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// A peer that is not there yet is nothing to tell; one whose TLS does not fit is.
    fn miss(&self, reason: &str) {
        let (peer, address) = (self.to, &self.address);
        if reason.contains("TLS with ") {
            tracing::warn!(%peer, address, reason, "peer cannot be reached");
        } else {
            tracing::debug!(%peer, address, reason, "peer cannot be reached");
        }
    }

    /// Dials and opens the stream; the lane is open when it returns the stream's number.
    async fn connect(&mut self) -> Result<(u64, Streaming<Bytes>), String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(|e| format!("{} is no address: {e}", self.address))?
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        let channel = match &self.credentials {
            None => endpoint.connect().await,
            Some(material) => {
                let role = Role::Broker(self.to.0);
                let connector = Connector::new(&self.address, role, material.clone());
                endpoint.connect_with_connector(connector).await
            }
        };
        let channel = channel.map_err(|e| chain(&e))?;
        let (frames, rest) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let (stream, hello) = self.next_hello();
        waiting_bytes.fetch_add(hello.len(), Ordering::Relaxed);
        let _ = frames.send(vec![hello]);
        let outgoing = Outgoing { frames: rest, waiting_bytes: Arc::clone(&waiting_bytes) };
        let answers = tokio::time::timeout(CONNECT_TIMEOUT, open_stream(channel, outgoing))
            .await
            .map_err(|_| "the peer does not answer".to_owned())?
            .map_err(|status| chain(&status))?;
        *self.lane.open() = Some(Queue { frames, waiting_bytes });
        Ok((stream, answers))
    }

    /// A hello with a number that no other stream of this broker has had, in earlier runs included.
    fn next_hello(&mut self) -> (u64, Bytes) {
        let hello = self.hello.borrow_and_update().clone();
        let opened = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let stream = (hello.boot << 32).wrapping_add(opened);
        (stream, hello::encode(&Hello { stream, ..hello }))
    }

    async fn until_end(&self, mut answers: Streaming<Bytes>) -> String {
        // A copy, so that the change stays to be seen by whoever dials next.
        let mut hello = self.hello.clone();
        tokio::select! {
            end = answers.message() => match end {
                Ok(_) => "the peer ended it".into(),
                Err(status) => status.message().to_owned(),
            },
            () = self.lane.broken.notified() => "its queue was full".into(),
            // Also when the node is gone; the task is then aborted.
            _ = hello.changed() => "this broker's identity changed".into(),
        }
    }
}

async fn open_stream(channel: Channel, outgoing: Outgoing) -> Result<Streaming<Bytes>, Status> {
    let mut grpc = Grpc::new(channel).max_encoding_message_size(FRAME_BYTES_MAX);
    grpc.ready().await.map_err(|e| Status::unavailable(chain(&e)))?;
    let path = PathAndQuery::from_static(STREAM_PATH);
    Ok(grpc.streaming(Request::new(outgoing), path, RawCodec).await?.into_inner())
}

fn tell(node: &Handle, metrics: &Metrics, to: BrokerId, stream: Option<u64>) {
    metrics.set_peer_connected(to, stream.is_some());
    node.input(Input::PeerReachable { to, stream });
}

/// An error with its causes: tonic's own text says only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A stream's queue as gRPC takes it.
struct Outgoing {
    frames: mpsc::UnboundedReceiver<Vec<Bytes>>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Stream for Outgoing {
    type Item = Vec<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<Bytes>>> {
        let polled = self.frames.poll_recv(cx);
        if let Poll::Ready(Some(frame)) = &polled {
            let len = frame.iter().map(Bytes::len).sum();
            self.waiting_bytes.fetch_sub(len, Ordering::Relaxed);
        }
        polled
    }
}

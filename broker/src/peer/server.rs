//! Receives the streams that peers open to us, and the unary `Step` calls. Frames of a broker's
//! older stream are dropped as soon as a newer one has said hello, if it may: see [`super::admission`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use chronik_core::core::input::{Hello, Input};
use chronik_core::ids::{BrokerId, Uuid};
use chronik_tls::identity::{Identity, Role};
use tokio::sync::Semaphore;
use tokio_stream::Stream;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};

use super::accept::Caller;
use super::admission::{self, Refusal};
use super::codec::RawCodec;
use super::{FRAME_BYTES_MAX, HELLO_MAX, STREAM_PATH, hello};
use crate::metrics::Metrics;
use crate::node::handle::{Event, Handle};
use crate::proto::peer::peer_server::{Peer, PeerServer};
use crate::proto::peer::{RaftMessage, StepResponse};
use crate::telemetry::LogLimit;

/// Frames that wait for the core, of all peers together; counted in units so that a permit fits 32 bits.
const WAITING_BYTES_MAX: usize = 32 << 20;
const UNIT_BYTES: usize = 1 << 10;
const UNITS: usize = WAITING_BYTES_MAX / UNIT_BYTES;

/// Both methods of the peer service; clones share the streams' state.
#[derive(Clone, Debug)]
pub struct PeerService {
    incoming: Arc<Incoming>,
    step: PeerServer<Steps>,
}

impl PeerService {
    /// Feeds `node`.
    #[must_use]
    pub fn new(node: Handle, metrics: Arc<Metrics>) -> PeerService {
        let step = PeerServer::new(Steps { node: node.clone() })
            .max_decoding_message_size(FRAME_BYTES_MAX);
        let incoming = Incoming {
            node,
            metrics,
            current: Mutex::default(),
            room: Arc::new(Semaphore::new(UNITS)),
        };
        PeerService { incoming: Arc::new(incoming), step }
    }
}

impl NamedService for PeerService {
    const NAME: &'static str = "chronik.peer.v1.Peer";
}

impl Service<http::Request<tonic::body::Body>> for PeerService {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<tonic::body::Body>>::poll_ready(&mut self.step, cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        if let Err(refused) = Caller::of(request.extensions()).and_then(broker_of) {
            return Box::pin(async move { Ok(refused.into_http()) });
        }
        if request.uri().path() != STREAM_PATH {
            return self.step.call(request);
        }
        let method = Accept(Arc::clone(&self.incoming));
        Box::pin(async move {
            let mut grpc = Grpc::new(RawCodec)
                .apply_max_message_size_config(Some(FRAME_BYTES_MAX), Some(FRAME_BYTES_MAX));
            Ok(grpc.streaming(method, request).await)
        })
    }
}

#[derive(Debug)]
struct Incoming {
    node: Handle,
    metrics: Arc<Metrics>,
    current: Mutex<Streams>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Streams {
    opened: u64,
    /// Each broker's newest stream.
    newest: BTreeMap<BrokerId, Newest>,
    refusal_log: LogLimit,
}

#[derive(Debug)]
struct Newest {
    stream: u64,
    hello: Hello,
}

impl Streams {
    fn is_newest(&self, from: BrokerId, stream: u64) -> bool {
        self.newest.get(&from).is_some_and(|newest| newest.stream == stream)
    }
}

impl Incoming {
    /// Reads one stream to its end.
    async fn receive(
        self: Arc<Incoming>,
        certified: Option<BrokerId>,
        mut frames: Streaming<Bytes>,
    ) -> Status {
        let hello = match tokio::time::timeout(HELLO_MAX, self.hello(&mut frames)).await {
            Ok(Ok(hello)) if certified.is_some_and(|id| id != hello.broker) => {
                return self.impostor(certified, hello.broker);
            }
            Ok(Ok(hello)) => hello,
            Ok(Err(status)) => return status,
            Err(_) => {
                self.metrics.peer_malformed.inc();
                let reason = format!("the stream said no hello within {HELLO_MAX:?}");
                return Status::deadline_exceeded(reason);
            }
        };
        let from = hello.broker;
        let Ok(known) = self.node.registered(from).await else {
            return Status::unavailable("this broker is stopping");
        };
        let stream = match self.begin(known, hello) {
            Ok(stream) => stream,
            Err(refusal) => return Status::failed_precondition(refusal.to_string()),
        };
        let open = OpenStream { incoming: &self, from, stream };
        loop {
            match frames.message().await {
                Ok(Some(frame)) => {
                    if !self.deliver(from, open.stream, frame).await {
                        return Status::aborted("a newer stream of this broker is open");
                    }
                }
                Ok(None) => return Status::ok("the peer closed its stream"),
                Err(status) => return status,
            }
        }
    }

    fn impostor(&self, certified: Option<BrokerId>, said: BrokerId) -> Status {
        self.metrics.peer_refused.inc();
        let holder = certified.map(|id| id.to_string()).unwrap_or_default();
        let reason = format!("the hello is of broker {said}, the certificate of broker {holder}");
        tracing::warn!(%reason, "refusing a peer's stream");
        Status::permission_denied(reason)
    }

    async fn hello(&self, frames: &mut Streaming<Bytes>) -> Result<Hello, Status> {
        let first = frames.message().await?;
        let first =
            first.ok_or_else(|| Status::invalid_argument("the stream ended before its hello"))?;
        hello::decode(first).map_err(|e| {
            self.metrics.peer_malformed.inc();
            Status::invalid_argument(format!("the stream's hello is malformed: {e}"))
        })
    }

    /// Makes this stream its broker's newest; its number here. `known` is the directory that the
    /// cluster has for that broker.
    fn begin(&self, known: Option<Uuid>, hello: Hello) -> Result<u64, Refusal> {
        let mut streams = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (peer, boot, directory) = (hello.broker, hello.boot, hello.directory);
        let connected = streams.newest.get(&peer).map(|newest| &newest.hello);
        if let Err(refusal) = admission::admit(known, connected, &hello) {
            self.metrics.peer_refused.inc();
            if let Some(others) = streams.refusal_log.admit() {
                tracing::warn!(
                    %peer, boot, %directory, address = hello.peer_address, reason = %refusal,
                    others_since_last_line = others, "refusing a peer's stream"
                );
            }
            return Err(refusal);
        }
        tracing::info!(%peer, boot, %directory, "peer connected");
        streams.opened += 1;
        let stream = streams.opened;
        streams.newest.insert(peer, Newest { stream, hello: hello.clone() });
        // Queued under the lock, so that no frame of an older stream can come after it.
        self.node.input(Input::PeerConnected(hello));
        Ok(stream)
    }

    /// Hands a frame on; false if a newer stream of the broker has taken over.
    async fn deliver(&self, from: BrokerId, stream: u64, frame: Bytes) -> bool {
        self.metrics.peer_received_frames.inc();
        self.metrics.peer_received_bytes.inc_by(frame.len() as u64);
        // A frame above the limit waits until nothing else does.
        let units = (frame.len() / UNIT_BYTES + 1).min(UNITS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.room).acquire_many_owned(units).await else {
            return false;
        };
        let streams = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newest = streams.is_newest(from, stream);
        if is_newest {
            self.node.send(Event::Frame { from, frame, permit });
        }
        is_newest
    }

    fn end(&self, from: BrokerId, stream: u64) {
        let mut streams = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.is_newest(from, stream) {
            streams.newest.remove(&from);
            tracing::info!(peer = %from, "peer's stream ended");
            self.node.input(Input::PeerGone { from });
        }
    }
}

/// A stream that said hello. A connection that breaks drops the receiving wherever it waits, so
/// its end is told by `Drop`.
struct OpenStream<'a> {
    incoming: &'a Incoming,
    from: BrokerId,
    stream: u64,
}

impl Drop for OpenStream<'_> {
    fn drop(&mut self) {
        self.incoming.end(self.from, self.stream);
    }
}

/// The broker that a caller is; none if callers are not asked. Only brokers may call.
fn broker_of(caller: &Caller) -> Result<Option<BrokerId>, Status> {
    match caller {
        Caller::Anybody => Ok(None),
        Caller::Known(Identity { role: Role::Broker(id), .. }) => Ok(Some(BrokerId(*id))),
        Caller::Known(other @ Identity { role: Role::Operator, .. }) => Err(
            Status::permission_denied(format!("{other} is no broker, and only brokers may call")),
        ),
    }
}

/// One call of the stream method.
struct Accept(Arc<Incoming>);

impl StreamingService<Bytes> for Accept {
    type Response = Vec<Bytes>;
    type ResponseStream = UntilEnd;
    type Future = BoxFuture<Response<UntilEnd>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let incoming = Arc::clone(&self.0);
        // The headers go out at once and tell the peer that it is connected.
        Box::pin(async move {
            let certified = Caller::of(request.extensions()).and_then(broker_of)?;
            let receiving = incoming.receive(certified, request.into_inner());
            Ok(Response::new(UntilEnd(Some(Box::pin(receiving)))))
        })
    }
}

/// Answers nothing but the stream's end. It also drives the receiving, so that receiving ends
/// with the call however that ends.
struct UntilEnd(Option<Pin<Box<dyn Future<Output = Status> + Send>>>);

impl Stream for UntilEnd {
    type Item = Result<Vec<Bytes>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(receiving) = &mut self.0 else { return Poll::Ready(None) };
        match receiving.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(status) => {
                self.0 = None;
                Poll::Ready((status.code() != Code::Ok).then_some(Err(status)))
            }
        }
    }
}

/// The unary calls.
#[derive(Debug)]
struct Steps {
    node: Handle,
}

#[tonic::async_trait]
impl Peer for Steps {
    async fn step(&self, request: Request<RaftMessage>) -> Result<Response<StepResponse>, Status> {
        let RaftMessage { topic, partition, message } = request.into_inner();
        let result = self.node.step(topic, partition, message).await;
        let answer = match result.map_err(|e| Status::unavailable(e.to_string()))? {
            Ok(()) => StepResponse { success: true, error: String::new() },
            Err(error) => StepResponse { success: false, error },
        };
        Ok(Response::new(answer))
    }
}

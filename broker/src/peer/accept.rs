//! Who dials the port for peers and the operator. With certificates, a connection is handed on only
//! after its handshake, and knows whose it is; strangers cost one socket for a few seconds each, and
//! there is a limit to how many may try at once: whoever comes then takes the place of the one who
//! has tried for longest. Without certificates, everybody is let in.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chronik_tls::certificate;
use chronik_tls::dial::HANDSHAKE_MAX;
use chronik_tls::identity::Identity;
use chronik_tls::material::Material;
use chronik_tls::verify;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::Status;
use tonic::transport::server::Connected;

use crate::metrics::{Door, Metrics};
use crate::telemetry::LogLimit;

/// Handshakes at a time; one of our own takes milliseconds.
pub const HANDSHAKES_MAX: usize = 64;
/// A pause after the system could not accept a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Our certificate and whom we trust, as of now; none where everybody is trusted.
pub type Credentials = Option<watch::Receiver<Arc<Material>>>;

/// Who is at the other end of a connection; an extension of each of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody was asked who they are.
    Anybody,
    /// The holder of a certificate of our cluster.
    Known(Identity),
}

impl Caller {
    /// Whoever made a request.
    pub fn of(extensions: &tonic::codegen::http::Extensions) -> Result<&Caller, Status> {
        let found = extensions.get::<Caller>();
        found.ok_or_else(|| Status::internal("the connection does not say whose it is"))
    }
}

/// A connection that may make requests.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    caller: Caller,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// All connections, as they come.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    credentials: Credentials,
    metrics: Arc<Metrics>,
    handshakes: JoinSet<Result<Connection, (String, String)>>,
    /// Those that may still succeed, the oldest first.
    trying: VecDeque<(AbortHandle, String)>,
    pause: Option<Pin<Box<Sleep>>>,
    refusal_log: LogLimit,
}

impl Connections {
    /// Of this listener.
    #[must_use]
    pub fn new(
        listener: TcpListener,
        credentials: Credentials,
        metrics: Arc<Metrics>,
    ) -> Connections {
        Connections {
            listener,
            credentials,
            metrics,
            handshakes: JoinSet::new(),
            trying: VecDeque::new(),
            pause: None,
            refusal_log: LogLimit::default(),
        }
    }

    /// Where refusals are counted.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// A new socket: a connection at once, or a handshake to be waited for.
    fn take(&mut self, socket: TcpStream, from: String) -> Option<Connection> {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a peer's connection ended before it began");
            return None;
        }
        let Some(credentials) = &self.credentials else {
            return Some(Connection { wire: Wire::Plain(socket), caller: Caller::Anybody });
        };
        let material = Arc::clone(&credentials.borrow());
        self.trying.retain(|(task, _)| !task.is_finished());
        if self.trying.len() >= HANDSHAKES_MAX
            && let Some((oldest, its)) = self.trying.pop_front()
        {
            oldest.abort();
            self.refuse(&its, "its handshake had to make room for others");
        }
        let caller = from.clone();
        let task = self.handshakes.spawn(async move {
            handshake(socket, &material).await.map_err(|reason| (caller, reason))
        });
        self.trying.push_back((task, from));
        None
    }

    fn refuse(&self, from: &str, reason: &str) {
        self.metrics.count_handshake_refused(Door::Peer);
        if let Some(others) = self.refusal_log.admit() {
            tracing::warn!(
                from,
                reason,
                others_since_last_line = others,
                "refusing a connection to the port for peers and the operator"
            );
        }
    }
}

async fn handshake(socket: TcpStream, material: &Material) -> Result<Connection, String> {
    let handshake = TlsAcceptor::from(material.server()).accept(socket);
    let stream = match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
        Err(_) => return Err(format!("no TLS handshake within {HANDSHAKE_MAX:?}")),
        Ok(Err(error)) => return Err(verify::reason(&error)),
        Ok(Ok(stream)) => stream,
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.ok_or("it showed no certificate")?;
    let caller = Caller::Known(certificate::identity(shown).map_err(|e| e.to_string())?);
    Ok(Connection { wire: Wire::Tls(Box::new(stream)), caller })
}

impl Stream for Connections {
    type Item = Result<Connection, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    break;
                }
                self.pause = None;
            }
            match self.listener.poll_accept(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok((socket, from))) => {
                    if let Some(connection) = self.take(socket, from.ip().to_string()) {
                        return Poll::Ready(Some(Ok(connection)));
                    }
                }
                Poll::Ready(Err(error)) => {
                    // Out of file descriptors, or the caller went at once.
                    tracing::warn!(%error, "accepting a connection of a peer or the operator");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
        while let Poll::Ready(Some(ended)) = self.handshakes.poll_join_next(cx) {
            match ended {
                Ok(Ok(connection)) => return Poll::Ready(Some(Ok(connection))),
                Ok(Err((from, reason))) => self.refuse(&from, &reason),
                Err(error) if error.is_cancelled() => {}
                Err(error) => tracing::error!(%error, "a handshake broke"),
            }
        }
        Poll::Pending
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

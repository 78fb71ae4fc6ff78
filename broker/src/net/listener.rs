//! Accepts client connections and knows those that are open.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chronik_core::core::input::{ConnId, Input, Token};
use chronik_core::log::disk::{DiskError, FileId};
use chronik_core::meta::Listener;
use chronik_core::wire::Response;
use chronik_tls::verify;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

use super::connection;
use super::held::Held;
use super::outbox::{Answer, Outbox, Room};
use super::tls::{ClientTls, HANDSHAKE_MAX};
use super::wire::{Session, Wire};
use crate::metrics::{Door, Metrics};
use crate::node::handle::{Event, Handle};
use crate::telemetry::LogLimit;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;

/// What clients may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time.
    pub connections_max: usize,
    /// Bytes of one request.
    pub request_bytes_max: usize,
    /// A connection without any request for this long is closed.
    pub idle: Duration,
    /// What may be outstanding on one connection.
    pub room: Room,
    /// Bytes of answers that wait for clients to take them, of all connections together. Beyond
    /// that, whoever has taken nothing for the longest time is disconnected.
    pub answer_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 10_000,
            request_bytes_max: 100 << 20,
            idle: Duration::from_secs(600),
            room: Room::default(),
            answer_bytes_max: 256 << 20,
        }
    }
}

/// All open client connections. Lives on the node's thread.
#[derive(Debug)]
pub struct Clients {
    pub(super) node: Handle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: Limits,
    pub(super) malformed_log: LogLimit,
    tls: ClientTls,
    tls_log: LogLimit,
    refused_log: LogLimit,
    slow_log: LogLimit,
    held: Rc<Held>,
    invited: Cell<bool>,
    invitation: Notify,
    dismissed: Cell<bool>,
    last_id: Cell<u64>,
    open: RefCell<BTreeMap<ConnId, Rc<Outbox>>>,
}

impl Clients {
    /// No connections yet; requests go to `node`.
    #[must_use]
    pub fn new(node: Handle, metrics: Arc<Metrics>, limits: Limits, tls: ClientTls) -> Rc<Clients> {
        Rc::new(Clients {
            node,
            metrics,
            limits,
            malformed_log: LogLimit::default(),
            tls,
            tls_log: LogLimit::default(),
            refused_log: LogLimit::default(),
            slow_log: LogLimit::default(),
            held: Rc::default(),
            invited: Cell::new(false),
            invitation: Notify::new(),
            dismissed: Cell::new(false),
            last_id: Cell::new(0),
            open: RefCell::default(),
        })
    }

    /// Answers a request with a response, or with nothing. `files` finds open files.
    pub fn reply(
        &self,
        token: Token,
        response: Option<Response>,
        files: impl Fn(FileId) -> Result<Arc<File>, DiskError>,
    ) {
        // Looked up first: a client that is gone needs nothing encoded.
        let Some(outbox) = self.outbox(token.conn) else { return };
        let answer = match response {
            Some(response) => self.encode(response, files),
            None => Answer::Nothing,
        };
        outbox.answer(token.seq, answer);
        while self.held.bytes() > self.limits.answer_bytes_max {
            self.give_up_slowest();
        }
    }

    /// Disconnects whoever has taken nothing of its answers for the longest time.
    fn give_up_slowest(&self) {
        let open = self.open.borrow();
        let waiting =
            open.iter().filter_map(|(id, outbox)| Some((outbox.waits_since()?, id, outbox)));
        let slowest = waiting.min_by_key(|(since, id, _)| (*since, **id));
        let (since, id, outbox) = slowest.expect("whatever is held waits in an open connection");
        let bytes = outbox.give_up();
        self.metrics.connections_slow.inc();
        if let Some(others) = self.slow_log.admit() {
            tracing::warn!(
                connection = id.0, bytes, waited = ?since.elapsed(), others_since_last_line = others,
                "closing a client connection: answers wait for too many slow clients, and this one \
                 has waited longest"
            );
        }
    }

    /// Ends a connection instead of answering a request, once earlier answers have left.
    pub fn close(&self, token: Token) {
        if let Some(outbox) = self.outbox(token.conn) {
            outbox.answer(token.seq, Answer::Close);
        }
    }

    /// Whether all answers that there are have left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.borrow().values().all(|outbox| outbox.is_idle())
    }

    /// From now on no request is taken any more; those that were are still answered.
    pub fn dismiss(&self) {
        self.dismissed.set(true);
    }

    pub(super) fn are_dismissed(&self) -> bool {
        self.dismissed.get()
    }

    /// The response as an answer; one that cannot be sent ends the connection.
    pub(super) fn encode(
        &self,
        response: Response,
        files: impl Fn(FileId) -> Result<Arc<File>, DiskError>,
    ) -> Answer {
        match connection::encode(response, files) {
            Ok(pieces) => Answer::Send(pieces),
            Err(error) => {
                self.metrics.unanswerable.inc();
                tracing::error!(%error, "closing a client connection: its answer cannot be sent");
                Answer::Close
            }
        }
    }

    fn outbox(&self, conn: ConnId) -> Option<Rc<Outbox>> {
        self.open.borrow().get(&conn).map(Rc::clone)
    }

    /// From now on clients are served; calling it again changes nothing.
    pub fn invite(&self) {
        if !self.invited.replace(true) {
            self.invitation.notify_waiters();
        }
    }

    /// Accepts connections once clients are invited, for as long as it is polled. Within a
    /// `LocalSet`. Until then they are refused at the socket: a client that is let in early takes
    /// what it is told (no controller, no brokers) for the state of the cluster and waits its full
    /// timeout, and one that is held in the queue does not try the next broker.
    pub async fn accept(self: Rc<Clients>, socket: TcpSocket, listener: Listener) {
        if !self.invited.get() {
            self.invitation.notified().await;
        }
        let open = match socket.listen(BACKLOG) {
            Ok(open) => open,
            Err(error) => {
                let flag = match listener {
                    Listener::Internal => "--kafka-listen",
                    Listener::External => "--kafka-external-listen",
                };
                let reason = format!("listening for Kafka clients ({flag}): {error}");
                return self.node.send(Event::Die(reason));
            }
        };
        tracing::info!(?listener, "serving Kafka clients");
        loop {
            match open.accept().await {
                Ok((socket, from)) => self.welcome(socket, &from.ip().to_string(), listener),
                Err(error) => {
                    // Out of file descriptors, or the client went at once: neither ends the broker.
                    tracing::warn!(%error, "accepting a client connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn welcome(self: &Rc<Clients>, socket: TcpStream, host: &str, listener: Listener) {
        let open = self.open.borrow().len();
        if open >= self.limits.connections_max {
            self.metrics.connections_refused.inc();
            if let Some(others) = self.refused_log.admit() {
                tracing::warn!(
                    host,
                    open,
                    others_since_last_line = others,
                    "refusing a client connection: as many as allowed are open"
                );
            }
            return;
        }
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a client connection ended before it began");
            return;
        }
        let id = ConnId(self.last_id.get() + 1);
        self.last_id.set(id.0);
        let outbox = Rc::new(Outbox::new(self.limits.room, Rc::clone(&self.held)));
        self.open.borrow_mut().insert(id, Rc::clone(&outbox));
        self.metrics.connections.inc();
        self.metrics.connections_accepted.inc();
        let (clients, host): (_, Arc<str>) = (Rc::clone(self), host.into());
        tokio::task::spawn_local(async move {
            if let Some(wire) = clients.begin(socket, &host).await {
                connection::serve(&clients, id, host, listener, &wire, &outbox).await;
            }
            clients.open.borrow_mut().remove(&id);
            clients.metrics.connections.dec();
            clients.node.input(Input::Disconnected(id));
        });
    }

    /// Goes through the handshake, if clients are served within TLS.
    async fn begin(&self, socket: TcpStream, host: &str) -> Option<Wire> {
        let Some(tls) = &self.tls else { return Some(Wire::Plain(socket)) };
        let config = Arc::clone(&tls.borrow());
        let handshake = Session::accept(socket, Arc::clone(&config));
        let reason = match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
            Ok(Ok(session)) => return Some(Wire::Tls(Box::new(session))),
            Ok(Err(error)) => verify::reason(&error),
            Err(_) => format!("no TLS handshake within {HANDSHAKE_MAX:?}"),
        };
        self.metrics.count_handshake_refused(Door::Kafka);
        if let Some(others) = self.tls_log.admit() {
            tracing::warn!(
                host,
                reason,
                others_since_last_line = others,
                "closing a client connection: it does not speak TLS as we do"
            );
        }
        None
    }
}

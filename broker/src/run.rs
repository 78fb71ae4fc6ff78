//! Puts a broker together, runs it on one thread, and says how it ended. Wiring only.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chronik_core::ids::{Now, Uuid};
use chronik_core::meta::Listener;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet, LocalSet};
use tonic::transport::Server;

use crate::admin::service::{AdminService, only_operator};
use crate::config::Config;
use crate::descriptors::{self, Shares};
use crate::metrics::Metrics;
use crate::net::listener::{Clients, Limits};
use crate::net::tls;
use crate::node::engine::Engine;
use crate::node::handle::{Event, Handle};
use crate::node::{Clock, Ending, Node, Surroundings};
use crate::peer::WINDOW_BYTES;
use crate::peer::accept::Connections;
use crate::peer::credentials;
use crate::peer::server::PeerService;
use crate::proto::admin::admin_server::AdminServer;
use crate::storage::layout::DataDir;
use crate::storage::os_disk::OsDisk;
use crate::{metrics_http, shutdown};

/// Exit code of a broker that cannot go on.
pub const EXIT_FATAL: u8 = 2;
/// Exit code of a broker that emptied its data directory: start it again.
pub const EXIT_WIPED: u8 = 3;

/// The largest HTTP/2 frame: the larger, the fewer copies in pieces.
const HTTP2_FRAME_BYTES: u32 = 1 << 20;
/// A peer that answers nothing is noticed after both.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What a node learns of itself only when its directory and its listeners are open.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The id of its data directory.
    pub directory: Uuid,
    /// `host:port` that Kafka clients are told.
    pub kafka_address: String,
    /// `host:port` that peers and the operator are told.
    pub peer_address: String,
}

/// Runs a broker until it ends; `open` makes its core.
pub fn run<E: Engine>(
    config: &Config,
    open: impl FnOnce(&Config, Identity, OsDisk, Now) -> anyhow::Result<E>,
) -> anyhow::Result<ExitCode> {
    let data = DataDir::open(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let ending = LocalSet::new().block_on(&runtime, serve(config, &data, open))?;
    // Connections of peers may still be open; nothing waits for them.
    runtime.shutdown_background();
    match ending {
        Ending::Clean => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Ending::Wipe => {
            data.wipe().context("emptying the data directory")?;
            tracing::warn!("the data directory is empty; start this broker again");
            Ok(ExitCode::from(EXIT_WIPED))
        }
        Ending::Fatal(reason) => {
            tracing::error!(%reason, "the broker cannot go on");
            Ok(ExitCode::from(EXIT_FATAL))
        }
    }
}

async fn serve<E: Engine>(
    config: &Config,
    data: &DataDir,
    open: impl FnOnce(&Config, Identity, OsDisk, Now) -> anyhow::Result<E>,
) -> anyhow::Result<Ending> {
    let kafka = bind(config.kafka.listen)
        .with_context(|| format!("listening on {} (--kafka-listen)", config.kafka.listen))?;
    let kafka_address = kafka.local_addr().context("reading the address of --kafka-listen")?;
    let external = config.kafka_external.map(bind_external).transpose()?;
    let external_address = external.as_ref().map(|(_, address)| *address);
    let (peer, peer_address) = listen(&config.peer.listen, "--peer-listen").await?;
    let http = match &config.http {
        Some(address) => Some(listen(address, "--http-listen").await?.0),
        None => None,
    };

    let clock = Clock::start();
    let shares = descriptors::take();
    let disk = OsDisk::new(&data.shard(), shares.files);
    let identity = Identity {
        directory: data.id(),
        kafka_address: config.kafka.advertised_or(kafka_address),
        peer_address: config.peer.advertised_or(peer_address),
    };
    let engine = open(config, identity, disk.clone(), clock.now())?;

    let metrics = Arc::new(Metrics::default());
    let credentials = match &config.tls_dir {
        Some(dir) => Some(credentials::keep(dir, config.broker, &metrics)?),
        None => None,
    };
    let client_tls = match &config.kafka_tls_dir {
        Some(dir) => tls::keep(dir, &metrics)?,
        None => None,
    };
    let (handle, events) = Handle::new();
    let limits = within(shares, &config.clients);
    let clients = Clients::new(handle.clone(), Arc::clone(&metrics), limits, client_tls);
    let around = Surroundings {
        disk,
        clock,
        handle: handle.clone(),
        events,
        clients: Rc::clone(&clients),
        metrics: Arc::clone(&metrics),
        credentials: credentials.clone(),
    };
    let mut node = Node::new(engine, around).context("starting the threads that sync")?;
    let mut accepting = JoinSet::new();
    accepting.spawn_local(Rc::clone(&clients).accept(kafka, Listener::Internal));
    if let Some((external, _)) = external {
        accepting.spawn_local(clients.accept(external, Listener::External));
    }
    serve_peers(Connections::new(peer, credentials, Arc::clone(&metrics)), handle.clone());
    if let Some(http) = http {
        tokio::spawn(metrics_http::serve(http, handle.clone(), metrics));
    }
    watch_signals(handle);
    tracing::info!(
        broker = %config.broker, directory = %data.id(), kafka = %kafka_address,
        kafka_external = external_address.map(tracing::field::display), peer = %peer_address,
        "serving"
    );

    let ending = node.run().await;
    accepting.abort_all();
    match ending {
        Ending::Clean | Ending::Wipe => node.finish().await,
        // Waiting for a disk that failed could take forever.
        Ending::Fatal(_) => {}
    }
    Ok(ending)
}

/// What clients may do, given the descriptors that there are for them.
fn within(shares: Shares, limits: &Limits) -> Limits {
    let (wanted, most) = (limits.connections_max, shares.connections);
    if wanted > most {
        tracing::warn!(
            wanted,
            most,
            "fewer client connections are taken than --connections-max says: raise this process's \
             limit on open files"
        );
    }
    Limits { connections_max: wanted.min(most), ..limits.clone() }
}

/// Takes the address for clients outside; returns it with its port.
fn bind_external(address: SocketAddr) -> anyhow::Result<(TcpSocket, SocketAddr)> {
    let what = || format!("listening on {address} (--kafka-external-listen)");
    let socket = bind(address).with_context(what)?;
    let bound = socket.local_addr().with_context(what)?;
    Ok((socket, bound))
}

/// Takes the address, and refuses connections until there is someone to serve them.
fn bind(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` does: connections of an earlier run must not keep us out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn listen(
    address: &SocketAddr,
    field: &'static str,
) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} ({field})"))?;
    let bound = listener.local_addr().with_context(|| format!("listening on {address}"))?;
    Ok((listener, bound))
}

/// Serves peers and the operator on one port.
fn serve_peers(connections: Connections, node: Handle) -> JoinHandle<()> {
    let server = peer_server(connections, node.clone());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            node.send(Event::Die(format!("serving peers failed: {error}")));
        }
    })
}

/// The gRPC server of peers and operator.
pub async fn peer_server(
    connections: Connections,
    node: Handle,
) -> Result<(), tonic::transport::Error> {
    let metrics = connections.metrics();
    Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(PeerService::new(node.clone(), metrics))
        .add_service(AdminServer::with_interceptor(AdminService::new(node), only_operator))
        .serve_with_incoming(connections)
        .await
}

fn watch_signals(node: Handle) {
    tokio::spawn(async move {
        if let Err(error) = shutdown::watch(node.clone()).await {
            node.send(Event::Die(format!("signals cannot be watched: {error}")));
        }
    });
}

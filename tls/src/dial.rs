//! Opens connections to others of our cluster, as whoever we are at that moment.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::{Service, http::Uri};

use crate::identity::Role;
use crate::material::Material;
use crate::verify;

/// How long TCP may take to connect.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a handshake may take.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// Why nobody answered in the way that we expect.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum DialError {
    #[error("no connection to {address}: {reason}")]
    Tcp { address: String, reason: String },
    #[error("{address} does not end its TLS handshake within {} s", HANDSHAKE_MAX.as_secs())]
    Slow { address: String },
    #[error("TLS with {address}: {reason}")]
    Tls { address: String, reason: String },
}

/// A connection to one member of our cluster.
pub async fn connect(
    address: &str,
    role: Role,
    material: &Material,
) -> Result<TlsStream<TcpStream>, DialError> {
    let tcp = |error: std::io::Error| DialError::Tcp {
        address: address.to_owned(),
        reason: error.to_string(),
    };
    let socket = match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(tcp)?,
        Err(_) => return Err(tcp(std::io::ErrorKind::TimedOut.into())),
    };
    socket.set_nodelay(true).map_err(tcp)?;
    let config = material.client(material.identity().with_role(role));
    // Not looked at: whom we expect is in the configuration.
    let name = ServerName::try_from("chronik").expect("it is a name");
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, socket);
    match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
        Err(_) => Err(DialError::Slow { address: address.to_owned() }),
        Ok(done) => done.map_err(|error| DialError::Tls {
            address: address.to_owned(),
            reason: verify::reason(&error),
        }),
    }
}

/// Dials a server of HTTP/2, and returns the certificate that it showed once it has accepted ours:
/// its side of TLS 1.3 says so only by going on.
pub async fn probe(
    address: &str,
    role: Role,
    material: &Material,
) -> Result<CertificateDer<'static>, DialError> {
    let mut stream = connect(address, role, material).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    let mut first = [0];
    let tls = |reason: String| DialError::Tls { address: address.to_owned(), reason };
    match tokio::time::timeout(HANDSHAKE_MAX, stream.read(&mut first)).await {
        Err(_) => Err(DialError::Slow { address: address.to_owned() }),
        Ok(Err(error)) => Err(tls(verify::reason(&error))),
        Ok(Ok(0)) => Err(tls("it closed the connection".into())),
        Ok(Ok(_)) => shown.ok_or_else(|| tls("it showed no certificate".into())),
    }
}

/// Dials one member for tonic, each time with the newest certificate.
#[derive(Debug, Clone)]
pub struct Connector {
    address: String,
    role: Role,
    material: watch::Receiver<Arc<Material>>,
}

impl Connector {
    /// For `role` at `address`.
    #[must_use]
    pub fn new(address: &str, role: Role, material: watch::Receiver<Arc<Material>>) -> Connector {
        Connector { address: address.to_owned(), role, material }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (address, role) = (self.address.clone(), self.role);
        let material = Arc::clone(&self.material.borrow());
        Box::pin(async move { Ok(TokioIo::new(connect(&address, role, &material).await?)) })
    }
}

//! The certificate for Kafka clients: read from a directory, and taken over when it changes.
//! Connections that are open stay as they are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chronik_tls::keeper::Keeper;
use chronik_tls::material::{CERTIFICATE, Files, KEY, open_to_all};
use rustls::ServerConfig;
use tokio::sync::watch;

use crate::metrics::{Door, Metrics};

/// A client that has not ended its handshake by then is not waited for.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// TLS for clients, as of now; none where they are served without.
pub type ClientTls = Option<watch::Receiver<Arc<Arc<ServerConfig>>>>;

/// Reads the directory, and goes on looking at it in the background.
pub fn keep(dir: &Path, metrics: &Arc<Metrics>) -> anyhow::Result<ClientTls> {
    let metrics = Arc::clone(metrics);
    let parse = move |files: &Files| {
        let (config, not_after) = open_to_all(files.of(CERTIFICATE), files.of(KEY))?;
        metrics.set_certificate_expires(Door::Kafka, not_after);
        Ok(config)
    };
    let (keeper, current) = Keeper::open(dir, &[CERTIFICATE, KEY], parse).with_context(|| {
        format!("taking the certificate from {} (--kafka-tls-dir)", dir.display())
    })?;
    tokio::spawn(keeper.keep());
    Ok(Some(current))
}

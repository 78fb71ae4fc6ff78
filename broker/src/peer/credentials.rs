//! Who this broker is to its peers and to the operator: read from a directory, taken over when it
//! changes, and checked to be this very broker.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use chronik_core::ids::BrokerId;
use chronik_tls::identity::{Identity, Role};
use chronik_tls::keeper::Keeper;
use chronik_tls::material::{AUTHORITIES, CERTIFICATE, Files, KEY, Material, MaterialError};
use tokio::sync::watch;

use crate::metrics::{Door, Metrics};

/// Reads the directory, and goes on looking at it in the background.
pub fn keep(
    dir: &Path,
    broker: BrokerId,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<watch::Receiver<Arc<Material>>> {
    let metrics = Arc::clone(metrics);
    let cluster = OnceLock::new();
    let parse = move |files: &Files| {
        let material = Material::from_files(files)?;
        check(material.identity(), broker, &cluster)?;
        metrics.set_certificate_expires(Door::Peer, material.not_after());
        Ok(material)
    };
    let (keeper, current) = Keeper::open(dir, &[CERTIFICATE, KEY, AUTHORITIES], parse)
        .with_context(|| format!("taking the certificate from {} (--tls-dir)", dir.display()))?;
    tracing::info!(identity = %current.borrow().identity(), "peers and operator show certificates");
    tokio::spawn(keeper.keep());
    Ok(current)
}

/// The certificate is this broker's, and stays in its cluster.
fn check(
    found: &Identity,
    broker: BrokerId,
    cluster: &OnceLock<Identity>,
) -> Result<(), MaterialError> {
    let wrong = |expected| MaterialError::WrongHolder { found: Box::new(found.clone()), expected };
    if found.role != Role::Broker(broker.0) {
        return Err(wrong(format!("broker {broker}")));
    }
    let first = cluster.get_or_init(|| found.clone());
    if first == found { Ok(()) } else { Err(wrong(first.to_string())) }
}

//! A certificate with its key and the authorities that its holder trusts, checked, and as TLS takes
//! them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certificate::{self, Unreadable};
use crate::identity::Identity;
use crate::provider;
use crate::verify::{Caller, Dialed};

/// The certificate of the holder, then those between it and the authority, if any.
pub const CERTIFICATE: &str = "tls.crt";
/// Its key.
pub const KEY: &str = "tls.key";
/// The authorities that the holder trusts.
pub const AUTHORITIES: &str = "ca.crt";

/// What is wrong with a certificate, its key or its authorities.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum MaterialError {
    #[error("could not read {file}")]
    Read { file: String, source: io::Error },
    #[error("{file} is not PEM: {reason}")]
    Pem { file: &'static str, reason: String },
    #[error("{file} has no certificate")]
    Empty { file: &'static str },
    #[error("{CERTIFICATE}: {0}")]
    Certificate(Unreadable),
    #[error("{AUTHORITIES}: {0}")]
    Authorities(String),
    #[error("{CERTIFICATE} is that of {found}, and this is {expected}")]
    WrongHolder { found: Box<Identity>, expected: String },
    #[error("{KEY} is no key of {CERTIFICATE}: {0}")]
    Key(rustls::Error),
}

/// The bytes of the files of a directory, all of the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files(Vec<(&'static str, Vec<u8>)>);

impl Files {
    /// Reads files. Kubernetes swaps all files of a mounted Secret at once, by one symbolic link:
    /// it is followed once, so that a certificate is never paired with an older key.
    pub fn read(dir: &Path, names: &[&'static str]) -> Result<Files, MaterialError> {
        let dir = dir.join("..data").canonicalize().unwrap_or_else(|_| dir.to_owned());
        let read = |name: &&'static str| {
            let path = dir.join(name);
            let file = path.display().to_string();
            let bytes =
                std::fs::read(path).map_err(|source| MaterialError::Read { file, source })?;
            Ok((*name, bytes))
        };
        Ok(Files(names.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// The bytes of one of them.
    #[must_use]
    pub fn of(&self, name: &str) -> &[u8] {
        let found = self.0.iter().find(|(found, _)| *found == name);
        found.map_or(&[], |(_, bytes)| bytes)
    }
}

/// The certificates in a PEM text.
pub fn certificates(
    file: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| MaterialError::Pem { file, reason: error.to_string() })?;
    if found.is_empty() { Err(MaterialError::Empty { file }) } else { Ok(found) }
}

fn certified(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, MaterialError> {
    let chain = certificates(CERTIFICATE, chain)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| MaterialError::Pem { file: KEY, reason: error.to_string() })?;
    // Also compares the two.
    CertifiedKey::from_der(chain, key, &provider()).map_err(MaterialError::Key)
}

/// TLS for whoever comes, with this certificate; nobody is asked for one. Also until when the
/// certificate is valid, in seconds since 1970.
pub fn open_to_all(chain: &[u8], key: &[u8]) -> Result<(Arc<ServerConfig>, i64), MaterialError> {
    let key = certified(chain, key)?;
    let facts = certificate::facts(&key.cert[0]).map_err(MaterialError::Certificate)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(MaterialError::Key)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    Ok((Arc::new(config), facts.not_after))
}

/// Who we are, whom we trust, and TLS for both directions.
#[derive(Debug)]
pub struct Material {
    identity: Identity,
    not_after: i64,
    leaf: CertificateDer<'static>,
    key: Arc<SingleCertAndKey>,
    roots: Arc<RootCertStore>,
    server: Arc<ServerConfig>,
}

impl Material {
    /// Checks and takes over what is in three PEM texts.
    pub fn from_pem(chain: &[u8], key: &[u8], authorities: &[u8]) -> Result<Self, MaterialError> {
        let key = certified(chain, key)?;
        let leaf = &key.cert[0];
        let identity = certificate::identity(leaf).map_err(MaterialError::Certificate)?;
        let not_after = certificate::facts(leaf).map_err(MaterialError::Certificate)?.not_after;
        let leaf = leaf.clone();
        let mut roots = RootCertStore::empty();
        for authority in certificates(AUTHORITIES, authorities)? {
            roots.add(authority).map_err(|e| MaterialError::Authorities(e.to_string()))?;
        }
        let (key, roots) = (Arc::new(SingleCertAndKey::from(key)), Arc::new(roots));
        let server = Arc::new(server(&identity, &key, &roots)?);
        Ok(Material { identity, not_after, leaf, key, roots, server })
    }

    /// As [`Material::from_pem`], of the three files of a directory.
    pub fn from_files(files: &Files) -> Result<Material, MaterialError> {
        Material::from_pem(files.of(CERTIFICATE), files.of(KEY), files.of(AUTHORITIES))
    }

    /// Who we are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether it says the same as another: the same certificate, and the same trusted.
    #[must_use]
    pub fn is_same(&self, other: &Material) -> bool {
        self.leaf == other.leaf && self.roots.roots == other.roots.roots
    }

    /// Until when others believe it, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// For those who dial us: somebody of our cluster, with a certificate of our authorities.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For dialing somebody of our cluster, and nobody else.
    #[must_use]
    pub fn client(&self, expected: Identity) -> ClientConfig {
        let verifier = Dialed { roots: Arc::clone(&self.roots), provider: provider(), expected };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has ciphers of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&self.key) as Arc<dyn ResolvesClientCert>);
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config
    }
}

/// What is spoken within.
const ALPN: &[u8] = b"h2";

fn server(
    identity: &Identity,
    key: &Arc<SingleCertAndKey>,
    roots: &Arc<RootCertStore>,
) -> Result<ServerConfig, MaterialError> {
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
        .build()
        .map_err(|error| MaterialError::Authorities(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(MaterialError::Key)?
        .with_client_cert_verifier(Arc::new(Caller { chain, own: identity.clone() }))
        .with_cert_resolver(Arc::clone(key) as Arc<dyn rustls::server::ResolvesServerCert>);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

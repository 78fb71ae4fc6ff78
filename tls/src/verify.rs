//! Both directions' checks: the chain, by webpki; then the name. Connections are never resumed, so
//! that each one is checked against what is trusted now.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::certificate::{self, Unreadable};
use crate::identity::Identity;

/// A certificate that is sound, and somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongName {
    /// It names nobody in our way.
    #[error(transparent)]
    Nobody(#[from] Unreadable),
    /// It is not of the one who was dialed.
    #[error("the certificate is that of {found}, and not of {expected}")]
    NotTheDialed {
        /// Who holds it.
        found: Box<Identity>,
        /// Who was dialed.
        expected: Box<Identity>,
    },
    /// It is of another cluster.
    #[error("the certificate is that of {found}, which is not of cluster {namespace}/{cluster}")]
    OtherCluster {
        /// Who holds it.
        found: Box<Identity>,
        /// Our namespace.
        namespace: String,
        /// Our cluster.
        cluster: String,
    },
}

impl From<WrongName> for Error {
    fn from(error: WrongName) -> Error {
        Error::Other(OtherError(Arc::new(error)))
    }
}

/// Why a handshake failed, in words: our own where the reason is ours.
#[must_use]
pub fn reason(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::Other(OtherError(ours))) => ours.to_string(),
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

/// Checks the one who was dialed.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) expected: Identity,
}

impl ServerCertVerifier for Dialed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let found = certificate::identity(end_entity).map_err(WrongName::from)?;
        if found == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        let expected = Box::new(self.expected.clone());
        Err(WrongName::NotTheDialed { found: Box::new(found), expected }.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks whoever dials: somebody of our cluster. What it may do is asked later.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
    pub(crate) own: Identity,
}

impl ClientCertVerifier for Caller {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let found = certificate::identity(end_entity).map_err(WrongName::from)?;
        if found.is_of_the_cluster_of(&self.own) {
            return Ok(verified);
        }
        let Identity { namespace, cluster, .. } = self.own.clone();
        Err(WrongName::OtherCluster { found: Box::new(found), namespace, cluster }.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

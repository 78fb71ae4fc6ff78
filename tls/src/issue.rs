//! Makes authorities, and certificates that they sign. Keys are P-256: small, quick, and known to
//! every client. From when to when is an argument; keys and serial numbers are chance.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::identity::Identity;

/// A certificate and its key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// From when to when something is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then.
    pub not_before: i64,
    /// Until then.
    pub not_after: i64,
}

/// Why nothing could be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum IssueError {
    #[error("a certificate could not be made")]
    Make(#[from] rcgen::Error),
    #[error("{0} is no time that a certificate can name")]
    Time(i64),
}

/// Makes an authority of its own.
pub fn authority(name: &str, validity: Validity) -> Result<Pair, IssueError> {
    let mut params = params(name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Has an authority sign that somebody is who it is, for dialing and for being dialed.
pub fn certificate(
    authority: &Pair,
    holder: &Identity,
    validity: Validity,
) -> Result<Pair, IssueError> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let mut params = params("chronik", validity)?;
    params.subject_alt_names = vec![SanType::URI(holder.to_string().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// A certificate that a server signs for itself, with a name of DNS or an address: for those who trust
/// just it.
pub fn server(host: &str, validity: Validity) -> Result<Pair, IssueError> {
    let mut params = params(host, validity)?;
    params.subject_alt_names = vec![match host.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(host.to_owned().try_into()?),
    }];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, IssueError> {
    let at = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Time(seconds))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(validity.not_before)?;
    params.not_after = at(validity.not_after)?;
    Ok(params)
}

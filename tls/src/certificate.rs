//! What one certificate says, read from its bytes. Nothing here trusts it.

use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use crate::identity::Identity;

/// What one certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Who holds it, if it says so in our way: by one URI and no other name.
    pub identity: Option<Identity>,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    /// It may sign others.
    pub is_authority: bool,
    /// What its authority tells it from others by, in hexadecimal digits.
    pub serial: String,
}

/// Bytes that are no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a certificate cannot be read: {0}")]
pub struct Unreadable(pub String);

/// Reads a certificate.
pub fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, Unreadable> {
    let unreadable = |error: &dyn std::fmt::Display| Unreadable(error.to_string());
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|e| unreadable(&e))?;
    let is_authority = parsed.is_ca();
    let identity = if is_authority { None } else { identity(certificate).ok() };
    Ok(Facts {
        identity,
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        is_authority,
        serial: parsed.serial.to_str_radix(16),
    })
}

/// Who holds this certificate, as it says itself.
pub fn identity(certificate: &CertificateDer<'_>) -> Result<Identity, Unreadable> {
    let parsed = webpki::EndEntityCert::try_from(certificate)
        .map_err(|error| Unreadable(error.to_string()))?;
    let mut names = parsed.valid_uri_names();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(Unreadable("it does not have exactly one URI as its name".into()));
    };
    name.parse().map_err(|error: crate::identity::NoIdentity| Unreadable(error.to_string()))
}

/// Whether `authority`'s key has signed `certificate`.
#[must_use]
pub fn is_signed_by(certificate: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> bool {
    let (Ok((_, certificate)), Ok((_, authority))) =
        (parse_x509_certificate(certificate), parse_x509_certificate(authority))
    else {
        return false;
    };
    certificate.issuer() == authority.subject()
        && certificate.verify_signature(Some(authority.public_key())).is_ok()
}

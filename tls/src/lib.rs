//! Who is who on the admin and peer port. A certificate names its holder by one URI; whoever dials
//! and whoever is dialed checks the chain to the cluster's own authority, then that name. No name of
//! DNS has a part in it: brokers are dialed by whatever address is at hand.
//!
//! Reading order: an [`identity`] is in a [`certificate`]; certificate, key and authorities are a
//! [`material`]; [`verify`] has the checks; [`dial`] opens connections; [`keeper`] takes over what
//! is new in a directory while everything goes on. Who may do what is the broker's to say.

pub mod certificate;
pub mod dial;
pub mod identity;
#[cfg(feature = "issue")]
pub mod issue;
pub mod keeper;
pub mod material;
pub mod verify;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// Where signatures and ciphers come from.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

//! The Secrets with the authority and the certificates, to and from what they mean.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::BrokerId;
use chronik_tls::certificate::{self, Facts};
use chronik_tls::identity::{Identity, Role};
use chronik_tls::issue::Pair;
use chronik_tls::material::{AUTHORITIES, CERTIFICATE, KEY, Material, certificates};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::rotation::{Der, Holder, Leaf, Signer, Span};
use crate::platform::kube::names::{Names, broker_of};

/// The annotation of the authority's Secret with the last request to replace it.
const ROTATED_FOR: &str = "chronik.io/rotated-for";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const OLD: &str = "old.crt";

/// The authority, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Signs.
    pub(super) signing: Option<Pair>,
    /// Will sign.
    pub(super) next: Option<Pair>,
    /// Trusted still, as PEM.
    pub(super) old: String,
    /// The last request that was taken up.
    pub(super) rotated_for: Option<String>,
}

impl Kept {
    /// Whom everybody is to trust, as PEM.
    pub(super) fn trusted(&self) -> String {
        let signers = self.signing.iter().chain(&self.next).map(|pair| pair.certificate.as_str());
        signers.chain([self.old.as_str()]).collect()
    }

    /// As the decisions need it.
    pub(super) fn facts(&self) -> super::rotation::Authority {
        super::rotation::Authority {
            signing: self.signing.as_ref().and_then(signer),
            next: self.next.as_ref().and_then(signer),
            old: ders(self.old.as_bytes()),
            rotated_for: self.rotated_for.clone(),
        }
    }
}

/// A holder's certificate, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Certificate and key.
    pub(super) pair: Pair,
    /// Whom the holder is told to trust, as PEM.
    pub(super) trusted: String,
}

impl Held {
    /// As the decisions need it; none if it cannot be used, or is somebody else's. `trusted` are the
    /// authorities of now.
    pub(super) fn facts(&self, holder: &Identity, trusted: &BTreeSet<Der>) -> Option<Leaf> {
        let material = self.material()?;
        if material.identity() != holder {
            return None;
        }
        let leaf = certificates(CERTIFICATE, self.pair.certificate.as_bytes()).ok()?.remove(0);
        let Facts { not_before, not_after, .. } = certificate::facts(&leaf).ok()?;
        let signed = |by: &&Der| certificate::is_signed_by(&leaf, &by.as_slice().into());
        Some(Leaf {
            signer: trusted.iter().find(signed).cloned(),
            certificate: leaf.to_vec(),
            span: Span { from: not_before, until: not_after },
            trusts: ders(self.trusted.as_bytes()),
        })
    }

    /// As TLS takes it.
    pub(super) fn material(&self) -> Option<Material> {
        let Held { pair: Pair { certificate, key }, trusted } = self;
        Material::from_pem(certificate.as_bytes(), key.as_bytes(), trusted.as_bytes()).ok()
    }
}

/// All Secrets of a cluster's certificates, and the versions of those objects that exist, which are
/// what is replaced.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) kept: Option<Kept>,
    pub(super) held: BTreeMap<Holder, Held>,
    objects: BTreeMap<String, ObjectMeta>,
}

impl Store {
    /// Reads what was listed. What is on its way out, or of an earlier cluster of this name, or makes
    /// no sense, counts as not there, and is written over.
    pub(super) fn read(names: &Names, listed: Vec<Secret>) -> Store {
        let mut store = Store::default();
        for secret in listed {
            let Some(name) = secret.metadata.name.clone() else { continue };
            let owners = secret.metadata.owner_references.as_deref().unwrap_or_default();
            let is_ours = owners.iter().any(|owner| owner.uid == names.uid);
            if is_ours && secret.metadata.deletion_timestamp.is_none() {
                if name == names.authority() {
                    store.kept = kept(&secret);
                } else if let Some(holder) = holder_of(names, &secret.metadata)
                    && let Some(held) = held(&secret)
                {
                    store.held.insert(holder, held);
                }
            }
            store.objects.insert(name, secret.metadata);
        }
        store
    }

    /// The object of this name, if it was listed.
    pub(super) fn object(&self, name: &str) -> Option<&ObjectMeta> {
        self.objects.get(name)
    }

    /// Takes over what was written or deleted.
    pub(super) fn wrote(&mut self, name: String, now: Option<ObjectMeta>) {
        match now {
            Some(meta) => drop(self.objects.insert(name, meta)),
            None => drop(self.objects.remove(&name)),
        }
    }
}

/// Who a holder is.
pub(super) fn identity(names: &Names, holder: Holder) -> Identity {
    Identity {
        namespace: names.namespace.clone(),
        cluster: names.cluster.clone(),
        role: match holder {
            Holder::Operator => Role::Operator,
            Holder::Broker(id) => Role::Broker(id),
        },
    }
}

/// The name of a holder's Secret.
pub(super) fn name(names: &Names, holder: Holder) -> String {
    match holder {
        Holder::Operator => names.operator_certificate(),
        Holder::Broker(id) => names.certificate(id),
    }
}

fn holder_of(names: &Names, meta: &ObjectMeta) -> Option<Holder> {
    let found = meta.name.as_deref()?;
    let broker: Option<BrokerId> = broker_of(meta);
    let holder = broker.map_or(Holder::Operator, Holder::Broker);
    (found == name(names, holder)).then_some(holder)
}

/// The authority's Secret.
pub(super) fn authority(names: &Names, kept: &Kept) -> Secret {
    let Kept { signing, next, old, rotated_for } = kept;
    let mut data = BTreeMap::new();
    let mut put = |key: &str, text: &str| {
        data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
    };
    if let Some(Pair { certificate, key }) = signing {
        put(CERTIFICATE, certificate);
        put(KEY, key);
    }
    if let Some(Pair { certificate, key }) = next {
        put(NEXT_CERTIFICATE, certificate);
        put(NEXT_KEY, key);
    }
    if !old.is_empty() {
        put(OLD, old);
    }
    let mut metadata = names.meta(names.authority(), names.labels());
    let note = rotated_for.iter().map(|token| (ROTATED_FOR.to_owned(), token.clone()));
    metadata.annotations = Some(note.collect()).filter(|notes: &BTreeMap<_, _>| !notes.is_empty());
    Secret { metadata, data: Some(data), type_: Some("Opaque".into()), ..Secret::default() }
}

/// A holder's Secret.
pub(super) fn certificate(names: &Names, holder: Holder, held: &Held) -> Secret {
    let labels = match holder {
        Holder::Operator => names.labels(),
        Holder::Broker(id) => names.broker_labels(id),
    };
    let Held { pair: Pair { certificate, key }, trusted } = held;
    let data = [(CERTIFICATE, certificate), (KEY, key), (AUTHORITIES, trusted)];
    let data = data.map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())));
    Secret {
        metadata: names.meta(name(names, holder), labels),
        data: Some(data.into()),
        type_: Some("kubernetes.io/tls".into()),
        ..Secret::default()
    }
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.clone()).ok()
}

fn kept(secret: &Secret) -> Option<Kept> {
    let pair = |certificate: &str, key: &str| {
        Some(Pair { certificate: text(secret, certificate)?, key: text(secret, key)? })
            .filter(|pair| signer(pair).is_some())
    };
    let notes = secret.metadata.annotations.as_ref();
    let kept = Kept {
        signing: pair(CERTIFICATE, KEY),
        next: pair(NEXT_CERTIFICATE, NEXT_KEY),
        old: text(secret, OLD).unwrap_or_default(),
        rotated_for: notes.and_then(|notes| notes.get(ROTATED_FOR)).cloned(),
    };
    (kept.signing.is_some() || kept.next.is_some()).then_some(kept)
}

fn held(secret: &Secret) -> Option<Held> {
    let pair = Pair { certificate: text(secret, CERTIFICATE)?, key: text(secret, KEY)? };
    Some(Held { pair, trusted: text(secret, AUTHORITIES)? })
}

/// An authority that can sign; none if its certificate or its key makes no sense.
fn signer(pair: &Pair) -> Option<Signer> {
    let der = certificates(CERTIFICATE, pair.certificate.as_bytes()).ok()?.remove(0);
    let facts = certificate::facts(&der).ok().filter(|facts| facts.is_authority)?;
    if !pair.key.contains("PRIVATE KEY") {
        return None;
    }
    let span = Span { from: facts.not_before, until: facts.not_after };
    Some(Signer { certificate: der.to_vec(), span })
}

/// What tells an authority from others.
pub(super) fn serial(pair: &Pair) -> Option<String> {
    let der = certificates(CERTIFICATE, pair.certificate.as_bytes()).ok()?.remove(0);
    Some(certificate::facts(&der).ok()?.serial)
}

/// Certificates in PEM as bytes; none of a text that is not PEM.
fn ders(pem: &[u8]) -> BTreeSet<Der> {
    let found = certificates(AUTHORITIES, pem).unwrap_or_default();
    found.into_iter().map(|der| der.to_vec()).collect()
}

#[cfg(test)]
mod tests;

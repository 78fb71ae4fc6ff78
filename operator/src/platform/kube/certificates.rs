//! The cluster's own authority, and the certificates of brokers and of the operator itself: made
//! before they are needed, renewed in time, and replaced without cutting anybody off. What is done
//! when is decided in [`rotation`]; here are the looks and the writes.

pub mod rotation;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chronik_plan::BrokerId;
use chronik_tls::dial;
use chronik_tls::identity::Role;
use chronik_tls::issue::{self, IssueError, Pair, Validity};
use chronik_tls::material::Material;
use k8s_openapi::api::core::v1::Secret;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::error::KubeError;
use super::names::Names;
use super::objects::Objects;
use crate::admin::grpc::Credentials;
use rotation::{
    AUTHORITY_S, CERTIFICATE_S, Decision, Der, EARLIER_S, Holder, Phase, Seen, Step, decide,
    wants_a_look,
};
use secrets::{Held, Kept, Store};

/// Looking at what brokers show takes at most this long; who has not answered is asked again.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// A change of the authority is followed by what it makes necessary.
const ROUNDS_MAX: usize = 4;

/// What a pass knows of the cluster beside its certificates.
#[derive(Debug)]
pub struct Around<'a> {
    /// The cluster's names.
    pub names: &'a Names,
    /// Brokers that exist or should.
    pub wanted: BTreeSet<BrokerId>,
    /// Those that exist, and where they can be dialed, if they can.
    pub there: BTreeMap<BrokerId, Option<String>>,
    /// The request to replace the authority.
    pub rotate: Option<String>,
    /// The time, in seconds since 1970.
    pub now: i64,
}

/// What people are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How far a replacement of the authority is.
    pub phase: Phase,
    /// Until when the one that signs is valid.
    pub authority_until: Option<i64>,
    /// What tells it from others.
    pub authority_serial: String,
    /// Until when certificates are valid.
    pub until: BTreeMap<String, i64>,
}

/// The certificates of one cluster.
#[derive(Debug, Default)]
pub struct Certificates {
    store: Store,
    own: Option<watch::Sender<Arc<Material>>>,
    usable: bool,
    report: Report,
}

impl Certificates {
    /// Takes over what was listed at the start of a pass.
    pub fn take(&mut self, names: &Names, listed: Vec<Secret>) {
        self.store = Store::read(names, listed);
        self.identify(names);
    }

    /// The operator's own certificate, if there is one that can be used.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        match &self.own {
            Some(own) if self.usable => Credentials::Certificate(own.subscribe()),
            Some(_) | None => Credentials::Missing,
        }
    }

    /// What people are told, as of the last pass.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Writes what is to be written now; what was done, in words.
    pub async fn tend(
        &mut self,
        objects: &Objects,
        around: &Around<'_>,
    ) -> Result<Vec<String>, KubeError> {
        let mut done = Vec::new();
        let mut seen = self.seen(around);
        if wants_a_look(&seen, around.now) {
            seen.shown = self.look(around).await;
        }
        for _ in 0..ROUNDS_MAX {
            let Decision { steps, phase } = decide(&seen, around.now);
            self.report = self.describe(&seen, phase);
            let mut decided = false;
            for step in steps {
                done.push(self.carry_out(objects, around, &step).await?);
                decided |= step.changes_the_authority();
            }
            if !decided {
                break;
            }
            // What was seen was seen with the authority of before.
            seen = self.seen(around);
        }
        self.identify(around.names);
        Ok(done)
    }

    fn identify(&mut self, names: &Names) {
        let expected = secrets::identity(names, Holder::Operator);
        let held = self.store.held.get(&Holder::Operator);
        let material = held.and_then(Held::material).filter(|m| *m.identity() == expected);
        self.usable = material.is_some();
        let Some(material) = material.map(Arc::new) else { return };
        match &self.own {
            None => self.own = Some(watch::channel(material).0),
            Some(own) if own.borrow().is_same(&material) => {}
            Some(own) => drop(own.send_replace(material)),
        }
    }

    fn seen(&self, around: &Around<'_>) -> Seen {
        let authority = self.store.kept.as_ref().map(Kept::facts);
        let trusted = authority.as_ref().map(|a| a.trusted()).unwrap_or_default();
        let leaves = self.store.held.iter().filter_map(|(holder, held)| {
            let identity = secrets::identity(around.names, *holder);
            Some((*holder, held.facts(&identity, &trusted)?))
        });
        Seen {
            leaves: leaves.collect(),
            authority,
            wanted: around.wanted.clone(),
            there: around.there.keys().copied().collect(),
            shown: BTreeMap::new(),
            rotate: around.rotate.clone(),
        }
    }

    /// Dials all brokers with a certificate of the newest authority: who lets it in trusts that, and
    /// shows what it uses itself.
    async fn look(&self, around: &Around<'_>) -> BTreeMap<BrokerId, Der> {
        let Some(material) = self.newest(around) else { return BTreeMap::new() };
        let mut calls = JoinSet::new();
        for (id, address) in &around.there {
            let Some(address) = address.clone() else { continue };
            let (id, material) = (*id, Arc::clone(&material));
            calls.spawn(
                async move { (id, dial::probe(&address, Role::Broker(id), &material).await) },
            );
        }
        let mut shown = BTreeMap::new();
        let all = async {
            while let Some(answer) = calls.join_next().await {
                match answer {
                    Ok((id, Ok(certificate))) => drop(shown.insert(id, certificate.to_vec())),
                    Ok((broker, Err(error))) => tracing::debug!(broker, %error, "not seen"),
                    Err(_) => {}
                }
            }
        };
        // Whoever has not answered by then was not seen.
        let _ = tokio::time::timeout(LOOK_MAX, all).await;
        shown
    }

    fn newest(&self, around: &Around<'_>) -> Option<Arc<Material>> {
        let kept = self.store.kept.as_ref()?;
        let signer = kept.next.as_ref().or(kept.signing.as_ref())?;
        let identity = secrets::identity(around.names, Holder::Operator);
        let span =
            Validity { not_before: around.now - EARLIER_S, not_after: around.now + EARLIER_S };
        let pair = issue::certificate(signer, &identity, span).ok()?;
        Held { pair, trusted: kept.trusted() }.material().map(Arc::new)
    }

    async fn carry_out(
        &mut self,
        objects: &Objects,
        around: &Around<'_>,
        step: &Step,
    ) -> Result<String, KubeError> {
        let names = around.names;
        let kept = || self.store.kept.clone().unwrap_or_default();
        let (kept, what) = match step {
            Step::MakeAuthority { trusting } if trusting.is_empty() => {
                let signing = Some(authority(around)?);
                let rotated_for = around.rotate.clone();
                (Kept { signing, rotated_for, ..Kept::default() }, "make the authority")
            }
            Step::MakeAuthority { .. } => {
                let (next, old) = (Some(authority(around)?), self.trusted_by_anybody());
                let rotated_for = around.rotate.clone();
                (
                    Kept { signing: None, next, old, rotated_for },
                    "make an authority to follow the lost one",
                )
            }
            Step::Begin => {
                let next = Some(authority(around)?);
                let rotated_for = around.rotate.clone();
                (Kept { next, rotated_for, ..kept() }, "make the next authority")
            }
            Step::Switch => {
                let Kept { signing, next, mut old, rotated_for } = kept();
                old.extend(signing.map(|pair| pair.certificate));
                (
                    Kept { signing: next, next: None, old, rotated_for },
                    "sign with the next authority",
                )
            }
            Step::Drop => (Kept { old: String::new(), ..kept() }, "drop the authority of before"),
            Step::Issue(holder) => {
                let held = self.issue(around, *holder)?;
                self.hold(objects, names, *holder, held).await?;
                return Ok(format!("make a certificate of {holder}"));
            }
            Step::Trust(holder) => {
                let trusted = kept().trusted();
                let Some(held) = self.store.held.get(holder) else { return Ok(String::new()) };
                let held = Held { trusted, ..held.clone() };
                self.hold(objects, names, *holder, held).await?;
                return Ok(format!("tell {holder} whom to trust"));
            }
            Step::Forget(id) => {
                let name = names.certificate(*id);
                if let Some(object) = self.store.object(&name) {
                    objects.delete::<Secret>(object).await?;
                }
                self.store.wrote(name, None);
                self.store.held.remove(&Holder::Broker(*id));
                return Ok(format!("delete the certificate of broker {id}"));
            }
        };
        let mut secret = secrets::authority(names, &kept);
        self.write(objects, &mut secret).await?;
        self.store.kept = Some(kept);
        Ok(what.to_owned())
    }

    fn issue(&self, around: &Around<'_>, holder: Holder) -> Result<Held, KubeError> {
        let kept = self.store.kept.clone().unwrap_or_default();
        let Some(signer) = kept.signing.as_ref().or(kept.next.as_ref()) else {
            return Err(KubeError::NotMine("signing without an authority".into()));
        };
        let identity = secrets::identity(around.names, holder);
        let until = around.now + CERTIFICATE_S;
        let validity = Validity { not_before: around.now - EARLIER_S, not_after: until };
        let pair = issue::certificate(signer, &identity, validity).map_err(unmade)?;
        Ok(Held { pair, trusted: kept.trusted() })
    }

    async fn hold(
        &mut self,
        objects: &Objects,
        names: &Names,
        holder: Holder,
        held: Held,
    ) -> Result<(), KubeError> {
        let mut secret = secrets::certificate(names, holder, &held);
        self.write(objects, &mut secret).await?;
        self.store.held.insert(holder, held);
        Ok(())
    }

    /// Made, or written over exactly the version that was looked at: of two operators one wins.
    async fn write(&mut self, objects: &Objects, secret: &mut Secret) -> Result<(), KubeError> {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let version = self.store.object(&name).and_then(|meta| meta.resource_version.clone());
        secret.metadata.resource_version = version;
        let written = objects.put(secret).await?;
        self.store.wrote(name, Some(written.metadata));
        Ok(())
    }

    /// All authorities that somebody was told to trust.
    fn trusted_by_anybody(&self) -> String {
        let mut all: Vec<&str> = Vec::new();
        for held in self.store.held.values() {
            if !all.contains(&held.trusted.as_str()) {
                all.push(&held.trusted);
            }
        }
        all.concat()
    }

    fn describe(&self, seen: &Seen, phase: Phase) -> Report {
        let signing = self.store.kept.as_ref().and_then(|kept| kept.signing.as_ref());
        let until = seen.leaves.iter().map(|(holder, leaf)| {
            let name = match holder {
                Holder::Operator => "operator".to_owned(),
                Holder::Broker(id) => format!("broker-{id}"),
            };
            (name, leaf.span.until)
        });
        let authority = seen.authority.as_ref().and_then(|a| a.signing.as_ref());
        Report {
            phase,
            authority_until: authority.map(|signer| signer.span.until),
            authority_serial: signing.and_then(secrets::serial).unwrap_or_default(),
            until: until.collect(),
        }
    }
}

fn authority(around: &Around<'_>) -> Result<Pair, KubeError> {
    let Names { cluster, namespace, .. } = around.names;
    let (from, until) = (around.now - EARLIER_S, around.now + AUTHORITY_S);
    let validity = Validity { not_before: from, not_after: until };
    issue::authority(&format!("{namespace}/{cluster} {}", around.now), validity).map_err(unmade)
}

fn unmade(source: IssueError) -> KubeError {
    KubeError::Issue(source)
}

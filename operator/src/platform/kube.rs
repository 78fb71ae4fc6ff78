//! Brokers as pods. What exists is listed from the API server at the start of every pass; nothing is
//! remembered. Only what the plan says is done to brokers; services, the seeds, the disruption
//! budget and volumes' sizes are seen to here.

pub mod budget;
pub mod certificates;
pub mod claim;
pub mod error;
pub mod external;
pub mod inputs;
pub mod listener_tls;
pub mod names;
pub mod nodes;
pub mod objects;
pub mod pod;
pub mod policy;
pub mod quantity;
pub mod racks;
pub mod replace;
pub mod seeds;
pub mod seen;
pub mod service;
pub mod statefulset;
pub mod within;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chronik_plan::{BrokerId, Plan, Process, Refusal, Step};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::{Addresses, Outcome, Platform, Tended};
use crate::admin::grpc::Credentials;
use crate::api::status::ListenerStatus;
use crate::reconcile::describe;
use crate::validate::Wanted;
use certificates::{Around, Certificates};
use error::{KubeError, status_code};
use inputs::{ImageFrom, Inputs, Port};
use objects::{Evicted, Objects};
use seen::Workload;
use statefulset::Standing;

/// One cluster on Kubernetes.
#[derive(Debug)]
pub struct Kube {
    objects: Objects,
    inputs: Inputs,
    /// The cluster is known to have been formed before.
    formed: bool,
    seen: BTreeMap<BrokerId, Workload>,
    certificates: Certificates,
    /// Why brokers could not serve clients within TLS, if they are to.
    listener_tls_wrong: Option<Refusal>,
    /// Where brokers stand, by their nodes' labels, and why it is not known of others.
    racks: racks::Racks,
    /// Where clients outside find brokers, and what is there for that.
    outside: external::Outside,
    /// The volume that is about to be given up, by uid, and since when.
    doomed: Option<(String, Instant)>,
}

impl Kube {
    /// The cluster of these inputs.
    #[must_use]
    pub fn new(objects: Objects, inputs: Inputs, formed: bool) -> Kube {
        let (seen, certificates) = (BTreeMap::new(), Certificates::default());
        let (racks, outside) = (racks::Racks::default(), external::Outside::default());
        let (listener_tls_wrong, doomed) = (None, None);
        Kube {
            objects,
            inputs,
            formed,
            seen,
            certificates,
            listener_tls_wrong,
            racks,
            outside,
            doomed,
        }
    }

    /// Takes over what the manifest says at the start of a pass.
    pub fn begin(&mut self, inputs: Inputs, formed: bool) {
        self.inputs = inputs;
        self.formed = formed;
    }

    /// Where clients start.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("{}:{}", self.inputs.names.bootstrap_host(), self.inputs.port(Port::Kafka))
    }

    /// The listeners, and where clients of each start.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerStatus> {
        let of = |name: &str, kind: &str, bootstrap: String| ListenerStatus {
            name: name.to_owned(),
            kind: kind.to_owned(),
            bootstrap,
        };
        let external = self.inputs.external.as_ref();
        let external = external.map(|e| of("external", e.kind.name(), self.outside.bootstrap()));
        [of("kafka", "internal", self.bootstrap())].into_iter().chain(external).collect()
    }

    /// What selects the brokers' pods, for the scale subresource.
    #[must_use]
    pub fn selector(&self) -> String {
        let labels = self.inputs.pod_selector();
        labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
    }

    /// How the certificates are.
    #[must_use]
    pub fn certificates(&self) -> &certificates::Report {
        self.certificates.report()
    }

    /// Some broker's template is as an earlier operator rendered it.
    #[must_use]
    pub fn has_older_rendering(&self) -> bool {
        let standings = self.seen.iter().filter_map(|(id, w)| self.standing(*id, w));
        standings.into_iter().any(|standing| standing == Standing::OlderRendering)
    }

    fn standing(&self, id: BrokerId, workload: &Workload) -> Option<Standing> {
        let live = workload.set.as_ref()?;
        // A set of an earlier cluster of this name is on its way out.
        let is_ours = |set: &StatefulSet| {
            let owners = set.metadata.owner_references.iter().flatten();
            owners.into_iter().any(|owner| owner.uid == self.inputs.names.uid)
        };
        (is_ours(live) && live.metadata.deletion_timestamp.is_none())
            .then(|| statefulset::standing(&statefulset::build(&self.inputs, id, Some(live)), live))
    }

    /// The image that the operator chose when the cluster was made.
    fn pinned_image(&self) -> Option<String> {
        let sets = self.seen.values().filter_map(|workload| workload.set.as_ref());
        let mut chosen = sets.filter(|set| {
            let notes = set.metadata.annotations.as_ref();
            notes.and_then(|notes| notes.get(statefulset::IMAGE_FROM)).is_some()
        });
        let spec = chosen.next()?.spec.as_ref()?.template.spec.as_ref()?;
        spec.containers.iter().find(|c| c.name == pod::CONTAINER)?.image.clone()
    }

    async fn start(&self, id: BrokerId) -> Result<Outcome, KubeError> {
        if let Some(refusal) = &self.listener_tls_wrong {
            return Ok(Outcome::Later(format!("broker {id} is not started: {refusal}")));
        }
        let live = self.seen.get(&id).and_then(|workload| workload.set.as_ref());
        self.objects.apply(&statefulset::build(&self.inputs, id, live)).await?;
        Ok(Outcome::Done)
    }

    async fn stop(&self, id: BrokerId) -> Result<Outcome, KubeError> {
        let Some(workload) = self.seen.get(&id) else { return Ok(Outcome::Done) };
        if let Some(set) = workload.set.as_ref().filter(|s| s.metadata.deletion_timestamp.is_none())
        {
            self.objects.delete::<StatefulSet>(&set.metadata).await?;
            return Ok(Outcome::Done);
        }
        let orphan = workload.pod.as_ref().filter(|pod| {
            let owned = pod.metadata.owner_references.as_ref().is_some_and(|o| !o.is_empty());
            !owned && workload.set.is_none() && pod.metadata.deletion_timestamp.is_none()
        });
        if let Some(pod) = orphan {
            self.objects.delete::<k8s_openapi::api::core::v1::Pod>(&pod.metadata).await?;
            return Ok(Outcome::Done);
        }
        Ok(Outcome::Later(format!("broker {id} is stopping")))
    }

    async fn update(&self, id: BrokerId) -> Result<Outcome, KubeError> {
        let later =
            |why: &str| Ok(Outcome::Later(format!("broker {id} is not restarted yet: {why}")));
        let Some(workload) = self.seen.get(&id) else { return later("it is not there") };
        match self.standing(id, workload) {
            None => return later("it is not there"),
            Some(Standing::Outdated) => return self.start(id).await,
            Some(Standing::Wanted | Standing::OlderRendering) => {}
        }
        if let Some(refusal) = &self.listener_tls_wrong {
            return later(&refusal.to_string());
        }
        let Some(pod) = &workload.pod else { return later("it has no pod") };
        if !workload.is_observed() {
            return later("Kubernetes has not seen its new template");
        }
        if pod.metadata.deletion_timestamp.is_some() {
            return later("its pod is ending");
        }
        match self.objects.evict(&pod.metadata).await? {
            Evicted::Told => Ok(Outcome::Done),
            Evicted::Gone => later("its pod was replaced meanwhile"),
            Evicted::NotNow(why) => later(&why),
        }
    }

    async fn delete_volume(&self, id: BrokerId) -> Result<Outcome, KubeError> {
        let Some(workload) = self.seen.get(&id) else { return Ok(Outcome::Done) };
        if workload.pod.is_some() || workload.set.is_some() {
            return Ok(Outcome::Later(format!("broker {id} still uses its volume")));
        }
        match &workload.claim {
            Some(claim) if claim.metadata.deletion_timestamp.is_none() => {
                self.objects.delete::<PersistentVolumeClaim>(&claim.metadata).await?;
                Ok(Outcome::Done)
            }
            Some(_) => Ok(Outcome::Later(format!("the volume of broker {id} is being deleted"))),
            None => Ok(Outcome::Done),
        }
    }

    async fn tend_volume(&self, workload: &Workload, tended: &mut Tended) -> Result<(), KubeError> {
        let Some(live) = &workload.claim else { return Ok(()) };
        let name = live.metadata.name.as_deref().unwrap_or_default();
        // Volumes of brokers that are gone are kept as they are, but for whom they go with.
        let growth = workload.set.as_ref().and_then(|_| claim::growth(&self.inputs, live));
        let ownership = claim::ownership(&self.inputs, live);
        for claim::Change { patch, what } in ownership.into_iter().chain(growth).take(1) {
            match self.objects.merge::<PersistentVolumeClaim>(name, &patch).await {
                Ok(_) => tended.done.push(what),
                Err(KubeError::Api { source, .. })
                    if matches!(status_code(&source), Some(403 | 422)) =>
                {
                    tended.refused.push(Refusal {
                        field: "spec.storage".into(),
                        value: self.inputs.volume_size.clone(),
                        reason: format!("could not {what}: {}", describe(source.as_ref())),
                    });
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// A set has one pod, whoever asked for more or less: a second one would be a second broker of
    /// the same id.
    async fn tend_set(&self, workload: &Workload, tended: &mut Tended) -> Result<(), KubeError> {
        let Some(set) = &workload.set else { return Ok(()) };
        let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
        if replicas != Some(1) && set.metadata.deletion_timestamp.is_none() {
            let name = set.metadata.name.as_deref().unwrap_or_default();
            self.objects.merge::<StatefulSet>(name, &json!({"spec": {"replicas": 1}})).await?;
            tended.done.push(format!("set the replicas of StatefulSet {name} back to 1"));
        }
        Ok(())
    }

    /// Before anything that needs them.
    async fn tend_certificates(&mut self, tended: &mut Tended) -> Result<(), KubeError> {
        let there = self.seen.iter().filter(|(_, w)| w.set.is_some() || w.pod.is_some());
        let around = Around {
            names: &self.inputs.names,
            wanted: self.brokers(),
            there: there.map(|(id, _)| (*id, self.admin_address(*id))).collect(),
            rotate: self.inputs.rotate.clone(),
            now: Timestamp::now().as_second(),
        };
        tended.done.extend(self.certificates.tend(&self.objects, &around).await?);
        Ok(())
    }

    fn brokers(&self) -> BTreeSet<BrokerId> {
        let there = self.seen.iter().filter(|(_, workload)| workload.set.is_some());
        there.map(|(id, _)| *id).chain(1..=self.inputs.wanted.brokers).collect()
    }
}

impl Platform for Kube {
    type Error = KubeError;

    async fn observe(&mut self) -> Result<BTreeMap<BrokerId, Process>, KubeError> {
        let selector = self.inputs.names.selector();
        let (sets, pods, claims, secrets) = tokio::try_join!(
            self.objects.list(&selector),
            self.objects.list(&selector),
            self.objects.list(&selector),
            self.objects.list(&selector),
        )?;
        self.seen = seen::by_broker(sets, pods, claims);
        self.certificates.take(&self.inputs.names, secrets);
        self.look_at_listener_tls().await?;
        let nodes = self.see_nodes().await?;
        let nodes = nodes.as_deref();
        self.mark_gone(nodes).await?;
        let rack_label = self.inputs.wanted.rack_label.as_deref();
        self.racks = racks::Racks::read(rack_label, &self.seen, nodes);
        self.see_outside(nodes).await?;
        if self.inputs.image.1 == ImageFrom::Operator
            && let Some(image) = self.pinned_image()
        {
            self.inputs.image.0 = image;
        }
        let now = Timestamp::now();
        let process =
            |(id, w): (&BrokerId, &Workload)| (*id, w.process(self.standing(*id, w), now));
        Ok(self.seen.iter().map(process).collect())
    }

    fn addresses(&self, broker: BrokerId) -> Addresses {
        let host = self.inputs.names.host(broker);
        let at = |port| format!("{host}:{}", self.inputs.port(port));
        Addresses { kafka: at(Port::Kafka), peer: at(Port::Peer), http: at(Port::Http) }
    }

    fn admin_address(&self, broker: BrokerId) -> Option<String> {
        let ip = self.seen.get(&broker)?.address()?;
        let port = self.inputs.port(Port::Peer);
        Some(if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
    }

    fn credentials(&self) -> Credentials {
        self.certificates.credentials()
    }

    fn racks(&self) -> BTreeMap<BrokerId, String> {
        self.racks.known.clone()
    }

    fn advertised(&self) -> BTreeMap<BrokerId, String> {
        self.outside.seen.known.clone()
    }

    fn troubles(&self) -> Vec<String> {
        self.seen.values().filter_map(Workload::trouble).collect()
    }

    fn may_act(&self) -> bool {
        self.objects.may_act()
    }

    fn configure(&mut self, wanted: &Wanted) {
        self.inputs.wanted = wanted.clone();
    }

    async fn tend(&mut self, plan: &Plan) -> Result<Tended, KubeError> {
        if !plan.steps.iter().any(|step| matches!(step, Step::Replace(_))) {
            self.doomed = None;
        }
        let mut tended = Tended::default();
        tended.refused.extend(self.listener_tls_wrong.clone());
        self.tend_certificates(&mut tended).await?;
        tended.refused.extend(self.racks.refusal(&self.inputs));
        let inputs = &self.inputs;
        let names = &inputs.names;
        let mut note = |was_written: bool, what: String| {
            if was_written {
                tended.done.push(what);
            }
        };
        let budget = budget::build(inputs, plan.spare);
        let at_once = i32::from(plan.spare);
        let what = match inputs.has_budget {
            true => format!("allow {at_once} broker to be down"),
            false => "remove the disruption budget".to_owned(),
        };
        note(self.objects.ensure_if(inputs.has_budget, &budget).await?, what);
        let metrics = service::metrics(inputs);
        note(
            self.objects.ensure_if(inputs.has_metrics_service, &metrics).await?,
            format!("see to Service {}", names.metrics()),
        );
        let headless = service::headless(inputs);
        note(self.objects.ensure(&headless).await?, format!("apply Service {}", names.headless()));
        let bootstrap = service::bootstrap(inputs);
        note(
            self.objects.ensure(&bootstrap).await?,
            format!("apply Service {}", names.bootstrap()),
        );
        let seeds = seeds::build(inputs, &self.brokers());
        note(self.objects.ensure(&seeds).await?, format!("apply ConfigMap {}", names.seeds()));
        policy::tend(&self.objects, inputs, &mut tended).await?;
        self.tend_outside(&mut tended).await?;
        for workload in self.seen.values() {
            self.tend_set(workload, &mut tended).await?;
            self.tend_volume(workload, &mut tended).await?;
        }
        Ok(tended)
    }

    async fn execute(&mut self, step: &Step) -> Result<Outcome, KubeError> {
        match step {
            Step::Start(id) => self.start(*id).await,
            Step::Stop(id) => self.stop(*id).await,
            Step::Update(id) => self.update(*id).await,
            Step::DeleteVolume(id) => self.delete_volume(*id).await,
            Step::Replace(id) => self.replace(*id).await,
            Step::Initialize { .. }
            | Step::ChangeMembership { .. }
            | Step::TransferLeadership { .. }
            | Step::Cordon { .. }
            | Step::Uncordon { .. }
            | Step::Drain { .. }
            | Step::Rebalance { .. }
            | Step::SetRack { .. }
            | Step::SetAdvertised { .. }
            | Step::SetCatchUpRate { .. }
            | Step::RemoveBroker { .. }
            | Step::Wipe { .. } => Err(KubeError::NotMine(step.to_string())),
        }
    }

    fn cluster_id(&mut self) -> Result<String, KubeError> {
        Ok(self.inputs.names.uid.clone())
    }

    fn formed(&self) -> bool {
        self.formed
    }

    /// Status remembers it, and is written at the end of the pass.
    fn set_formed(&mut self, _: &str) -> Result<(), KubeError> {
        self.formed = true;
        Ok(())
    }
}

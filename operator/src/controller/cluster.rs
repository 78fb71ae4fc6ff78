//! One pass over one cluster: read it from the API server itself, check it, look and plan and act,
//! and write down what came of it. Nothing here waits for progress.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::events::Recorder;
use kube::{Client, Resource as _, ResourceExt as _};
use serde_json::json;
use tokio::sync::Mutex;

use super::conditions::{self, Facts};
use super::identities::Identities;
use super::metrics::Metrics;
use super::stall::Watch;
use super::{certificates, lease, news};
use crate::api::cluster::ChronikCluster;
use crate::api::status::ClusterStatus;
use crate::fence::Fence;
use crate::platform::Platform as _;
use crate::platform::kube::Kube;
use crate::platform::kube::error::KubeError;
use crate::platform::kube::inputs::{Inputs, Settings};
use crate::platform::kube::names::FIELD_MANAGER;
use crate::platform::kube::objects::{Objects, call};
use crate::reconcile::{Pass, Reconciler};
use crate::side_effects::SideEffects;
use crate::validate::validate;
use chronik_plan::Refusal;

/// While something is under way.
pub(super) const BUSY: Duration = Duration::from_secs(2);
/// While nothing is: what no watch tells (a broker that fell silent) is seen after this long.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// With it, set to the id of the lost cluster, a new cluster is made where the old one's data is gone.
const ACCEPT_LOSS: &str = "chronik.io/accept-loss-of-cluster";

/// A cluster and what is kept for it between passes: connections, a brake for rebalancing, and since
/// when nothing has happened.
type Cluster = Arc<Mutex<Kept>>;

#[derive(Default)]
struct Kept {
    reconciler: Option<Reconciler<Kube>>,
    watch: Watch,
}

/// Passes over clusters.
pub struct Passes {
    client: Client,
    settings: Settings,
    fence: Fence,
    side_effects: SideEffects,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    identities: Identities,
    clusters: std::sync::Mutex<BTreeMap<(String, String), Cluster>>,
}

impl std::fmt::Debug for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passes").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Passes {
    /// Passes that act while `fence` holds.
    #[must_use]
    pub fn new(
        client: Client,
        settings: Settings,
        fence: Fence,
        side_effects: SideEffects,
        recorder: Recorder,
        metrics: Arc<Metrics>,
    ) -> Passes {
        let (identities, clusters) = (Identities::default(), std::sync::Mutex::default());
        Passes { client, settings, fence, side_effects, recorder, metrics, identities, clusters }
    }

    /// Who the operator is to the brokers of each cluster, as of the last passes.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// One pass; says when the next one is due, if it is before something changes.
    pub async fn one(&self, namespace: &str, name: &str) -> Result<Option<Duration>, KubeError> {
        if !self.fence.holds() {
            return Err(KubeError::NotLeading);
        }
        let began = Instant::now();
        let api: Api<DeserializeGuard<ChronikCluster>> =
            Api::namespaced(self.client.clone(), namespace);
        let what = || format!("read ChronikCluster {name}");
        let Some(DeserializeGuard(found)) = call(what, api.get_opt(name)).await? else {
            self.forget(namespace, name);
            return Ok(None);
        };
        let live = match found {
            Ok(live) => live,
            Err(invalid) => {
                self.refuse_whole(&invalid.metadata, &invalid.error).await?;
                return Ok(None);
            }
        };
        if live.metadata.deletion_timestamp.is_some() {
            // Owner references see to the rest.
            self.forget(namespace, name);
            return Ok(None);
        }
        let before = live.status.clone().unwrap_or_default();
        let (after, pass) = match self.checked(&live) {
            Err(refused) => (refusals(&before, &refused, &live), None),
            Ok(inputs) => {
                let (after, pass) = Box::pin(self.pass(&live, &before, inputs)).await?;
                (after, Some(pass))
            }
        };
        self.write_status(&live, &before, after.clone()).await?;
        let own_id = live.uid().unwrap_or_default();
        let about = live.object_ref(&());
        news::publish(&self.recorder, &about, news::between(&before, &after, &own_id)).await;
        let Some(pass) = pass else { return Ok(None) };
        self.metrics.passed(namespace, name, &pass, began.elapsed());
        let rotates = after.certificates.as_ref().is_some_and(certificates::is_rotating);
        let idle = pass.plan.is_converged() && pass.status.errors.is_empty() && !rotates;
        Ok(Some(if idle { IDLE + jitter() } else { BUSY }))
    }

    fn checked(&self, live: &ChronikCluster) -> Result<Inputs, Vec<Refusal>> {
        Inputs::new(live, validate(live, None)?, &self.settings, None)
    }

    async fn pass(
        &self,
        live: &ChronikCluster,
        before: &ClusterStatus,
        inputs: Inputs,
    ) -> Result<(ClusterStatus, Pass), KubeError> {
        let (namespace, name) = (live.namespace().unwrap_or_default(), live.name_any());
        let wanted = inputs.wanted.clone();
        let accepted = live.annotations().get(ACCEPT_LOSS);
        let formed = before.cluster_id.is_some() && before.cluster_id.as_ref() != accepted;
        let cluster = self.cluster(&namespace, &name);
        let mut kept = cluster.lock().await;
        let Kept { reconciler, watch } = &mut *kept;
        let reconciler = reconciler.get_or_insert_with(|| {
            let (fence, side_effects) = (self.fence.clone(), self.side_effects.clone());
            let objects =
                Objects::new(self.client.clone(), &namespace, fence, side_effects.clone());
            Reconciler::new(Kube::new(objects, inputs.clone(), formed), side_effects)
        });
        reconciler.platform.begin(inputs, formed);
        let pass = if wanted.paused {
            reconciler.look(&wanted).await?
        } else {
            reconciler.pass(&wanted).await?
        };
        self.identities.set(&namespace, &name, reconciler.platform.credentials());
        let mut after = pass.status.clone();
        after.bootstrap = reconciler.platform.bootstrap();
        after.selector = reconciler.platform.selector();
        after.listeners = reconciler.platform.listeners();
        // While nothing is changed, what was said last stays.
        after.certificates = certificates::status(reconciler.platform.certificates())
            .or_else(|| before.certificates.clone());
        after.template_update_pending = reconciler.platform.has_older_rendering();
        after.cluster_id =
            after.cluster_id.or_else(|| before.cluster_id.clone().filter(|_| formed));
        after.observed_generation = live.metadata.generation;
        let (plan, serves, paused) = (&pass.plan, pass.serves, wanted.paused);
        let rests = plan.is_converged() && after.errors.is_empty();
        // Time that is let pass on purpose is no standstill.
        let busy = !(paused || rests || plan.only_settles());
        let stalled = watch.is_stalled(&after, busy, pass.copied, Instant::now());
        self.metrics.certified(&namespace, &name, reconciler.platform.certificates());
        let facts = Facts { plan, status: &after, serves, paused, stalled };
        after.conditions =
            conditions::of(&facts, live.metadata.generation, &before.conditions, lease::now());
        Ok((after, pass))
    }

    /// Status is written only if it says something new, and never over what somebody else wrote.
    async fn write_status(
        &self,
        live: &ChronikCluster,
        before: &ClusterStatus,
        after: ClusterStatus,
    ) -> Result<(), KubeError> {
        if live.status.is_some() && *before == after {
            return Ok(());
        }
        let (namespace, name) = (live.namespace().unwrap_or_default(), live.name_any());
        let api: Api<ChronikCluster> = Api::namespaced(self.client.clone(), &namespace);
        let mut written = live.clone();
        written.status = Some(after);
        if !self.fence.holds() {
            return Err(KubeError::NotLeading);
        }
        let params = kube::api::PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..kube::api::PostParams::default()
        };
        call(
            || format!("write the status of {name}"),
            api.replace_status(&name, &params, &written),
        )
        .await?;
        self.side_effects.count();
        Ok(())
    }

    /// An object that this operator cannot read at all: it is told so, and keeps nobody else waiting.
    async fn refuse_whole(&self, meta: &ObjectMeta, error: &str) -> Result<(), KubeError> {
        let name = meta.name.clone().unwrap_or_default();
        let namespace = meta.namespace.clone().unwrap_or_default();
        if !self.fence.holds() {
            return Err(KubeError::NotLeading);
        }
        let status = ClusterStatus {
            phase: "Degraded".into(),
            refused: vec![format!("this operator cannot read the object: {error}")],
            observed_generation: meta.generation,
            ..ClusterStatus::default()
        };
        let patch = json!({"status": {
            "phase": status.phase,
            "refused": status.refused,
            "observedGeneration": status.observed_generation,
        }});
        let api: Api<DeserializeGuard<ChronikCluster>> =
            Api::namespaced(self.client.clone(), &namespace);
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let what = || format!("write the status of {name}");
        call(what, api.patch_status(&name, &params, &Patch::Merge(&patch))).await?;
        Ok(())
    }

    fn cluster(&self, namespace: &str, name: &str) -> Cluster {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(clusters.entry((namespace.to_owned(), name.to_owned())).or_default())
    }

    fn forget(&self, namespace: &str, name: &str) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.remove(&(namespace.to_owned(), name.to_owned()));
        self.identities.forget(namespace, name);
        self.metrics.forget(namespace, name);
    }
}

/// The status of a manifest that is refused as a whole; the cluster is left as it is.
fn refusals(before: &ClusterStatus, refused: &[Refusal], live: &ChronikCluster) -> ClusterStatus {
    let mut after = before.clone();
    after.refused = refused.iter().map(ToString::to_string).collect();
    after.phase = "Degraded".into();
    after.observed_generation = live.metadata.generation;
    let plan = chronik_plan::Plan { refused: refused.to_vec(), ..Default::default() };
    let serves = before.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let facts = Facts { plan: &plan, status: &after, serves, paused: false, stalled: false };
    let generation = live.metadata.generation;
    after.conditions = conditions::of(&facts, generation, &before.conditions, lease::now());
    after
}

/// Up to a fifth more, so that many clusters do not all come at once.
pub(super) fn jitter() -> Duration {
    Duration::from_millis(RandomState::new().hash_one(()) % 3000)
}

//! One pass over one `ChronikTopic`: read it from the API server itself, ask its cluster, plan, act,
//! and write down what came of it. Which topic is whose, and what to do, is `chronik_plan::topic`'s;
//! what people are told is [`status`]'s; how often, [`watch`]'s.

mod sight;
mod status;
pub(super) mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chronik_plan::BrokerId;
use chronik_plan::topic::{self, ClusterSeen, TopicStep, TopicWanted};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::DeserializeGuard;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;
use kube::{Client, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use super::cluster::{BUSY, IDLE, jitter};
use super::identities::Identities;
use super::metrics::Metrics;
use super::{lease, news};
use crate::admin::grpc::{Admin, AdminError};
use crate::admin::topics::{Clients, TopicError, perform};
use crate::api::topic::ChronikTopic;
use crate::fence::Fence;
use crate::platform::kube::error::KubeError;
use crate::platform::kube::names::FIELD_MANAGER;
use crate::platform::kube::objects::call;
use crate::side_effects::SideEffects;
use sight::Sight;
use status::Outcome;

/// Holds a `ChronikTopic` back until its topic is deleted.
pub const FINALIZER: &str = "chronik.io/topic";
/// How often a pass plans again after what it has done.
const ROUNDS_MAX: usize = 4;

type Guarded = DeserializeGuard<ChronikTopic>;

/// Passes over topics.
pub struct TopicPasses {
    client: Client,
    fence: Fence,
    side_effects: SideEffects,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    identities: Identities,
    /// Connections to brokers, by namespace and cluster.
    admins: Mutex<BTreeMap<(String, String), Admin>>,
}

impl std::fmt::Debug for TopicPasses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicPasses").finish_non_exhaustive()
    }
}

/// An object in the course of a pass: every write answers with what it is then.
struct Live {
    object: ChronikTopic,
    is_gone: bool,
}

impl TopicPasses {
    /// Passes that act while `fence` holds.
    #[must_use]
    pub fn new(
        client: Client,
        fence: Fence,
        side_effects: SideEffects,
        recorder: Recorder,
        metrics: Arc<Metrics>,
        identities: Identities,
    ) -> TopicPasses {
        let admins = Mutex::default();
        TopicPasses { client, fence, side_effects, recorder, metrics, identities, admins }
    }

    /// One pass; says when the next one is due, if it is before something changes.
    async fn one(
        &self,
        namespace: &str,
        name: &str,
        others: &Store<Guarded>,
    ) -> Result<Option<Duration>, KubeError> {
        if !self.fence.holds() {
            return Err(KubeError::NotLeading);
        }
        let began = Instant::now();
        let api: Api<Guarded> = Api::namespaced(self.client.clone(), namespace);
        let what = || format!("read ChronikTopic {name}");
        let Some(DeserializeGuard(found)) = call(what, api.get_opt(name)).await? else {
            self.metrics.forget_topic(namespace, name);
            return Ok(None);
        };
        let object = match found {
            Ok(object) => object,
            Err(invalid) => {
                // No condition: its time would have to be read from what cannot be read.
                let refused = status::unreadable(&invalid.error);
                let generation = invalid.metadata.generation;
                let patch = json!({
                    "status": {"observedGeneration": generation, "refused": [refused]},
                });
                self.write(name, api.patch_status(name, &merging(), &Patch::Merge(&patch))).await?;
                return Ok(None);
            }
        };
        let before = object.status.clone().unwrap_or_default();
        let mut wanted = sight::wanted(&object, others);
        let mut live = Live { object, is_gone: false };
        let sight = self.look(&live.object, &wanted).await?;
        let outcome = self.act(&mut live, &mut wanted, sight).await?;
        for step in &outcome.done {
            self.metrics.topic_step(step.kind());
        }
        let generation = live.object.metadata.generation;
        let after = status::of(&before, &wanted, &outcome, generation, lease::now());
        let about = live.object.object_ref(&());
        let told = status::news(&before, &after, &wanted, &outcome);
        if live.is_gone {
            self.metrics.forget_topic(namespace, name);
        } else {
            self.write_status(&live.object, after).await?;
            self.metrics.topic_passed(namespace, name, outcome.is_ready(), began.elapsed());
        }
        news::publish(&self.recorder, &about, told).await;
        let is_busy = !outcome.done.is_empty() || outcome.is_waiting();
        let next = if is_busy { BUSY } else { IDLE + jitter() };
        Ok((!live.is_gone).then_some(next))
    }

    /// Plans and acts until there is nothing left to do, or something has to be waited for.
    async fn act(
        &self,
        live: &mut Live,
        wanted: &mut TopicWanted,
        sight: Sight,
    ) -> Result<Outcome, KubeError> {
        let Sight { mut cluster, client } = sight;
        let mut outcome = Outcome::default();
        for _ in 0..ROUNDS_MAX {
            outcome.plan = topic::plan(wanted, &cluster);
            let steps = outcome.plan.steps.clone();
            let was_stopped = outcome.later.is_some() || !outcome.refused.is_empty();
            if steps.is_empty() || was_stopped || live.is_gone {
                break;
            }
            for step in steps {
                let done = match &step {
                    TopicStep::Hold | TopicStep::Release | TopicStep::Claim(_) => {
                        self.change_object(live, wanted, &step).await.map(Ok)?
                    }
                    TopicStep::Create { .. }
                    | TopicStep::Grow { .. }
                    | TopicStep::Configure { .. }
                    | TopicStep::Delete { .. } => {
                        let Some(client) = client.clone() else { break };
                        if !self.fence.holds() {
                            return Err(KubeError::NotLeading);
                        }
                        let answer = perform(client, wanted, &step).await;
                        self.side_effects.count();
                        answer.map(|topic| cluster = ClusterSeen::Answers(topic))
                    }
                };
                match done {
                    Ok(()) => {
                        tracing::info!(topic = wanted.name, "{step}");
                        outcome.done.push(step);
                    }
                    Err(error) => {
                        let bars = step.bars();
                        note(&mut outcome, &step, error);
                        if bars {
                            break;
                        }
                    }
                }
            }
        }
        outcome.was_asked = matches!(cluster, ClusterSeen::Answers(_));
        outcome.seen = match cluster {
            ClusterSeen::Answers(topic) => topic,
            ClusterSeen::Gone(_) | ClusterSeen::Silent(_) => None,
        };
        Ok(outcome)
    }

    /// A step that is a change of the object itself, guarded by what was read of it.
    async fn change_object(
        &self,
        live: &mut Live,
        wanted: &mut TopicWanted,
        step: &TopicStep,
    ) -> Result<(), KubeError> {
        let (name, version) = (live.object.name_any(), live.object.resource_version());
        let namespace = live.object.namespace().unwrap_or_default();
        let api: Api<ChronikTopic> = Api::namespaced(self.client.clone(), &namespace);
        let mut finalizers = live.object.metadata.finalizers.clone().unwrap_or_default();
        match step {
            TopicStep::Claim(names) => {
                let patch = json!({
                    "metadata": {"resourceVersion": version},
                    "status": {"claimedConfigs": names},
                });
                let (params, request) = (merging(), Patch::Merge(&patch));
                let written = api.patch_status(&name, &params, &request);
                live.object = self.write(&name, written).await?;
                wanted.claimed.clone_from(names);
                return Ok(());
            }
            TopicStep::Hold => finalizers.push(FINALIZER.to_owned()),
            TopicStep::Release => finalizers.retain(|finalizer| finalizer != FINALIZER),
            TopicStep::Create { .. }
            | TopicStep::Grow { .. }
            | TopicStep::Configure { .. }
            | TopicStep::Delete { .. } => return Err(KubeError::NotMine(step.to_string())),
        }
        live.is_gone = wanted.is_deleted && finalizers.is_empty();
        let patch: Value =
            json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
        let request = Patch::Merge(&patch);
        live.object = self.write(&name, api.patch(&name, &merging(), &request)).await?;
        wanted.is_held = *step == TopicStep::Hold;
        Ok(())
    }

    /// Status is written only if it says something new, and never over what somebody else wrote.
    async fn write_status(
        &self,
        live: &ChronikTopic,
        after: crate::api::topic::TopicStatus,
    ) -> Result<(), KubeError> {
        if live.status.as_ref() == Some(&after) {
            return Ok(());
        }
        let (namespace, name) = (live.namespace().unwrap_or_default(), live.name_any());
        let api: Api<ChronikTopic> = Api::namespaced(self.client.clone(), &namespace);
        let mut written = live.clone();
        written.status = Some(after);
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        self.write(&name, api.replace_status(&name, &params, &written)).await.map(drop)
    }

    /// One write to the API server: only while this operator leads, and counted.
    async fn write<T>(
        &self,
        name: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, KubeError> {
        if !self.fence.holds() {
            return Err(KubeError::NotLeading);
        }
        let done = call(|| format!("write ChronikTopic {name}"), request).await?;
        self.side_effects.count();
        Ok(done)
    }

    /// Connections to the brokers of a cluster.
    fn clients(
        &self,
        namespace: &str,
        cluster: &str,
        brokers: &BTreeMap<BrokerId, String>,
    ) -> Result<Clients, AdminError> {
        let mut admins = self.admins.lock().unwrap_or_else(PoisonError::into_inner);
        let admin = admins.entry((namespace.to_owned(), cluster.to_owned())).or_default();
        admin.identify(self.identities.of(namespace, cluster));
        let client = |(id, address): (&BrokerId, &String)| {
            admin.client(*id, address).map(|client| (*id, client))
        };
        brokers.iter().map(client).collect()
    }

    fn forget_cluster(&self, namespace: &str, cluster: &str) {
        let mut admins = self.admins.lock().unwrap_or_else(PoisonError::into_inner);
        admins.remove(&(namespace.to_owned(), cluster.to_owned()));
    }
}

/// What a broker said to a step that it did not carry out.
fn note(outcome: &mut Outcome, step: &TopicStep, error: TopicError) {
    match error {
        TopicError::Later(why) => outcome.later = Some(why),
        TopicError::Refused(why) => {
            let field = match step {
                TopicStep::Grow { to, .. } => format!("spec.partitions {to}"),
                TopicStep::Configure { .. } => "spec.configs".to_owned(),
                TopicStep::Create { .. } => "spec".to_owned(),
                TopicStep::Hold
                | TopicStep::Release
                | TopicStep::Claim(_)
                | TopicStep::Delete { .. } => "metadata.deletionTimestamp".to_owned(),
            };
            outcome.refused.push(format!("{field}: {why}"));
        }
    }
}

fn merging() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

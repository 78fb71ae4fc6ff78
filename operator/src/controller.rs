//! The operator on Kubernetes: lead, watch, and pass over every cluster that changed or whose time
//! has come. What a pass does is in [`cluster`]; who may act is decided in [`lease`].

pub mod certificates;
pub mod cluster;
pub mod conditions;
pub mod identities;
pub mod lease;
pub mod metrics;
pub mod news;
pub mod nodes;
pub mod pause;
pub mod stall;
pub mod topics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{HeaderValue, USER_AGENT};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::Api;
use kube::core::{DeserializeGuard, ResourceExt as _};
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, Config, Resource};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::api::cluster::ChronikCluster;
use crate::fence::Fence;
use crate::platform::kube::error::KubeError;
use crate::platform::kube::inputs::Settings;
use crate::platform::kube::names::{CLUSTER_LABEL, FIELD_MANAGER, MANAGED_BY};
use crate::reconcile::describe;
use crate::side_effects::SideEffects;
use cluster::Passes;
use lease::Candidate;
use metrics::Metrics;
use pause::{PAUSE_MAX, Pause};
use topics::TopicPasses;

/// A watch that died is noticed after this long: kube itself has no timeout for reading.
const WATCH_S: u32 = 30;
/// Clusters that are passed over at the same time.
const CONCURRENCY: u16 = 8;
/// How long one pass may take.
const PASS_MAX: Duration = Duration::from_secs(30);

/// How the operator runs on Kubernetes.
#[derive(Debug)]
pub struct Options {
    /// The operator's own settings.
    pub settings: Settings,
    /// Namespaces to look after; all if none is named.
    pub namespaces: Vec<String>,
    /// The operator's own namespace, where the lease is.
    pub own_namespace: String,
    /// What tells this operator from another.
    pub identity: String,
    /// Where metrics and health are served.
    pub http: Option<SocketAddr>,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum ControllerError {
    #[error("no way to the API server is configured")]
    Config(#[from] kube::config::InferConfigError),
    #[error("no client of the API server could be made")]
    Client(#[from] Box<kube::Error>),
    #[error("listening on {address} for metrics and health")]
    Http { address: SocketAddr, source: std::io::Error },
    #[error("the lease was lost: another operator leads, or none could be told")]
    LeaseLost,
    #[error("the watches ended")]
    Ended,
}

type Watched = DeserializeGuard<ChronikCluster>;

/// Runs until told to end, or until the lease is lost.
pub async fn run(options: Options, end: impl Future<Output = ()>) -> Result<(), ControllerError> {
    let mut config = Config::infer().await?;
    // Passes come again by themselves; retries inside a call would only make a pass last longer.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(FIELD_MANAGER)));
    let client = Client::try_from(config).map_err(Box::new)?;
    let metrics = Arc::new(Metrics::default());
    if let Some(address) = options.http {
        let serving = metrics::serve(address, Arc::clone(&metrics)).await;
        serving.map_err(|source| ControllerError::Http { address, source })?;
    }
    let fence = Fence::default();
    let (own, identity) = (&options.own_namespace, options.identity.clone());
    let mut candidate = Candidate::new(client.clone(), own, identity, fence.clone());
    metrics.set_watching();
    let mut end = std::pin::pin!(end);
    tokio::select! {
        () = candidate.win() => {}
        () = &mut end => return Ok(()),
    }
    tracing::info!(identity = options.identity, "leads");
    metrics.set_leading(true);
    let reporter =
        Reporter { controller: FIELD_MANAGER.into(), instance: Some(options.identity.clone()) };
    let (side_effects, recorder) =
        (SideEffects::from_environment(), Recorder::new(client.clone(), reporter));
    let passes = Arc::new(Passes::new(
        client.clone(),
        options.settings,
        fence.clone(),
        side_effects.clone(),
        recorder.clone(),
        Arc::clone(&metrics),
    ));
    let topics = Arc::new(TopicPasses::new(
        client.clone(),
        fence,
        side_effects,
        recorder,
        metrics,
        passes.identities().clone(),
    ));
    let mut controllers = tokio::task::JoinSet::new();
    let mut doorbells = Vec::new();
    for scope in Scope::of(&client, options.namespaces) {
        let (doorbell, rings) = mpsc::channel(1);
        doorbells.push(doorbell);
        controllers.spawn(topics::watch::watch(scope.clone(), Arc::clone(&topics)));
        controllers.spawn(watch(scope, rings, Arc::clone(&passes)));
    }
    controllers.spawn(nodes::watch(client, move || {
        for doorbell in &doorbells {
            // One ring that was not heard yet is enough.
            let _ = doorbell.try_send(());
        }
    }));
    let outcome = tokio::select! {
        () = candidate.keep() => Err(ControllerError::LeaseLost),
        _ = controllers.join_next() => Err(ControllerError::Ended),
        () = &mut end => Ok(()),
    };
    // A pass that is under way is dropped: every step can be lost.
    controllers.shutdown().await;
    candidate.release().await;
    outcome
}

/// Where to look.
#[derive(Clone)]
enum Scope {
    All(Client),
    One(Client, String),
}

impl Scope {
    fn of(client: &Client, namespaces: Vec<String>) -> Vec<Scope> {
        if namespaces.is_empty() {
            return vec![Scope::All(client.clone())];
        }
        namespaces.into_iter().map(|name| Scope::One(client.clone(), name)).collect()
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Scope::All(client) => Api::all(client.clone()),
            Scope::One(client, namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// Passes over clusters of one scope: those that changed, whose objects did, or, when it `rings`, all.
async fn watch(scope: Scope, rings: mpsc::Receiver<()>, passes: Arc<Passes>) {
    let every = || watcher::Config::default().timeout(WATCH_S);
    let (label, value) = MANAGED_BY;
    let ours = || every().labels(&format!("{label}={value}"));
    let mut results = Box::pin(
        Controller::new(scope.api::<Watched>(), every())
            .with_config(controller::Config::default().concurrency(CONCURRENCY))
            .trigger_backoff(Pause::default())
            .watches(scope.api::<StatefulSet>(), ours(), |set| cluster_of(&set))
            .watches(scope.api::<Pod>(), ours(), |pod| cluster_of(&pod))
            // Their ports and load balancers are others' to choose.
            .watches(scope.api::<Service>(), ours(), |service| cluster_of(&service))
            .reconcile_all_on(ReceiverStream::new(rings))
            .run(pass, after_error, passes),
    );
    while let Some(result) = results.next().await {
        match result {
            Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
            Err(error) => tracing::warn!(error = %describe(&error), "a pass or a watch failed"),
        }
    }
}

/// Whose object it is, by its label.
fn cluster_of(object: &impl Resource) -> Option<ObjectRef<Watched>> {
    let meta = object.meta();
    let cluster = meta.labels.as_ref()?.get(CLUSTER_LABEL)?;
    Some(ObjectRef::new(cluster).within(meta.namespace.as_deref()?))
}

async fn pass(object: Arc<Watched>, passes: Arc<Passes>) -> Result<Action, KubeError> {
    let began = Instant::now();
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    // On the heap: a pass holds all that it has seen.
    let one = Box::pin(passes.one(&namespace, &name));
    let result = match tokio::time::timeout(PASS_MAX, one).await {
        Ok(result) => result,
        Err(_) => Err(KubeError::PassTooLong(PASS_MAX)),
    };
    let after = result?;
    tracing::debug!(namespace, name, took = ?began.elapsed(), ?after, "passed");
    Ok(after.map_or_else(Action::await_change, Action::requeue))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that a controller calls")]
fn after_error(object: Arc<Watched>, error: &KubeError, passes: Arc<Passes>) -> Action {
    passes.metrics().failed(error.kind());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    tracing::warn!(namespace, name, error = %describe(error), "pass failed");
    Action::requeue(error.retry_after())
}

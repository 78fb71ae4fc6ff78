//! Topics that changed, or whose time has come, are passed over one after the other.

use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt as _;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use tokio_stream::StreamExt as _;

use super::super::{CONCURRENCY, PASS_MAX, Pause, Scope, WATCH_S};
use super::{Guarded, TopicPasses};
use crate::platform::kube::error::KubeError;
use crate::reconcile::describe;

struct Context {
    passes: Arc<TopicPasses>,
    /// What the watch has told of: two objects may ask for one topic.
    others: Store<Guarded>,
}

/// Watches and passes for ever.
pub(in crate::controller) async fn watch(scope: Scope, passes: Arc<TopicPasses>) {
    let every = watcher::Config::default().timeout(WATCH_S);
    let controller = Controller::new(scope.api::<Guarded>(), every)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(Pause::default());
    let context = Context { passes, others: controller.store() };
    let mut results = Box::pin(controller.run(pass, after_error, Arc::new(context)));
    while let Some(result) = results.next().await {
        match result {
            Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
            Err(error) => tracing::warn!(error = %describe(&error), "a pass or a watch failed"),
        }
    }
}

async fn pass(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, KubeError> {
    let began = Instant::now();
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    // On the heap: a pass holds all that it has seen.
    let one = Box::pin(context.passes.one(&namespace, &name, &context.others));
    let after = match tokio::time::timeout(PASS_MAX, one).await {
        Ok(result) => result?,
        Err(_) => return Err(KubeError::PassTooLong(PASS_MAX)),
    };
    tracing::debug!(namespace, name, took = ?began.elapsed(), ?after, "passed over a topic");
    Ok(after.map_or_else(Action::await_change, Action::requeue))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that a controller calls")]
fn after_error(object: Arc<Guarded>, error: &KubeError, context: Arc<Context>) -> Action {
    context.passes.metrics.failed(error.kind());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    tracing::warn!(namespace, name, error = %describe(error), "pass over a topic failed");
    Action::requeue(error.retry_after())
}

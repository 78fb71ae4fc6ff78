//! Watches nodes, so that what clusters go by of them counts at once: labels for racks, addresses for
//! clients outside, that one is gone. Every pass reads nodes anew; this only says that it is time for one.
//! Where nodes may not be watched, passes look when they come anyway.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeAddress};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::time::Instant;
use tokio_stream::StreamExt as _;

use super::{PAUSE_MAX, WATCH_S};
use crate::platform::kube::error::status_code;
use crate::platform::kube::nodes::OUT_OF_SERVICE;
use crate::reconcile::describe;

/// What changes at the same time is told once.
const SETTLE: Duration = Duration::from_millis(300);
/// Until the next try without the right: it may be given later.
const FORBIDDEN: Duration = Duration::from_secs(60);

/// Calls `tell` whenever something changed that clusters go by, for as long as it is polled.
pub async fn watch(client: Client, tell: impl Fn()) {
    let config = watcher::Config::default().timeout(WATCH_S);
    let mut events = Box::pin(watcher(Api::<Node>::all(client), config));
    let mut known = Known::default();
    let mut due: Option<Instant> = None;
    loop {
        let next = match due {
            None => events.next().await,
            Some(at) => match tokio::time::timeout_at(at, events.next()).await {
                Ok(next) => next,
                Err(_) => {
                    due = None;
                    tell();
                    continue;
                }
            },
        };
        match next {
            Some(Ok(event)) => {
                if known.take(event) {
                    due.get_or_insert_with(|| Instant::now() + SETTLE);
                }
            }
            Some(Err(error)) => {
                if due.take().is_some() {
                    tell();
                }
                tokio::time::sleep(pause_after(&error)).await;
            }
            None => return,
        }
    }
}

/// Says what is wrong, and for how long not to try again.
fn pause_after(error: &watcher::Error) -> Duration {
    let code = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => status_code(source),
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    };
    if code == Some(403) {
        tracing::debug!("no right to watch nodes: what changes of them is seen at the next pass");
        return FORBIDDEN;
    }
    tracing::warn!(error = %describe(error), "the watch of nodes failed");
    PAUSE_MAX
}

/// What clusters go by of a node; its heartbeats change nothing of it.
#[derive(Debug, Clone, PartialEq)]
struct Face {
    labels: BTreeMap<String, String>,
    addresses: Vec<NodeAddress>,
    out_of_service: bool,
}

impl Face {
    fn of(node: &Node) -> Face {
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        Face {
            labels: node.labels().clone(),
            addresses: node.status.as_ref().and_then(|s| s.addresses.clone()).unwrap_or_default(),
            out_of_service: taints.into_iter().any(|taint| taint.key == OUT_OF_SERVICE),
        }
    }
}

/// The nodes as they were told of, by name.
#[derive(Debug, Default)]
struct Known {
    faces: BTreeMap<String, Face>,
    /// A list that has begun and not ended.
    listed: BTreeMap<String, Face>,
}

impl Known {
    /// Takes an event over; true if clusters go by what changed.
    fn take(&mut self, event: Event<Node>) -> bool {
        match event {
            Event::Apply(node) => {
                let face = Face::of(&node);
                self.faces.insert(node.name_any(), face.clone()).as_ref() != Some(&face)
            }
            Event::Delete(node) => self.faces.remove(&node.name_any()).is_some(),
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(node) => {
                self.listed.insert(node.name_any(), Face::of(&node));
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                std::mem::replace(&mut self.faces, listed) != self.faces
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(zone: &str, more: &Value) -> Node {
        let mut node = json!({
            "metadata": {"name": "n", "labels": {"zone": zone}},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
        });
        for (key, value) in more.as_object().unwrap() {
            node[key] = value.clone();
        }
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn a_right_that_is_missing_is_not_asked_for_all_the_time() {
        let failed = |code| {
            let status = kube::core::Status::failure("no", "No").with_code(code).boxed();
            watcher::Error::InitialListFailed(kube::Error::Api(status))
        };
        assert_eq!(pause_after(&failed(403)), FORBIDDEN);
        assert_eq!(pause_after(&failed(500)), PAUSE_MAX);
        assert_eq!(pause_after(&watcher::Error::NoResourceVersion), PAUSE_MAX);
    }

    #[test]
    fn only_what_clusters_go_by_is_news() {
        let heartbeat = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let moved =
            json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]}});
        let cordoned = json!({"spec": {"unschedulable": true}});
        let dead = json!({"spec": {"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]}});
        let none = json!({});
        let mut known = Known::default();
        for (event, is_news) in [
            (Event::Init, false),
            (Event::InitApply(node("a", &none)), false),
            (Event::InitDone, true),
            (Event::Apply(node("a", &none)), false),
            (Event::Apply(node("a", &heartbeat)), false),
            (Event::Apply(node("a", &cordoned)), false),
            (Event::Apply(node("b", &none)), true),
            (Event::Apply(node("b", &moved)), true),
            (Event::Apply(node("b", &none)), true),
            (Event::Apply(node("b", &dead)), true),
            (Event::Delete(node("b", &dead)), true),
            (Event::Delete(node("b", &dead)), false),
            (Event::Apply(node("b", &none)), true),
            // A watch that begins anew lists again: what is the same is no news, what is missing is.
            (Event::Init, false),
            (Event::InitApply(node("b", &none)), false),
            (Event::InitDone, false),
            (Event::Init, false),
            (Event::InitDone, true),
        ] {
            let text = format!("{event:?}");
            assert_eq!(known.take(event), is_news, "{text}");
        }
    }
}

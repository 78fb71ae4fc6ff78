//! Pure: what is worth an Event, from what status said before the pass and says after it. Nothing is
//! remembered, so a new operator does not tell everything again.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};

use super::certificates;
use crate::api::status::ClusterStatus;

/// Longer notes are refused by the API server.
const NOTE_MAX: usize = 1000;

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Somebody may have to do something.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What happened.
    pub note: String,
}

/// What is new.
#[must_use]
pub fn between(before: &ClusterStatus, after: &ClusterStatus, own_id: &str) -> Vec<News> {
    let mut news = Vec::new();
    let mut tell = |warning, reason, note: &str| {
        news.push(News { warning, reason, note: note.chars().take(NOTE_MAX).collect() });
    };
    if before.cluster_id.is_none()
        && let Some(id) = &after.cluster_id
    {
        if id == own_id {
            tell(false, "ClusterFormed", &format!("cluster {id} is formed"));
        } else {
            let text = format!(
                "brokers of cluster {id} were found on volumes that were kept, and are taken over"
            );
            tell(false, "ClusterAdopted", &text);
        }
    }
    if let Some(operation) =
        after.operation.as_ref().filter(|o| before.operation.as_ref() != Some(o))
    {
        tell(false, "Operation", operation);
    }
    if before.operation.is_some() && after.operation.is_none() && after.phase == "Ready" {
        tell(false, "OperationEnded", "everything is as the manifest says");
    }
    let field = |text: &str| text.split(": ").next().unwrap_or_default().to_owned();
    for refused in &after.refused {
        if !before.refused.iter().any(|old| field(old) == field(refused)) {
            tell(true, "Refused", refused);
        }
    }
    let stalled = |status: &ClusterStatus| {
        let found = status.conditions.iter().find(|c| c.type_ == "Degraded");
        found.filter(|c| c.reason == "Stalled").map(|c| c.message.clone())
    };
    if let Some(what) = stalled(after).filter(|_| stalled(before).is_none()) {
        tell(true, "Stalled", &what);
    }
    if let Some(News { warning, reason, note }) = certificates::news(before, after) {
        tell(warning, reason, &note);
    }
    for trouble in &after.troubles {
        if !before.troubles.iter().any(|old| field(old) == field(trouble)) {
            tell(true, "BrokerTrouble", trouble);
        }
    }
    news
}

/// Publishes news; a failure is only logged, because status says it all too.
pub async fn publish(recorder: &Recorder, about: &ObjectReference, news: Vec<News>) {
    for News { warning, reason, note } in news {
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.into(),
            note: Some(note),
            action: "Reconcile".into(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, about).await {
            tracing::warn!(%error, reason, "an Event was not published");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(operation: Option<&str>, refused: &[&str], phase: &str) -> ClusterStatus {
        ClusterStatus {
            cluster_id: Some("c1".into()),
            operation: operation.map(str::to_owned),
            refused: refused.iter().map(ToString::to_string).collect(),
            phase: phase.into(),
            ..ClusterStatus::default()
        }
    }

    fn reasons(before: &ClusterStatus, after: &ClusterStatus) -> Vec<&'static str> {
        between(before, after, "c1").into_iter().map(|news| news.reason).collect()
    }

    #[test]
    fn only_what_changed_is_news() {
        let quiet = status(None, &[], "Ready");
        let adding = status(Some("adding broker 4"), &[], "Working");
        assert_eq!(reasons(&quiet, &quiet), [""; 0]);
        assert_eq!(reasons(&quiet, &adding), ["Operation"]);
        assert_eq!(reasons(&adding, &adding), [""; 0]);
        assert_eq!(reasons(&adding, &quiet), ["OperationEnded"]);
        assert_eq!(reasons(&ClusterStatus::default(), &quiet), ["ClusterFormed"]);
        assert_eq!(between(&ClusterStatus::default(), &quiet, "c2")[0].reason, "ClusterAdopted");
    }

    #[test]
    fn a_refusal_is_told_once_also_when_its_numbers_change() {
        let quiet = status(None, &[], "Ready");
        let one = status(None, &["spec.replicas 2: only 1 of 3"], "Degraded");
        let other = status(None, &["spec.replicas 2: only 2 of 3"], "Degraded");
        assert_eq!(reasons(&quiet, &one), ["Refused"]);
        assert_eq!(reasons(&one, &other), [""; 0]);
    }
}

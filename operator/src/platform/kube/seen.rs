//! What exists of a cluster, broker by broker, from one look at the API server. Pure: the lists come
//! from elsewhere.

use std::collections::BTreeMap;

use chronik_plan::{BrokerId, Process, Revision};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod, PodSpec};
use k8s_openapi::jiff::Timestamp;

use super::names::broker_of;
use super::pod::CONTAINER;
use super::replace::is_said_lost;
use super::statefulset::Standing;

/// The label with which the set's controller marks a pod's template.
const REVISION_LABEL: &str = "controller-revision-hash";

/// A container that was killed is restarted at once; one that has ended so often ends by itself.
const ENDS_MIN: i32 = 3;

/// What exists of one broker.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// Its set.
    pub set: Option<StatefulSet>,
    /// Its pod.
    pub pod: Option<Pod>,
    /// Its volume.
    pub claim: Option<PersistentVolumeClaim>,
    /// The node that its volume is tied to is gone for good.
    pub gone: bool,
}

/// Sorts what was listed by broker.
#[must_use]
pub fn by_broker(
    sets: Vec<StatefulSet>,
    pods: Vec<Pod>,
    claims: Vec<PersistentVolumeClaim>,
) -> BTreeMap<BrokerId, Workload> {
    let mut all: BTreeMap<BrokerId, Workload> = BTreeMap::new();
    for set in sets {
        if let Some(id) = broker_of(&set.metadata) {
            all.entry(id).or_default().set = Some(set);
        }
    }
    for pod in pods {
        if let Some(id) = broker_of(&pod.metadata) {
            let place = &mut all.entry(id).or_default().pod;
            // A pod that is ending matters most: two must never use one volume.
            if place.as_ref().is_none_or(|other| other.metadata.deletion_timestamp.is_none()) {
                *place = Some(pod);
            }
        }
    }
    for claim in claims {
        if let Some(id) = broker_of(&claim.metadata) {
            all.entry(id).or_default().claim = Some(claim);
        }
    }
    all
}

impl Workload {
    /// As the plan sees it. `standing` is how the set stands to what is wanted, if there is a set of
    /// this very cluster.
    #[must_use]
    pub fn process(&self, standing: Option<Standing>, now: Timestamp) -> Process {
        Process {
            running: self.set.is_some() || self.pod.is_some(),
            volume: self.claim.is_some(),
            revision: match standing {
                Some(Standing::Outdated) => Revision::Due,
                Some(Standing::Wanted | Standing::OlderRendering) if self.pod_is_older() => {
                    Revision::Begun
                }
                Some(Standing::Wanted | Standing::OlderRendering) | None => Revision::Current,
            },
            ending: self.pod.as_ref().is_some_and(|p| p.metadata.deletion_timestamp.is_some()),
            idle: self.is_idle(),
            stuck: self.is_idle() && self.is_stuck(),
            lost: self.gone || self.claim.as_ref().is_some_and(is_said_lost),
            ready_for_s: self.ready_for_s(now),
        }
    }

    /// For how long its pod has been ready, by the clock of whoever said so.
    fn ready_for_s(&self, now: Timestamp) -> Option<u32> {
        let conditions = self.pod.as_ref()?.status.as_ref()?.conditions.as_ref()?;
        let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True")?;
        let since = ready.last_transition_time.as_ref()?.0;
        u32::try_from(now.as_second().saturating_sub(since.as_second())).ok().or(Some(0))
    }

    /// The pod is of an earlier template than its set. While the set's controller has not seen the
    /// newest template, that cannot be told, and then it is.
    fn pod_is_older(&self) -> bool {
        let (Some(set), Some(pod)) = (&self.set, &self.pod) else { return false };
        let Some(status) = &set.status else { return false };
        if status.observed_generation < set.metadata.generation {
            return true;
        }
        let runs = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL));
        status.update_revision.is_some() && runs != status.update_revision.as_ref()
    }

    /// Whether the set's controller has seen the newest template.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        let Some(set) = &self.set else { return false };
        let observed = set.status.as_ref().and_then(|status| status.observed_generation);
        observed >= set.metadata.generation
    }

    /// Nothing of it runs: there is no pod, or its container waits to be started.
    fn is_idle(&self) -> bool {
        let Some(pod) = &self.pod else { return self.set.is_some() };
        let Some(status) = &pod.status else { return false };
        if pod.metadata.deletion_timestamp.is_some() {
            return false;
        }
        match (self.container(), status.phase.as_deref()) {
            (Some(container), _) => {
                let state = container.state.as_ref();
                state.is_some_and(|state| state.waiting.is_some() || state.terminated.is_some())
            }
            (None, Some("Pending" | "Failed")) => true,
            (None, _) => false,
        }
    }

    /// It will not come up as what it is: it waits for more than its start, has ended a few times, or
    /// no node takes it.
    fn is_stuck(&self) -> bool {
        let waiting = self.container().and_then(|c| Some((c, c.state.as_ref()?.waiting.as_ref()?)));
        let reason = waiting.and_then(|(c, waiting)| Some((c, waiting.reason.as_deref()?)));
        match reason {
            None | Some((_, "ContainerCreating" | "PodInitializing")) => self.is_unschedulable(),
            Some((container, "CrashLoopBackOff")) => container.restart_count >= ENDS_MIN,
            Some(_) => true,
        }
    }

    fn is_unschedulable(&self) -> bool {
        let status = self.pod.as_ref().and_then(|pod| pod.status.as_ref());
        let mut conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
        conditions.any(|c| c.type_ == "PodScheduled" && c.status == "False")
    }

    /// Its pod waits to be placed on a node.
    #[must_use]
    pub fn is_unplaced(&self) -> bool {
        let Some(pod) = &self.pod else { return false };
        let placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        !placed && pod.metadata.deletion_timestamp.is_none()
    }

    /// The node that its pod is on.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.pod.as_ref()?.spec.as_ref()?.node_name.as_deref()
    }

    /// The address of that node in the nodes' own network.
    #[must_use]
    pub fn node_ip(&self) -> Option<&str> {
        self.pod.as_ref()?.status.as_ref()?.host_ip.as_deref().filter(|ip| !ip.is_empty())
    }

    /// Whether its set, and the pod if there is one, were made with a port of this name.
    #[must_use]
    pub fn listens_on(&self, port: &str) -> bool {
        let has = |spec: Option<&PodSpec>| {
            let containers = spec.into_iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.filter_map(|c| c.ports.as_ref()).flatten();
            ports.any(|p| p.name.as_deref() == Some(port))
        };
        let set = self.set.as_ref().and_then(|set| set.spec.as_ref()?.template.spec.as_ref());
        let pod = self.pod.as_ref().map(|pod| has(pod.spec.as_ref()));
        has(set) && pod.unwrap_or(true)
    }

    fn container(&self) -> Option<&ContainerStatus> {
        let statuses = self.pod.as_ref()?.status.as_ref()?.container_statuses.as_ref()?;
        statuses.iter().find(|status| status.name == CONTAINER)
    }

    /// Where the pod can be reached, if it can.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        let status = self.pod.as_ref()?.status.as_ref()?;
        let ended = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
        status.pod_ip.as_deref().filter(|ip| !ended && !ip.is_empty())
    }

    /// Why the pod does not come up, in Kubernetes' own words; none if nothing is known to be wrong.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let pod = self.pod.as_ref()?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let told = |reason: &str, message: Option<&str>| {
            let message = message.map(|text| format!(": {}", first_line(text)));
            format!("pod {name} is {reason}{}", message.unwrap_or_default())
        };
        let waiting = self.container().and_then(|c| c.state.as_ref()?.waiting.as_ref());
        if let Some(waiting) = waiting
            && let Some(reason) = waiting.reason.as_deref()
            && !matches!(reason, "ContainerCreating" | "PodInitializing")
        {
            return Some(told(reason, waiting.message.as_deref()));
        }
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let unscheduled =
            conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        let reason = unscheduled.reason.as_deref().unwrap_or("not scheduled");
        Some(told(reason, unscheduled.message.as_deref()))
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workload(set: Option<Value>, pod: Option<Value>) -> Workload {
        Workload {
            set: set.map(|value| serde_json::from_value(value).unwrap()),
            pod: pod.map(|value| serde_json::from_value(value).unwrap()),
            claim: None,
            gone: false,
        }
    }

    fn set(generation: u32, observed: u32) -> Value {
        json!({
            "metadata": {"name": "demo-1", "generation": generation},
            "status": {"replicas": 1, "observedGeneration": observed, "updateRevision": "new"},
        })
    }

    fn pod(revision: &str, state: &Value) -> Value {
        json!({
            "metadata": {"name": "demo-1-0", "labels": {"controller-revision-hash": revision}},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}
            ]},
        })
    }

    fn process(set: Option<Value>, pod: Option<Value>) -> Process {
        workload(set, pod).process(Some(Standing::Wanted), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_pod_of_an_earlier_template_is_to_be_restarted() {
        let runs = json!({"running": {}});
        let of = |set, pod| process(Some(set), Some(pod)).revision;
        assert_eq!(of(set(2, 2), pod("new", &runs)), Revision::Current);
        assert_eq!(of(set(2, 2), pod("old", &runs)), Revision::Begun);
        assert_eq!(of(set(3, 2), pod("new", &runs)), Revision::Begun, "not seen by its controller");
        assert_eq!(
            process(Some(set(2, 2)), None).revision,
            Revision::Current,
            "it comes as the new"
        );
        let outdated = workload(Some(set(2, 2)), None)
            .process(Some(Standing::Outdated), Timestamp::UNIX_EPOCH);
        assert_eq!(outdated.revision, Revision::Due);
    }

    #[test]
    fn only_what_surely_does_not_run_is_idle() {
        let idle = |pod| process(Some(set(1, 1)), pod).idle;
        assert!(!idle(Some(pod("new", &json!({"running": {}})))));
        assert!(idle(Some(pod("new", &json!({"waiting": {"reason": "CrashLoopBackOff"}})))));
        assert!(!idle(Some(pod("new", &json!({})))), "nothing is known");
        assert!(idle(None));
        assert!(!process(None, None).idle);
        let mut ending = pod("new", &json!({"waiting": {}}));
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(process(Some(set(1, 1)), Some(ending.clone())).ending);
        assert!(!idle(Some(ending)));
        let pending = json!({"metadata": {"name": "x"}, "status": {"phase": "Pending"}});
        assert!(idle(Some(pending)));
    }

    #[test]
    fn what_is_being_started_is_not_stuck() {
        let waits = |reason: &str, restarts: u32| {
            let mut pod = pod("new", &json!({"waiting": {"reason": reason}}));
            pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
            process(Some(set(1, 1)), Some(pod)).stuck
        };
        assert!(!waits("ContainerCreating", 0));
        assert!(waits("ImagePullBackOff", 0));
        assert!(waits("CreateContainerConfigError", 0));
        assert!(!waits("CrashLoopBackOff", 1), "it was killed");
        assert!(waits("CrashLoopBackOff", 3));
        assert!(
            !process(Some(set(1, 1)), Some(pod("new", &json!({"terminated": {"exitCode": 137}}))))
                .stuck
        );
        let pending = |scheduled: &str| {
            let pod = json!({"metadata": {"name": "x"}, "status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": scheduled}
            ]}});
            process(Some(set(1, 1)), Some(pod)).stuck
        };
        assert!(pending("False"));
        assert!(!pending("True"));
        assert!(!process(Some(set(1, 1)), None).stuck, "its pod is being made");
    }

    #[test]
    fn how_long_a_pod_has_been_ready() {
        let ready = |status: &str, since: &str| {
            let pod = json!({"metadata": {"name": "p"}, "status": {"conditions": [
                {"type": "Ready", "status": status, "lastTransitionTime": since}
            ]}});
            let now = "2026-01-01T00:01:30Z".parse().unwrap();
            workload(None, Some(pod)).process(None, now).ready_for_s
        };
        assert_eq!(ready("True", "2026-01-01T00:00:00Z"), Some(90));
        assert_eq!(ready("True", "2026-01-01T00:02:00Z"), Some(0), "a clock that is ahead");
        assert_eq!(ready("False", "2026-01-01T00:00:00Z"), None);
    }

    #[test]
    fn trouble_is_told_in_the_words_of_kubernetes() {
        let waiting =
            json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off\nmore"}});
        let found = workload(None, Some(pod("new", &waiting))).trouble();
        assert_eq!(found.as_deref(), Some("pod demo-1-0 is ImagePullBackOff: Back-off"));
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        assert_eq!(workload(None, Some(pod("new", &creating))).trouble(), None);
        let unscheduled = json!({"metadata": {"name": "p"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        ]}});
        let found = workload(None, Some(unscheduled)).trouble();
        assert_eq!(found.as_deref(), Some("pod p is Unschedulable: 0/3 nodes"));
    }
}

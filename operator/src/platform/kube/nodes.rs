//! Whether the node that a volume is tied to is gone for good. A node that is not ready may come back; it
//! is gone only if its object is, or if somebody tainted it as out of service. Volumes that any node
//! of a zone can have are never judged here: a zone without nodes may get some again.

use chronik_plan::BrokerId;
use k8s_openapi::api::core::v1::{Node, NodeSelectorTerm, PersistentVolume};

use super::Kube;
use super::error::{KubeError, status_code};
use super::external::reads_nodes;

const HOST: &str = "kubernetes.io/hostname";
/// The taint of a node that somebody has given up.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Whether this volume is tied to nodes of which none is there any more.
#[must_use]
pub fn is_gone(volume: &PersistentVolume, nodes: &[Node]) -> bool {
    let Some(hosts) = tied_to(volume) else { return false };
    let is_there = |node: &Node| {
        let label = node.metadata.labels.as_ref().and_then(|labels| labels.get(HOST));
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        label.is_some_and(|host| hosts.contains(host))
            && !taints.into_iter().any(|taint| taint.key == OUT_OF_SERVICE)
    };
    !nodes.iter().any(is_there)
}

/// The hosts that alone can have a volume; none if it is not tied to hosts by name.
fn tied_to(volume: &PersistentVolume) -> Option<Vec<String>> {
    let required = volume.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref()?;
    let hosts_of = |term: &NodeSelectorTerm| {
        let mut expressions = term.match_expressions.iter().flatten();
        expressions.find(|e| e.key == HOST && e.operator == "In")?.values.clone()
    };
    let terms: Option<Vec<Vec<String>>> =
        required.node_selector_terms.iter().map(hosts_of).collect();
    terms.filter(|terms| !terms.is_empty()).map(|terms| terms.concat())
}

impl Kube {
    /// The nodes, if this pass goes by any of them; none without the right to read them.
    pub(super) async fn see_nodes(&self) -> Result<Option<Vec<Node>>, KubeError> {
        let external = self.inputs.external.as_ref();
        let is_asked = self.inputs.wanted.rack_label.is_some()
            || external.is_some_and(reads_nodes)
            || !self.unplaced_volumes().is_empty();
        if is_asked { unless_forbidden(self.objects.nodes().await) } else { Ok(None) }
    }

    /// Marks the volumes of brokers that cannot be placed because their node is gone. Without the right to
    /// read nodes and volumes nothing is marked, and people have to say it.
    pub(super) async fn mark_gone(&mut self, nodes: Option<&[Node]>) -> Result<(), KubeError> {
        let Some(nodes) = nodes else { return Ok(()) };
        for (id, name) in self.unplaced_volumes() {
            let volume = unless_forbidden(self.objects.volume(&name).await)?.flatten();
            let gone = volume.is_some_and(|volume| is_gone(&volume, nodes));
            if let Some(workload) = self.seen.get_mut(&id) {
                workload.gone = gone;
            }
        }
        Ok(())
    }

    /// The volumes of brokers whose pods wait for a node.
    fn unplaced_volumes(&self) -> Vec<(BrokerId, String)> {
        let unplaced = self.seen.iter().filter(|(_, workload)| workload.is_unplaced());
        let volumes = unplaced.filter_map(|(id, workload)| {
            let volume = workload.claim.as_ref()?.spec.as_ref()?.volume_name.clone()?;
            Some((*id, volume))
        });
        volumes.collect()
    }
}

fn unless_forbidden<T>(answer: Result<T, KubeError>) -> Result<Option<T>, KubeError> {
    match answer {
        Err(KubeError::Api { source, .. }) if status_code(&source) == Some(403) => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn volume(terms: &Value) -> PersistentVolume {
        let affinity = json!({"required": {"nodeSelectorTerms": terms}});
        serde_json::from_value(json!({"spec": {"nodeAffinity": affinity}})).unwrap()
    }

    fn node(host: &str, taints: &Value) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": host, "labels": {HOST: host}},
            "spec": {"taints": taints},
            "status": {"conditions": [
                {"type": "Ready", "status": "Unknown"}
            ]},
        }))
        .unwrap()
    }

    fn on(hosts: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": HOST, "operator": "In", "values": hosts}]})
    }

    #[test]
    fn a_volume_is_gone_with_its_node_and_not_before() {
        let local = volume(&json!([on(&["a"])]));
        let other = node("b", &json!([]));
        assert!(!is_gone(&local, &[node("a", &json!([])), other.clone()]), "only not ready");
        assert!(is_gone(&local, std::slice::from_ref(&other)));
        let dead = json!([{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]);
        assert!(is_gone(&local, &[node("a", &dead), other.clone()]));
        let either = volume(&json!([on(&["a"]), on(&["b"])]));
        assert!(!is_gone(&either, &[other]));
    }

    #[test]
    fn a_volume_that_is_not_tied_to_a_host_is_never_judged() {
        let zonal = json!([{"matchExpressions": [
            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z1"]}
        ]}]);
        assert!(!is_gone(&volume(&zonal), &[]));
        assert!(!is_gone(&volume(&json!([on(&["a"]), zonal[0]])), &[]), "one of two is enough");
        assert!(!is_gone(&PersistentVolume::default(), &[]));
    }
}

//! Racks by a label of nodes: the node that a broker's pod runs on says where the broker stands.

use std::collections::BTreeMap;

use chronik_plan::{BrokerId, Refusal};
use k8s_openapi::api::core::v1::Node;

use super::inputs::Inputs;
use super::seen::Workload;

/// Where brokers stand, from one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Racks {
    /// By broker, where it could be told.
    pub known: BTreeMap<BrokerId, String>,
    /// Why it cannot be told of the others.
    pub trouble: Option<String>,
}

impl Racks {
    /// Reads the label `key` of the nodes that pods are on, if there is one to read. `nodes` is `None`
    /// without the right to read them. A pod that is not placed yet is not known, which is no trouble.
    #[must_use]
    pub fn read(
        key: Option<&str>,
        workloads: &BTreeMap<BrokerId, Workload>,
        nodes: Option<&[Node]>,
    ) -> Racks {
        let Some(key) = key else { return Racks::default() };
        let Some(nodes) = nodes else {
            let trouble =
                "the operator has no right to read nodes: give it list on nodes".to_owned();
            return Racks { known: BTreeMap::new(), trouble: Some(trouble) };
        };
        let mut racks = Racks::default();
        let mut unlabelled = Vec::new();
        for (id, workload) in workloads {
            let Some(host) = workload.node() else { continue };
            let Some(node) = nodes.iter().find(|n| n.metadata.name.as_deref() == Some(host)) else {
                continue;
            };
            let label = node.metadata.labels.as_ref().and_then(|labels| labels.get(key));
            match label.filter(|rack| !rack.is_empty()) {
                Some(rack) => {
                    racks.known.insert(*id, rack.clone());
                }
                None if !unlabelled.contains(&host) => unlabelled.push(host),
                None => {}
            }
        }
        if !unlabelled.is_empty() {
            unlabelled.sort_unstable();
            let more = match unlabelled.len().saturating_sub(10) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            unlabelled.truncate(10);
            let names = unlabelled.join(", ");
            racks.trouble = Some(format!("nodes without that label: {names}{more}"));
        }
        racks
    }

    /// What people are told of racks that are not known.
    #[must_use]
    pub fn refusal(&self, inputs: &Inputs) -> Option<Refusal> {
        Some(Refusal {
            field: "spec.rack.topologyKey".into(),
            value: inputs.wanted.rack_label.clone()?,
            reason: self.trouble.clone()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ZONE: &str = "topology.kubernetes.io/zone";

    fn on(node: Option<&str>) -> Workload {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [], "nodeName": node}});
        Workload { pod: Some(serde_json::from_value(pod).unwrap()), ..Workload::default() }
    }

    fn node(name: &str, zone: Option<&str>) -> Node {
        let labels = zone.map(|zone| json!({ZONE: zone})).unwrap_or(json!({}));
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
    }

    #[test]
    fn a_broker_stands_where_its_pods_node_is() {
        let workloads = BTreeMap::from([
            (1, on(Some("n1"))),
            (2, on(Some("n2"))),
            (3, on(None)),
            (4, on(Some("n3"))),
            (5, on(Some("gone"))),
            (6, Workload::default()),
            (7, on(Some("n3"))),
        ]);
        let nodes = [node("n1", Some("a")), node("n2", Some("b")), node("n3", None)];
        let racks = Racks::read(Some(ZONE), &workloads, Some(&nodes));
        assert_eq!(racks.known, BTreeMap::from([(1, "a".into()), (2, "b".into())]));
        assert_eq!(racks.trouble.as_deref(), Some("nodes without that label: n3"));
        let racks = Racks::read(Some(ZONE), &workloads, None);
        assert_eq!(racks.known, BTreeMap::new());
        let expected = "the operator has no right to read nodes: give it list on nodes";
        assert_eq!(racks.trouble.as_deref(), Some(expected));
        let racks = Racks::read(Some(ZONE), &workloads, Some(&nodes[..2]));
        assert_eq!(racks.trouble, None);
        assert_eq!(Racks::read(None, &workloads, None), Racks::default(), "nobody asks");
    }
}

//! From a manifest to what is wanted. The rules are those of the CRD; what only the running cluster
//! can tell is left to the plan.

use chronik_plan::{Desired, Refusal, VolumePolicy};
use kube::ResourceExt as _;

use crate::api::cluster::{ChronikCluster, WhenScaled};

/// A manifest that passed: newtypes and numbers, nothing raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The cluster's name.
    pub name: String,
    /// How many brokers.
    pub brokers: u32,
    /// What becomes of removed brokers' volumes.
    pub when_scaled: VolumePolicy,
    /// The Kafka port of broker 1.
    pub port: u16,
    /// The size of a segment, if it is not the broker's own default.
    pub segment_bytes: Option<u64>,
    /// Racks, in turn.
    pub racks: Vec<String>,
}

impl Wanted {
    /// What the plan needs of it.
    #[must_use]
    pub fn desired(&self, cluster_id: &str) -> Desired {
        Desired {
            cluster_id: cluster_id.into(),
            brokers: self.brokers,
            when_scaled: self.when_scaled,
        }
    }
}

/// Checks a manifest, against the one accepted before if there is one. Every broken rule is named.
pub fn validate(
    cluster: &ChronikCluster,
    before: Option<&ChronikCluster>,
) -> Result<Wanted, Vec<Refusal>> {
    let checked = match before {
        Some(old) => cluster.validate_cel_update(old),
        None => cluster.validate_cel(),
    };
    let mut refusals = Vec::new();
    if let Err(errors) = checked {
        let json = serde_json::to_value(cluster).unwrap_or_default();
        for error in errors.into_vec() {
            let value = value_at(&json, &error.field_path);
            let field = error.field_path;
            refusals.push(Refusal { field, value, reason: error.message });
        }
    }
    let name = cluster.name_any();
    if !is_dns_label(&name) {
        refusals.push(Refusal {
            field: "metadata.name".into(),
            value: name.clone(),
            reason: "a name has lower case letters, digits and '-', and begins and ends with a \
                     letter or digit"
                .into(),
        });
    }
    let spec = &cluster.spec;
    let highest = i64::from(spec.listeners.kafka.port) + i64::from(spec.replicas) * 10;
    if refusals.is_empty() && highest > i64::from(u16::MAX) {
        refusals.push(Refusal {
            field: "spec.listeners.kafka.port".into(),
            value: spec.listeners.kafka.port.to_string(),
            reason: format!("{} brokers need ports up to {highest}, past 65535", spec.replicas),
        });
    }
    let (Ok(brokers), Ok(port)) =
        (u32::try_from(spec.replicas), u16::try_from(spec.listeners.kafka.port))
    else {
        return Err(refusals);
    };
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(Wanted {
        name,
        brokers,
        when_scaled: match spec.storage.when_scaled {
            WhenScaled::Retain => VolumePolicy::Retain,
            WhenScaled::Delete => VolumePolicy::Delete,
        },
        port,
        segment_bytes: spec.storage.segment_bytes.and_then(|b| u64::try_from(b).ok()),
        racks: spec.racks.clone(),
    })
}

fn is_dns_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(inner) && name.ends_with(inner) && name.chars().all(|c| inner(c) || c == '-')
}

fn value_at(json: &serde_json::Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    match json.pointer(&pointer) {
        Some(value) if !value.is_object() => value.to_string(),
        _ => String::new(),
    }
}

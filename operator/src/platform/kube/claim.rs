//! What is to be changed at a volume claim that exists: its size, which only grows, and whether it
//! goes with the cluster. Making claims is the `StatefulSet`'s business, deleting them the plan's.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

use super::inputs::Inputs;
use super::quantity;
use crate::api::storage::WhenGone;

/// A change of one claim, as a merge patch, and in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The patch. It names the claim's version: whoever changed it meanwhile is asked again.
    pub patch: Value,
    /// What it does.
    pub what: String,
}

/// The size, if it is less than what is asked for.
#[must_use]
pub fn growth(inputs: &Inputs, claim: &PersistentVolumeClaim) -> Option<Change> {
    let name = claim.metadata.name.as_deref()?;
    let asked = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?;
    let (has, wanted) = (quantity::parse(&asked.0)?, quantity::parse(&inputs.volume_size)?);
    (has < wanted).then(|| Change {
        patch: json!({
            "metadata": {"resourceVersion": claim.metadata.resource_version},
            "spec": {"resources": {"requests": {"storage": inputs.volume_size}}},
        }),
        what: format!("grow volume {name} from {} to {}", asked.0, inputs.volume_size),
    })
}

/// Its owner: the `ChronikCluster`, if volumes are to go with it, and nobody otherwise.
#[must_use]
pub fn ownership(inputs: &Inputs, claim: &PersistentVolumeClaim) -> Option<Change> {
    let name = claim.metadata.name.as_deref()?;
    let owner = inputs.names.owner();
    let owners = claim.metadata.owner_references.clone().unwrap_or_default();
    let others: Vec<_> = owners
        .iter()
        .filter(|o| !(o.kind == owner.kind && o.api_version == owner.api_version))
        .cloned()
        .collect();
    // The operator does not manage a claim: the `StatefulSet` made it.
    let mut plain = owner;
    (plain.controller, plain.block_owner_deletion) = (None, None);
    let (wanted, what) = match inputs.when_deleted {
        WhenGone::Delete => {
            let mut wanted = others;
            wanted.push(plain);
            (wanted, format!("let volume {name} go with the cluster"))
        }
        WhenGone::Retain => (others, format!("keep volume {name} when the cluster is deleted")),
    };
    (wanted != owners).then(|| Change {
        patch: json!({"metadata": {
            "resourceVersion": claim.metadata.resource_version,
            "ownerReferences": wanted,
        }}),
        what,
    })
}

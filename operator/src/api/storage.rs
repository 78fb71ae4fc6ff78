//! Where a cluster's records are kept, and what becomes of them.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where records are kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.class) == has(oldSelf.class) && (!has(self.class) || self.class == oldSelf.class)")
    .message("the storage class of volumes that exist cannot change"))]
pub struct Storage {
    /// The size of each broker's volume; it can only grow. Kubernetes only.
    #[serde(default = "default_size")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))")
        .message("a size is a quantity like 10Gi"))]
    #[x_kube(validation = Rule::new("!isQuantity(self) || !isQuantity(oldSelf) \
        || quantity(self).compareTo(quantity(oldSelf)) >= 0")
        .message("a volume cannot shrink"))]
    pub size: String,
    /// The storage class of the volumes; the cluster's default if not given. Kubernetes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub class: Option<String>,
    /// What becomes of the data of a broker that was removed by shrinking.
    #[serde(default)]
    pub when_scaled: WhenGone,
    /// What becomes of all data when the `ChronikCluster` is deleted. Kubernetes only.
    #[serde(default)]
    pub when_deleted: WhenGone,
    /// The size at which a partition begins a new file. Takes effect as a change of `broker` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1048576")
        .message("a segment has at least 1048576 bytes"))]
    pub segment_bytes: Option<i64>,
}

fn default_size() -> String {
    "10Gi".into()
}

impl Default for Storage {
    fn default() -> Storage {
        Storage {
            size: default_size(),
            class: None,
            when_scaled: WhenGone::default(),
            when_deleted: WhenGone::default(),
            segment_bytes: None,
        }
    }
}

/// What becomes of data that nobody uses any more.
#[derive(
    Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default,
)]
pub enum WhenGone {
    /// It stays. A volume whose broker id is needed again is wiped then.
    #[default]
    Retain,
    /// It is deleted.
    Delete,
}

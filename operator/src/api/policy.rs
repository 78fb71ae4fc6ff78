//! How changes are made, and what a cluster offers to those who watch or drain it. None of it is part
//! of what a pod is made from: a change of these restarts nobody.

#![allow(unreachable_pub, reason = "the schema derive repeats each type inside a function")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How brokers are restarted for a change.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Rolling {
    /// Healthy brokers keep what they run; status says which restarts wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// For how long every other broker has to have been ready before the next one is restarted.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 86400")
        .message("must be from 0 to 86400 seconds"))]
    pub wait_seconds: i32,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// The `PodDisruptionBudget`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudget {
    /// Whether there is one. Without it nothing holds a drain of several nodes at once back.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Default for DisruptionBudget {
    fn default() -> Self {
        DisruptionBudget { enabled: yes() }
    }
}

fn yes() -> bool {
    true
}

/// What brokers offer to Prometheus.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Whether there is a headless Service `<cluster>-metrics` of all brokers' metrics ports, with
    /// the annotations `prometheus.io/scrape`, `/port` and `/path`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
}

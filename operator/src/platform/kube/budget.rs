//! The disruption budget is the plan's gate for everybody else: nodes are drained one broker at a
//! time, and not at all while a broker is missing or has not caught up.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::inputs::Inputs;

/// The budget; `spare` is the plan's word that any one broker could stop now.
#[must_use]
pub fn build(inputs: &Inputs, spare: bool) -> PodDisruptionBudget {
    let names = &inputs.names;
    PodDisruptionBudget {
        metadata: names.meta(names.cluster.clone(), names.labels()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(i32::from(spare))),
            // A pod that serves nobody may always go: it may be what is wrong.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            selector: Some(LabelSelector {
                match_labels: Some(inputs.pod_selector()),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

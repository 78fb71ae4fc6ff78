//! One `StatefulSet` a broker, of one pod. Its template is written only when the plan says that it
//! is this broker's turn, and `OnDelete` keeps Kubernetes from acting on it before the pod goes.

use std::collections::BTreeMap;

use chronik_plan::BrokerId;
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;

use super::inputs::{ImageFrom, Inputs};
use super::pod;
use super::within::{self, RENDERED};

/// The annotation with the hash of the inputs.
pub const INPUTS: &str = "chronik.io/inputs";
/// The annotation of a set whose image was the operator's choice.
pub const IMAGE_FROM: &str = "chronik.io/image-from";
/// The value of [`IMAGE_FROM`].
pub const OPERATOR: &str = "operator";

/// The set of one broker. What Kubernetes never changes in it is taken from the live one, if any.
#[must_use]
pub fn build(inputs: &Inputs, broker: BrokerId, live: Option<&StatefulSet>) -> StatefulSet {
    let names = &inputs.names;
    let labels = names.broker_labels(broker);
    let mut metadata = names.meta(names.set(broker), labels.clone());
    let mut notes = BTreeMap::from([(INPUTS.to_owned(), inputs.hash(broker))]);
    if inputs.image.1 == ImageFrom::Operator {
        notes.insert(IMAGE_FROM.into(), OPERATOR.into());
    }
    let template = pod::template(inputs, broker);
    notes.insert(RENDERED.into(), within::hash(&as_json(&template)));
    metadata.annotations = Some(notes);
    let claims = live.and_then(|set| set.spec.as_ref()?.volume_claim_templates.clone());
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(names.headless()),
            pod_management_policy: Some("Parallel".into()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".into()),
                ..StatefulSetUpdateStrategy::default()
            }),
            // Only the operator deletes a volume, and only after the broker is forgotten.
            persistent_volume_claim_retention_policy: Some(
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: Some("Retain".into()),
                    when_scaled: Some("Retain".into()),
                },
            ),
            revision_history_limit: Some(2),
            selector: LabelSelector { match_labels: Some(labels), ..LabelSelector::default() },
            template,
            volume_claim_templates: Some(claims.unwrap_or_else(|| vec![claim(inputs)])),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn claim(inputs: &Inputs) -> PersistentVolumeClaim {
    let size = Quantity(inputs.volume_size.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some(pod::DATA.into()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: inputs.volume_class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size)].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// How the template of a set that exists stands to what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what is wanted.
    Wanted,
    /// It is what is wanted, as an earlier operator wrote it: it waits for the next restart.
    OlderRendering,
    /// The manifest asks for something else, or somebody changed it.
    Outdated,
}

/// Compares a set that exists with the one that would be made now.
#[must_use]
pub fn standing(wanted: &StatefulSet, live: &StatefulSet) -> Standing {
    let note = |set: &StatefulSet, key: &str| set.metadata.annotations.as_ref()?.get(key).cloned();
    if note(wanted, INPUTS) != note(live, INPUTS) {
        return Standing::Outdated;
    }
    if note(wanted, RENDERED) != note(live, RENDERED) {
        return Standing::OlderRendering;
    }
    let template = |set: &StatefulSet| set.spec.as_ref().map(|spec| as_json(&spec.template));
    let same = template(wanted)
        .zip(template(live))
        .is_some_and(|(wanted, live)| within::is_within(&wanted, &live));
    if same { Standing::Wanted } else { Standing::Outdated }
}

fn as_json(template: &PodTemplateSpec) -> Value {
    serde_json::to_value(template).unwrap_or_default()
}

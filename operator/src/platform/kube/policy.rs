//! The `NetworkPolicy` of brokers' pods, when the manifest asks for one. Nothing about outgoing
//! connections: brokers only dial each other, and resolve names.

use std::collections::BTreeMap;

use chronik_plan::Refusal;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::error::{KubeError, status_code};
use super::inputs::{Inputs, Port};
use super::objects::Objects;
use crate::platform::Tended;
use crate::reconcile::describe;

/// The label that Kubernetes itself gives every namespace.
const NAMESPACE: &str = "kubernetes.io/metadata.name";
/// What the chart labels the operator's pods with.
const OPERATOR: (&str, &str) = ("app.kubernetes.io/name", "chronik-operator");

/// The policy; none if the manifest does not ask for one.
#[must_use]
pub fn build(inputs: &Inputs) -> Option<NetworkPolicy> {
    let wanted = inputs.network_policy.as_ref().filter(|policy| policy.enabled)?;
    let names = &inputs.names;
    let pods = |labels| LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    let label = |(key, value): (&str, &str)| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let brokers = NetworkPolicyPeer {
        pod_selector: Some(pods(inputs.pod_selector())),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(pods(label((NAMESPACE, &inputs.operator_namespace)))),
        pod_selector: Some(pods(label(OPERATOR))),
        ..NetworkPolicyPeer::default()
    };
    let rules = [
        rule(Port::Peer, &[brokers, operator]),
        rule(Port::Kafka, &wanted.kafka_from),
        rule(Port::Http, &wanted.monitoring_from),
    ];
    let external = inputs.external.as_ref();
    let external = external.map(|_| rule(Port::External, &wanted.external_from));
    Some(NetworkPolicy {
        metadata: names.meta(names.cluster.clone(), names.labels()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(inputs.pod_selector())),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(rules.into_iter().chain(external).collect()),
            ..NetworkPolicySpec::default()
        }),
    })
}

/// One port, and who reaches it; everybody if none are named.
fn rule(port: Port, from: &[NetworkPolicyPeer]) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(from.to_vec()).filter(|from| !from.is_empty()),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::String(port.name().into())),
            protocol: Some("TCP".into()),
            ..NetworkPolicyPort::default()
        }]),
    }
}

/// Makes, updates or removes the policy. An operator without rights on policies says so when one is
/// wanted, and otherwise there is none that it could have made.
pub async fn tend(
    objects: &Objects,
    inputs: &Inputs,
    tended: &mut Tended,
) -> Result<(), KubeError> {
    let name = &inputs.names.cluster;
    let Some(policy) = build(inputs) else {
        let found = match objects.list::<NetworkPolicy>(&inputs.names.selector()).await {
            Err(error) if is_refusal(&error) => return Ok(()),
            found => found?,
        };
        let ours = inputs.names.owner();
        for policy in found {
            let mut owners = policy.metadata.owner_references.iter().flatten();
            if owners.any(|owner| owner.uid == ours.uid)
                && policy.metadata.deletion_timestamp.is_none()
            {
                objects.delete::<NetworkPolicy>(&policy.metadata).await?;
                tended.done.push(format!("delete NetworkPolicy {name}"));
            }
        }
        return Ok(());
    };
    match objects.ensure(&policy).await {
        Ok(true) => tended.done.push(format!("apply NetworkPolicy {name}")),
        Ok(false) => {}
        Err(KubeError::Api { what, source }) if is_refused(&source) => {
            tended.refused.push(Refusal {
                field: "spec.networkPolicy".into(),
                value: String::new(),
                reason: format!("could not {what}: {}", describe(source.as_ref())),
            });
        }
        Err(other) => return Err(other),
    }
    Ok(())
}

pub(super) fn is_refusal(error: &KubeError) -> bool {
    matches!(error, KubeError::Api { source, .. } if is_refused(source))
}

/// The API server's no: no right to it, or what is asked for makes no sense to it.
fn is_refused(error: &kube::Error) -> bool {
    matches!(status_code(error), Some(403 | 422))
}

//! The pod of a broker: not root, nothing writable but its data, no rights in Kubernetes.

use std::collections::BTreeMap;

use chronik_plan::BrokerId;
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapKeySelector, Container, ContainerPort, EnvVar, EnvVarSource,
    HTTPGetAction, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec,
    Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume,
    VolumeMount, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::inputs::{Inputs, Port};
use super::seeds;
use crate::api::pod::PullPolicy;

/// The volume with a broker's data.
pub const DATA: &str = "data";
/// The container.
pub const CONTAINER: &str = "broker";
const MOUNT: &str = "/var/lib/chronik";
/// The volume with the certificate for peers and the operator.
const TLS: &str = "tls";
const TLS_MOUNT: &str = "/etc/chronik/tls";
/// The volume with the certificate for Kafka clients.
const KAFKA_TLS: &str = "kafka-tls";
const KAFKA_TLS_MOUNT: &str = "/etc/chronik/kafka-tls";
const USER: i64 = 10001;
/// Longer than a broker takes to hand its leaderships over and to end.
const GRACE_S: i64 = 60;

/// What a broker's pod is made from.
#[must_use]
pub fn template(inputs: &Inputs, broker: BrokerId) -> PodTemplateSpec {
    let pod = &inputs.pod;
    let mut labels = pod.labels.clone();
    labels.extend(inputs.names.broker_labels(broker));
    let annotations = Some(pod.annotations.clone()).filter(|a| !a.is_empty());
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations, ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            containers: vec![container(inputs, broker)],
            volumes: Some(volumes(inputs, broker)),
            termination_grace_period_seconds: Some(GRACE_S),
            security_context: Some(pod.security_context.clone().unwrap_or_else(not_root)),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            affinity: Some(pod.affinity.clone().unwrap_or_else(|| apart(inputs))),
            node_selector: Some(pod.node_selector.clone()).filter(|s| !s.is_empty()),
            tolerations: list(&pod.tolerations),
            topology_spread_constraints: list(&pod.topology_spread_constraints),
            priority_class_name: pod.priority_class_name.clone(),
            image_pull_secrets: list(&pod.image_pull_secrets),
            ..PodSpec::default()
        }),
    }
}

fn list<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    Some(items.to_vec()).filter(|items| !items.is_empty())
}

fn container(inputs: &Inputs, broker: BrokerId) -> Container {
    let ports = inputs.ports().map(|port| ContainerPort {
        name: Some(port.name().into()),
        container_port: inputs.port(port).into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    });
    Container {
        name: CONTAINER.into(),
        image: Some(inputs.image.0.clone()),
        image_pull_policy: inputs.pull_policy.map(|policy| match policy {
            PullPolicy::Always => "Always".into(),
            PullPolicy::IfNotPresent => "IfNotPresent".into(),
            PullPolicy::Never => "Never".into(),
        }),
        args: Some(arguments(inputs, broker)),
        env: Some(variables(inputs)),
        ports: Some(ports.collect()),
        resources: (!inputs.requests.is_empty() || !inputs.limits.is_empty()).then(|| {
            let some = |amounts: &BTreeMap<_, _>| Some(amounts.clone()).filter(|a| !a.is_empty());
            ResourceRequirements {
                requests: some(&inputs.requests),
                limits: some(&inputs.limits),
                ..ResourceRequirements::default()
            }
        }),
        // A start can take long: what a crash left behind is read first.
        startup_probe: Some(probe("/healthz", 2, 1800)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        security_context: Some(confined()),
        volume_mounts: Some(mounts(inputs)),
        ..Container::default()
    }
}

fn volumes(inputs: &Inputs, broker: BrokerId) -> Vec<Volume> {
    let own = secret(TLS, inputs.names.certificate(broker));
    let clients = inputs.kafka_tls.iter().map(|name| secret(KAFKA_TLS, name.clone()));
    [own].into_iter().chain(clients).collect()
}

fn mounts(inputs: &Inputs) -> Vec<VolumeMount> {
    let data =
        VolumeMount { name: DATA.into(), mount_path: MOUNT.into(), ..VolumeMount::default() };
    let clients = inputs.kafka_tls.iter().map(|_| mounted(KAFKA_TLS, KAFKA_TLS_MOUNT));
    [data, mounted(TLS, TLS_MOUNT)].into_iter().chain(clients).collect()
}

/// A Secret as files. The whole of it is mounted, never one key by a subPath: only then are files
/// replaced when the Secret is.
fn secret(volume: &str, name: String) -> Volume {
    Volume {
        name: volume.into(),
        secret: Some(SecretVolumeSource { secret_name: Some(name), ..Default::default() }),
        ..Volume::default()
    }
}

fn mounted(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.into(),
        mount_path: path.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn arguments(inputs: &Inputs, broker: BrokerId) -> Vec<String> {
    let host = inputs.names.host(broker);
    let (kafka, peer) = (inputs.port(Port::Kafka), inputs.port(Port::Peer));
    let mut arguments = vec![
        format!("--broker-id={broker}"),
        // Not the mount itself: filesystems keep things of their own there.
        format!("--data-dir={MOUNT}/data"),
        format!("--kafka-listen=0.0.0.0:{kafka}"),
        format!("--kafka-advertised={host}:{kafka}"),
        format!("--peer-listen=0.0.0.0:{peer}"),
        // A name, not the pod's address: after a loss of all pods nobody would know anybody's.
        format!("--peer-advertised={host}:{peer}"),
        format!("--tls-dir={TLS_MOUNT}"),
        format!("--http-listen=0.0.0.0:{}", inputs.port(Port::Http)),
        "--log-format=json".to_owned(),
    ];
    let external = inputs.wanted.external_port;
    arguments.extend(external.map(|port| format!("--kafka-external-listen=0.0.0.0:{port}")));
    arguments.extend(inputs.wanted.rack(broker).map(|rack| format!("--rack={rack}")));
    arguments.extend(inputs.kafka_tls.iter().map(|_| format!("--kafka-tls-dir={KAFKA_TLS_MOUNT}")));
    let settings = inputs.wanted.settings.iter();
    arguments.extend(settings.map(|(flag, value)| format!("{flag}={value}")));
    arguments
}

fn variables(inputs: &Inputs) -> Vec<EnvVar> {
    let source = EnvVarSource {
        config_map_key_ref: Some(ConfigMapKeySelector {
            name: inputs.names.seeds(),
            key: seeds::VARIABLE.into(),
            ..ConfigMapKeySelector::default()
        }),
        ..EnvVarSource::default()
    };
    let seeds =
        EnvVar { name: seeds::VARIABLE.into(), value_from: Some(source), ..EnvVar::default() };
    [seeds].into_iter().chain(inputs.pod.env.iter().cloned()).collect()
}

fn probe(path: &str, period_s: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(Port::Http.name().into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_s),
        timeout_seconds: Some(6),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

fn not_root() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// Brokers of one cluster avoid each other's nodes, and are placed all the same if there are few.
fn apart(inputs: &Inputs) -> Affinity {
    let term = PodAffinityTerm {
        topology_key: "kubernetes.io/hostname".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(inputs.pod_selector()),
            ..LabelSelector::default()
        }),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                WeightedPodAffinityTerm { weight: 100, pod_affinity_term: term },
            ]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

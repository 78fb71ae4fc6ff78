//! The services inside the cluster: one that gives every broker a name, ready or not, because
//! brokers find each other by it before they are; one where clients start, of those that are ready;
//! and, where asked for, one by which metrics are found. Those for clients outside are `external`'s.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::inputs::{Inputs, Port};

/// The names of brokers.
#[must_use]
pub fn headless(inputs: &Inputs) -> Service {
    let names = &inputs.names;
    let ports = [Port::Kafka, Port::Peer, Port::Http].map(|port| service_port(inputs, port));
    Service {
        metadata: names.meta(names.headless(), names.labels()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(inputs.pod_selector()),
            ports: Some(ports.into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Where clients start.
#[must_use]
pub fn bootstrap(inputs: &Inputs) -> Service {
    let names = &inputs.names;
    Service {
        metadata: names.meta(names.bootstrap(), names.labels()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(inputs.pod_selector()),
            ports: Some(vec![service_port(inputs, Port::Kafka)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// By which Prometheus finds brokers, ready or not.
#[must_use]
pub fn metrics(inputs: &Inputs) -> Service {
    let names = &inputs.names;
    let mut metadata = names.meta(names.metrics(), names.labels());
    let port = inputs.port(Port::Http).to_string();
    let notes = [("scrape", "true"), ("port", port.as_str()), ("path", "/metrics")];
    let notes = notes.map(|(key, value)| (format!("prometheus.io/{key}"), value.to_owned()));
    metadata.annotations.get_or_insert_default().extend(notes);
    Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(inputs.pod_selector()),
            ports: Some(vec![service_port(inputs, Port::Http)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

pub(super) fn service_port(inputs: &Inputs, port: Port) -> ServicePort {
    ServicePort {
        name: Some(port.name().into()),
        port: inputs.port(port).into(),
        target_port: Some(IntOrString::String(port.name().into())),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}

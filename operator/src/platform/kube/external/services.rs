//! Pure: the Services of the listener for clients outside, as rendered.

use std::collections::BTreeMap;

use chronik_plan::BrokerId;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use crate::api::external::{ExternalKind, ExternalListener};
use crate::platform::kube::inputs::{Inputs, Port};
use crate::platform::kube::names::{BROKER_LABEL, LISTENER_LABEL};
use crate::platform::kube::service::service_port;

/// The Service of one broker. It leads there whether the broker is ready or not, as its name inside
/// does: what a broker cannot do yet it says itself.
#[must_use]
pub fn broker(inputs: &Inputs, external: &ExternalListener, broker: BrokerId) -> Service {
    let names = &inputs.names;
    let special = external.broker(broker);
    let mut selector = inputs.pod_selector();
    selector.insert(BROKER_LABEL.into(), broker.to_string());
    let mut service = Service {
        metadata: names.meta(names.external(broker), names.broker_labels(broker)),
        spec: Some(ServiceSpec {
            publish_not_ready_addresses: Some(true),
            selector: Some(selector),
            ports: Some(vec![port(inputs, special.and_then(|special| special.node_port))]),
            ..spec(external)
        }),
        status: None,
    };
    annotate(&mut service, external, special.map(|special| &special.annotations));
    service
}

/// The Service where clients start: of all brokers that are ready.
#[must_use]
pub fn bootstrap(inputs: &Inputs, external: &ExternalListener) -> Service {
    let names = &inputs.names;
    let special = external.bootstrap.as_ref();
    let mut service = Service {
        metadata: names.meta(names.external_bootstrap(), names.labels()),
        spec: Some(ServiceSpec {
            selector: Some(inputs.pod_selector()),
            ports: Some(vec![port(inputs, special.and_then(|special| special.node_port))]),
            ..spec(external)
        }),
        status: None,
    };
    annotate(&mut service, external, special.map(|special| &special.annotations));
    service
}

fn spec(external: &ExternalListener) -> ServiceSpec {
    match external.kind {
        ExternalKind::NodePort => {
            ServiceSpec { type_: Some("NodePort".into()), ..ServiceSpec::default() }
        }
        ExternalKind::LoadBalancer => ServiceSpec {
            type_: Some("LoadBalancer".into()),
            allocate_load_balancer_node_ports: external.allocate_load_balancer_node_ports,
            load_balancer_class: external.load_balancer_class.clone(),
            load_balancer_source_ranges: Some(external.load_balancer_source_ranges.clone())
                .filter(|ranges| !ranges.is_empty()),
            ..ServiceSpec::default()
        },
    }
}

fn port(inputs: &Inputs, node_port: Option<i32>) -> ServicePort {
    ServicePort { node_port, ..service_port(inputs, Port::External) }
}

fn annotate(
    service: &mut Service,
    external: &ExternalListener,
    special: Option<&BTreeMap<String, String>>,
) {
    let mut annotations = external.annotations.clone();
    annotations.extend(special.cloned().unwrap_or_default());
    service.metadata.annotations = Some(annotations).filter(|a| !a.is_empty());
    let (label, value) = LISTENER_LABEL;
    service.metadata.labels.get_or_insert_default().insert(label.into(), value.into());
}

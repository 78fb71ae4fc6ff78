//! DescribeCluster: the brokers, and whom to send changes to.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use super::{Call, operations, text, view};
use crate::core::Core;
use crate::error::KafkaError;
use crate::log::disk::Disk;

/// The kind of endpoint that this is: brokers.
const BROKERS: i8 = 1;
/// Controllers, which are no endpoint of their own here.
const CONTROLLERS: i8 = 2;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DescribeClusterRequest) {
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some(KafkaError::MismatchedEndpointType),
        _ => Some(KafkaError::UnsupportedEndpointType),
    };
    if let Some(error) = refused {
        let response = DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(error.message())));
        return call.answer(core, response);
    }
    let fenced_too = request.include_fenced_brokers;
    let shown = core.meta.brokers().filter(|broker| fenced_too || !broker.fenced);
    let brokers = shown.filter_map(|broker| {
        let endpoint = view::endpoint(broker, call.listener)?;
        Some(
            DescribeClusterBroker::default()
                .with_broker_id(endpoint.id)
                .with_host(endpoint.host)
                .with_port(endpoint.port)
                .with_rack(endpoint.rack)
                .with_is_fenced(broker.fenced),
        )
    });
    let bits = match request.include_cluster_authorized_operations {
        true => operations::CLUSTER,
        false => operations::NOT_ASKED,
    };
    let response = DescribeClusterResponse::default()
        .with_cluster_id(text(core.cluster_id().unwrap_or_default()))
        .with_controller_id(view::controller(core, call.listener))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(bits);
    call.answer(core, response);
}

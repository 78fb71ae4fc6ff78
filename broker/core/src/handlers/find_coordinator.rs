//! FindCoordinator: which broker coordinates a group. The first one ever asked for makes the
//! groups' topic.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::refusal::Failure;
use super::{Call, groups, placing, view};
use crate::core::Core;
use crate::error::KafkaError;
use crate::log::disk::Disk;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// The first version with several keys.
const KEYS_FROM: i16 = 4;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &FindCoordinatorRequest) {
    let refused = match request.key_type {
        GROUP => None,
        // Retriable errors would keep the producer waiting for what does not come.
        TRANSACTION => Some(Failure::new(
            KafkaError::UnsupportedVersion,
            "this broker does not serve transactions",
        )),
        other => Some(Failure::new(
            KafkaError::InvalidRequest,
            format!("there are no coordinators of type {other}"),
        )),
    };
    let keys = match call.version() < KEYS_FROM {
        true => vec![request.key.clone()],
        false => request.coordinator_keys.clone(),
    };
    if let Some(failure) = refused {
        let found = keys.into_iter().map(|key| failed(key, &failure)).collect();
        return answer(core, call, found);
    }
    if core.meta.topic_by_name(placing::OFFSETS_TOPIC).is_some() {
        let found = keys.into_iter().map(|key| find(core, call, key)).collect();
        return answer(core, call, found);
    }
    let call = call.clone();
    placing::create_default(core, placing::OFFSETS_TOPIC, move |core, made| {
        let found = keys.into_iter().map(|key| match &made {
            Ok(()) => find(core, &call, key),
            // Whatever the reason, it can pass: brokers come.
            Err(why) => {
                let error = KafkaError::CoordinatorNotAvailable;
                failed(key, &Failure::new(error, why.message.clone()))
            }
        });
        let found = found.collect();
        answer(core, &call, found);
    });
}

fn find<D: Disk>(core: &Core<D>, call: &Call, key: StrBytes) -> Coordinator {
    let leader = groups::partition(&core.meta, key.as_str()).and_then(|id| core.leader_of(id));
    let broker = leader.and_then(|leader| core.meta.broker(leader.broker));
    let live = broker.filter(|broker| !broker.fenced);
    match live.and_then(|broker| view::endpoint(broker, call.listener)) {
        Some(broker) => Coordinator::default()
            .with_key(key)
            .with_node_id(broker.id)
            .with_host(broker.host)
            .with_port(broker.port),
        None => failed(key, &Failure::from(KafkaError::CoordinatorNotAvailable)),
    }
}

fn failed(key: StrBytes, failure: &Failure) -> Coordinator {
    Coordinator::default()
        .with_key(key)
        .with_node_id((-1).into())
        .with_port(-1)
        .with_error_code(failure.code())
        .with_error_message(failure.text())
}

fn answer<D: Disk>(core: &mut Core<D>, call: &Call, mut found: Vec<Coordinator>) {
    let response = FindCoordinatorResponse::default();
    if call.version() >= KEYS_FROM {
        return call.answer(core, response.with_coordinators(found));
    }
    let Some(one) = found.pop() else { return call.answer(core, response) };
    let response = response
        .with_error_code(one.error_code)
        .with_error_message(one.error_message)
        .with_node_id(one.node_id)
        .with_host(one.host)
        .with_port(one.port);
    call.answer(core, response);
}

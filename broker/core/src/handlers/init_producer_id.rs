//! InitProducerId for idempotent producers. Ids come from `__meta` in blocks, so that most answers
//! take no round through the cluster; ids of a block that was not used up are never used.

use std::collections::VecDeque;

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Call;
use crate::core::{Core, ProposeError};
use crate::error::KafkaError;
use crate::log::disk::Disk;
use crate::meta::{Command, Outcome};

/// How many ids this broker reserves at once.
const BLOCK: u32 = 1_000;

/// The ids that this broker may hand out, and who waits for more.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    next: i64,
    left: u32,
    waiting: VecDeque<Call>,
    asked: bool,
}

impl ProducerIds {
    fn take(&mut self) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        let id = self.next;
        self.next += 1;
        Some(id)
    }
}

/// A producer that starts, and one whose epoch is used up (it sends the id that it has), both get a
/// new id with epoch 0, as Kafka has it for producers without a transactional id.
pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &InitProducerIdRequest) {
    let half = (request.producer_id.0 == -1) != (request.producer_epoch == -1);
    let refused = match &request.transactional_id {
        Some(id) if id.is_empty() => Some(KafkaError::InvalidRequest),
        // Retriable errors would keep the producer waiting for what does not come.
        Some(_) => Some(KafkaError::UnsupportedVersion),
        None if half => Some(KafkaError::InvalidRequest),
        None => None,
    };
    if let Some(error) = refused {
        return refuse(core, call, error);
    }
    core.producer_ids.waiting.push_back(call.clone());
    serve(core);
}

fn refuse<D: Disk>(core: &mut Core<D>, call: &Call, error: KafkaError) {
    let response =
        InitProducerIdResponse::default().with_error_code(error.code()).with_producer_epoch(-1);
    call.answer(core, response);
}

/// Answers those who wait while there are ids, then asks for more.
fn serve<D: Disk>(core: &mut Core<D>) {
    while !core.producer_ids.waiting.is_empty() {
        let Some(id) = core.producer_ids.take() else { break };
        let Some(call) = core.producer_ids.waiting.pop_front() else { break };
        let response = InitProducerIdResponse::default().with_producer_id(ProducerId(id));
        call.answer(core, response);
    }
    if core.producer_ids.waiting.is_empty() || core.producer_ids.asked {
        return;
    }
    core.producer_ids.asked = true;
    let command = Command::AllocateProducerIds { broker: core.me(), count: BLOCK };
    core.propose_meta(&command, |core, result| reserved(core, &result));
}

fn reserved<D: Disk>(core: &mut Core<D>, result: &Result<Outcome, ProposeError>) {
    core.producer_ids.asked = false;
    match result {
        Ok(Outcome::ProducerIds { first, count }) => {
            (core.producer_ids.next, core.producer_ids.left) = (*first, *count);
            serve(core);
        }
        Ok(Outcome::None | Outcome::Registered { .. }) | Err(_) => {
            for call in std::mem::take(&mut core.producer_ids.waiting) {
                refuse(core, &call, KafkaError::CoordinatorLoadInProgress);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_block_are_handed_out_once() {
        let mut ids = ProducerIds { next: 7, left: 2, ..ProducerIds::default() };
        assert_eq!([ids.take(), ids.take(), ids.take()], [Some(7), Some(8), None]);
    }
}

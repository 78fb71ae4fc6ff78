//! Produce: validate, give offsets, propose, and answer when a quorum has it on disk.
//!
//! Each batch is checked against its own header and checksum, and an idempotent producer's against
//! what the log and the leader's own proposals hold (KIP-98). acks=all is answered when the entry
//! is committed, acks=1 when it is in this broker's write-ahead log, acks=0 never.

use bytes::Bytes;

use super::batch_info;
use super::producers::{Appended, Check, ProducerBatch};
use super::refused::RefusedBatches;
use crate::core::input::Token;
use crate::core::{AppendWaiter, Core, Leader, Machine};
use crate::error::KafkaError;
use crate::ids::{Index, Micros, Now, Offset, PartitionId, Term};
use crate::log::disk::Disk;
use crate::meta::Listener;
use crate::meta::configs::TimestampType;
use crate::mutant::{self, Mutant};
use crate::raft::group::{BATCH_BYTES_MAX, NotProposed, Proposed};
use crate::wire::batch::{self, BatchError, BatchHeader};
use crate::wire::produce::{
    ProduceRequest, ProduceResponse, ProducedPartition, ProducedTopic, RecordError,
};
use crate::wire::{LeaderHint, Response, ResponseBody, ResponseHeader, StrBytes, TopicRef};

/// A produce request that waits for commits.
#[derive(Debug)]
pub(crate) struct ParkedProduce {
    pub(crate) token: Token,
    pub(crate) deadline: Micros,
    header: ResponseHeader,
    answers: bool,
    response: ProduceResponse,
    /// Where each waiting partition's answer is, by slot: topic, partition; none once settled.
    slots: Vec<Option<(usize, usize)>>,
    /// How many of them are not settled: a request can have very many.
    unsettled: usize,
}

impl ParkedProduce {
    /// The entry of `slot` is decided: the log start offset then, or why it failed. Whether that
    /// was the last one.
    pub(crate) fn settle(&mut self, slot: usize, result: Result<Offset, KafkaError>) -> bool {
        let place = self.slots.get_mut(slot).and_then(Option::take);
        self.unsettled -= usize::from(place.is_some());
        if let Some(partition) = place.and_then(|place| self.partition_mut(place)) {
            match result {
                Ok(log_start) => partition.log_start_offset = log_start,
                Err(error) => *partition = ProducedPartition::failed(partition.index, error),
            }
        }
        self.unsettled == 0
    }

    /// The answer as it stands.
    pub(crate) fn answer(self) -> Option<Response> {
        let body = ResponseBody::Produce(self.response);
        self.answers.then_some(Response { header: self.header, body })
    }

    /// The answer, with an error for whatever is not decided.
    pub(crate) fn give_up(mut self, error: KafkaError) -> Option<Response> {
        for slot in 0..self.slots.len() {
            if self.slots.get(slot).is_some_and(Option::is_some) {
                self.settle(slot, Err(error));
            }
        }
        self.answer()
    }

    fn partition_mut(
        &mut self,
        (topic, partition): (usize, usize),
    ) -> Option<&mut ProducedPartition> {
        self.response.topics.get_mut(topic)?.partitions.get_mut(partition)
    }
}

/// What became of one partition's batch that was not refused.
enum Append {
    /// Answered when the entry at this index of this term is committed.
    Waits { index: Index, term: Term, base_offset: Offset, append_time: i64 },
    /// It was appended before.
    Known { base_offset: Offset, append_time: i64 },
}

/// A batch that was not taken.
struct Refused {
    error: KafkaError,
    message: Option<String>,
    leader: Option<Leader>,
}

impl From<KafkaError> for Refused {
    fn from(error: KafkaError) -> Refused {
        Refused { error, message: None, leader: None }
    }
}

impl From<BatchError> for Refused {
    fn from(error: BatchError) -> Refused {
        Refused { error: error.kafka_error(), message: Some(error.to_string()), leader: None }
    }
}

/// Serves a produce request.
pub(crate) fn produce<D: Disk>(
    core: &mut Core<D>,
    token: Token,
    listener: Listener,
    header: ResponseHeader,
    request: ProduceRequest,
) {
    let acks = request.acks;
    if let Err(error) = check_request(core, &request) {
        if error.retriable() {
            remember_all(core, &request);
        }
        let body = ResponseBody::Produce(request.refused(error));
        return match acks {
            0 => core.close(token),
            _ => core.reply(token, Some(Response { header, body })),
        };
    }
    let timeout = u64::try_from(request.timeout_ms).unwrap_or(0);
    let mut parked = ParkedProduce {
        token,
        deadline: core.now.mono.after(Micros::from_millis(timeout)),
        header,
        answers: acks != 0,
        response: ProduceResponse::default(),
        slots: Vec::new(),
        unsettled: 0,
    };
    let mut refused = false;
    let id = core.parked.number();
    for (t, topic) in request.topics.into_iter().enumerate() {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (p, partition) in topic.partitions.into_iter().enumerate() {
            let result = append(core, &topic.topic, partition.index, partition.records);
            refused |= result.is_err();
            if let Ok(Append::Waits { index, term, .. }) = &result
                && acks != 0
            {
                let slot = parked.slots.len();
                if acks == -1 {
                    let waiter = AppendWaiter { index: *index, term: *term, produce: id, slot };
                    park(core, &topic.topic, partition.index, waiter);
                }
                parked.slots.push(Some((t, p)));
                parked.unsettled += 1;
            }
            partitions.push(answer(core, listener, partition.index, result, &mut parked.response));
        }
        parked.response.topics.push(ProducedTopic { topic: topic.topic, partitions });
    }
    if acks == 0 && refused {
        // Only the end of the connection can tell this client that it has to look for the leader.
        return core.close(token);
    }
    if parked.slots.is_empty() {
        let response = parked.answer();
        core.reply(token, response);
    } else if acks == -1 {
        core.parked.park_produce(id, parked);
    } else {
        core.parked.unwritten.push(parked);
    }
}

fn check_request<D: Disk>(core: &Core<D>, request: &ProduceRequest) -> Result<(), KafkaError> {
    if !matches!(request.acks, -1..=1) {
        return Err(KafkaError::InvalidRequiredAcks);
    }
    if request.transactional_id.is_some() {
        return Err(KafkaError::TransactionalIdAuthorizationFailed);
    }
    if !core.meta.open() {
        return Err(KafkaError::NotEnoughReplicas);
    }
    if !core.has_space() {
        // Retriable: it works again when there is space.
        return Err(KafkaError::KafkaStorageError);
    }
    if core.uncommitted_bytes() > core.config.limits.uncommitted_bytes_max {
        // Retriable as well: a quorum has to catch up first.
        return Err(KafkaError::NotEnoughReplicas);
    }
    Ok(())
}

fn append<D: Disk>(
    core: &mut Core<D>,
    topic: &TopicRef,
    partition: i32,
    records: Option<Bytes>,
) -> Result<Append, Refused> {
    let id = super::named(core, topic, partition)?;
    let leader = core.leader_of(id);
    let Now { mono, wall_ms: now } = core.now;
    let not_leader = || Refused { leader, ..Refused::from(KafkaError::NotLeaderOrFollower) };
    let Some(replica) = core.replicas.get_mut(&id) else {
        remember(&mut core.refused, id, records.as_deref(), mono);
        return Err(not_leader());
    };
    let Machine::Records(partition) = &mut replica.machine else {
        return Err(KafkaError::InvalidTopicException.into());
    };
    let knows = replica.group.leads_and_knows() || mutant::is(Mutant::ProduceBeforeNoop);
    if !replica.group.leads() || !knows {
        remember(&mut core.refused, id, records.as_deref(), mono);
        return Err(not_leader());
    }
    let records = records.ok_or(KafkaError::InvalidRecord)?;
    if records.len() > partition.config.max_message_bytes.min(BATCH_BYTES_MAX) {
        return Err(KafkaError::MessageTooLarge.into());
    }
    let header = batch::validate(&records)?;
    if header.is_transactional() {
        return Err(KafkaError::InvalidTxnState.into());
    }
    let stamps = partition.config.timestamp_type == TimestampType::LogAppendTime;
    let producer = producer_batch(&header);
    if let Some(batch) = &producer {
        let check = partition.producers.check(batch, &partition.in_flight);
        // The one in front of it was told to come again, and so is this one.
        if matches!(check, Check::AppendFirst | Check::OutOfOrder)
            && core.refused.is_in_front_of(id, batch, mono)
            && !mutant::is(Mutant::ForgetRefused)
        {
            return Err(not_leader());
        }
        if let Some(known) = known(check, stamps, replica.group.term())? {
            core.refused.take(id, batch, mono);
            return Ok(known);
        }
    }
    let (header, records) = if stamps { stamp(&records, now)? } else { (header, records) };
    let info = batch_info(&header, now);
    let (bytes, count) = (u64::from(info.len), u64::from(info.records));
    let Proposed { index, term, base_offset } = match replica.group.propose_batch(info, records) {
        Ok(proposed) => proposed,
        Err(NotProposed::NotLeader) => return Err(not_leader()),
        Err(NotProposed::Busy) => {
            producer.iter().for_each(|batch| core.refused.refuse(id, batch, mono));
            return Err(KafkaError::NotEnoughReplicas.into());
        }
    };
    if let Some(batch) = &producer {
        core.refused.take(id, batch, mono);
        let appended = Appended { base_offset, timestamp: header.max_timestamp, append_ms: now };
        if !mutant::is(Mutant::ForgetInFlight) {
            partition.in_flight.append(index, batch, &appended);
        }
    }
    core.mark_dirty(id);
    core.count_uncommitted(id);
    core.counters.records_in += count;
    core.counters.bytes_in += bytes;
    let append_time = if stamps { now } else { -1 };
    Ok(Append::Waits { index, term, base_offset, append_time })
}

/// The answer to a batch that is there already, or none if it is to be appended.
fn known(check: Check, stamps: bool, term: Term) -> Result<Option<Append>, KafkaError> {
    let append_time = |timestamp| if stamps { timestamp } else { -1 };
    match check {
        Check::Append | Check::AppendFirst => Ok(None),
        Check::Duplicate { base_offset, timestamp } => {
            Ok(Some(Append::Known { base_offset, append_time: append_time(timestamp) }))
        }
        Check::DuplicateInFlight { index, base_offset, timestamp } => {
            let append_time = append_time(timestamp);
            Ok(Some(Append::Waits { index, term, base_offset, append_time }))
        }
        Check::OutOfOrder => Err(KafkaError::OutOfOrderSequenceNumber),
        Check::InvalidEpoch => Err(KafkaError::InvalidProducerEpoch),
        Check::Invalid => Err(KafkaError::InvalidRecord),
    }
}

/// The whole request is refused: what it has of idempotent producers is remembered.
fn remember_all<D: Disk>(core: &mut Core<D>, request: &ProduceRequest) {
    let now = core.now.mono;
    for topic in &request.topics {
        for partition in &topic.partitions {
            let Ok(id) = super::named(core, &topic.topic, partition.index) else { continue };
            remember(&mut core.refused, id, partition.records.as_deref(), now);
        }
    }
}

fn remember(refused: &mut RefusedBatches, id: PartitionId, records: Option<&[u8]>, now: Micros) {
    if let Some(header) = records.and_then(|records| BatchHeader::parse(records).ok())
        && let Some(batch) = producer_batch(&header)
    {
        refused.refuse(id, &batch, now);
    }
}

/// The producer's part of a batch, if an idempotent producer made it.
fn producer_batch(header: &BatchHeader) -> Option<ProducerBatch> {
    header.has_producer().then_some(ProducerBatch {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        count: header.records,
    })
}

/// What an applied batch means to the partition's producers.
pub(crate) fn applied(
    partition: &mut super::Partition,
    index: Index,
    info: &crate::log::entry::BatchInfo,
) {
    partition.in_flight.applied(index);
    if info.producer_id < 0 {
        return;
    }
    let batch = ProducerBatch {
        producer_id: info.producer_id,
        epoch: info.producer_epoch,
        base_sequence: info.base_sequence,
        count: i32::try_from(info.records).unwrap_or(i32::MAX),
    };
    let appended = Appended {
        base_offset: info.base_offset,
        timestamp: info.max_timestamp,
        append_ms: info.append_ms,
    };
    partition.producers.apply(index, &batch, &appended);
}

fn stamp(records: &Bytes, now: i64) -> Result<(BatchHeader, Bytes), Refused> {
    let mut own = bytes::BytesMut::from(&records[..]);
    batch::set_log_append_time(&mut own, now);
    let own = own.freeze();
    Ok((BatchHeader::parse(&own)?, own))
}

fn park<D: Disk>(core: &mut Core<D>, topic: &TopicRef, partition: i32, waiter: AppendWaiter) {
    let Ok(id) = super::named(core, topic, partition) else { return };
    if let Some(replica) = core.replicas.get_mut(&id) {
        // A repeat of a batch that is in flight waits among those that came after it.
        let at = replica.appends.partition_point(|other| other.index <= waiter.index);
        replica.appends.insert(at, waiter);
    }
}

fn answer<D: Disk>(
    core: &mut Core<D>,
    listener: Listener,
    index: i32,
    result: Result<Append, Refused>,
    response: &mut ProduceResponse,
) -> ProducedPartition {
    match result {
        Ok(
            Append::Waits { base_offset, append_time, .. }
            | Append::Known { base_offset, append_time },
        ) => ProducedPartition {
            log_append_time_ms: append_time,
            ..ProducedPartition::appended(index, base_offset, 0)
        },
        Err(Refused { error, message, leader }) => {
            core.counters.batches_refused += 1;
            if let Some(endpoint) = leader.and_then(|leader| core.endpoint(leader.broker, listener))
                && !response.node_endpoints.contains(&endpoint)
            {
                response.node_endpoints.push(endpoint);
            }
            let text = message.map(StrBytes::from_string);
            ProducedPartition {
                record_errors: match (error, &text) {
                    (KafkaError::InvalidRecord, Some(_)) => {
                        vec![RecordError { batch_index: 0, message: text.clone() }]
                    }
                    _ => Vec::new(),
                },
                error_message: text,
                current_leader: leader.map(hint),
                ..ProducedPartition::failed(index, error)
            }
        }
    }
}

/// Where a partition's leader is, for clients that came to the wrong broker (KIP-951).
pub(crate) fn hint(leader: Leader) -> LeaderHint {
    LeaderHint {
        leader_id: i32::try_from(leader.broker.0).unwrap_or(-1),
        leader_epoch: leader.epoch(),
    }
}

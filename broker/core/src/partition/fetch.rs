//! Fetch: committed records only, whole batches, long polls that wake when there is more.
//!
//! The first batch is returned even if it is larger than the limits (KIP-74), and an offset inside
//! a batch gets the whole batch. Sessions (KIP-227) are not kept: every answer says session 0.

use crate::core::input::Token;
use crate::core::{Core, Leader};
use crate::error::KafkaError;
use crate::ids::{BrokerId, Micros, Offset, PartitionId};
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::log::group_log::Slice;
use crate::meta::Listener;
use crate::mutant::{self, Mutant};
use crate::wire::fetch::{
    EpochEnd, FetchPartition, FetchRequest, FetchResponse, FetchedPartition, FetchedTopic,
};
use crate::wire::{Part, Response, ResponseBody, ResponseHeader};

use super::produce::hint;

/// A fetch that waits for records.
#[derive(Debug)]
pub(crate) struct ParkedFetch {
    pub(crate) token: Token,
    pub(crate) deadline: Micros,
    listener: Listener,
    header: ResponseHeader,
    request: FetchRequest,
    /// The partitions whose replicas here name this fetch.
    watched: Vec<PartitionId>,
}

/// What can be answered now.
struct Answer {
    response: FetchResponse,
    bytes: usize,
    /// Something that the client should hear of at once.
    urgent: bool,
    /// Partitions that may bring more.
    watched: Vec<PartitionId>,
}

/// Serves a fetch request.
pub(crate) fn fetch<D: Disk>(
    core: &mut Core<D>,
    token: Token,
    listener: Listener,
    header: ResponseHeader,
    request: FetchRequest,
) {
    if request.session_id != 0 && request.session_epoch > 0 {
        // A session that this broker never gave: the client starts over without one.
        let response =
            FetchResponse { error: Some(KafkaError::FetchSessionIdNotFound), ..Default::default() };
        let body = ResponseBody::Fetch(response);
        return core.reply(token, Some(Response { header, body }));
    }
    let wait = Micros::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = core.now.mono.after(wait);
    let mut fetch = ParkedFetch { token, deadline, listener, header, request, watched: Vec::new() };
    let mut answer = answer(core, listener, &fetch.request);
    if answer.is_enough(&fetch.request) || wait == Micros(0) {
        return core.give(&fetch, answer);
    }
    let id = core.parked.number();
    fetch.watched = std::mem::take(&mut answer.watched);
    for watched in &fetch.watched {
        if let Some(replica) = core.replicas.get_mut(watched) {
            replica.fetches.insert(id);
        }
    }
    core.parked.park_fetch(id, fetch);
}

impl<D: Disk> Core<D> {
    /// One of the partitions of a parked fetch has moved: answer it if that is enough.
    pub(crate) fn try_fetch_again(&mut self, id: u64) {
        let Some(fetch) = self.parked.fetches.get(&id) else { return };
        let answer = answer(self, fetch.listener, &fetch.request);
        if answer.is_enough(&fetch.request)
            && let Some(fetch) = self.end_fetch(id)
        {
            self.give(&fetch, answer);
        }
    }

    /// A fetch waits no more, whatever the reason: none of its partitions remembers it.
    pub(crate) fn end_fetch(&mut self, id: u64) -> Option<ParkedFetch> {
        let fetch = self.parked.take_fetch(id)?;
        for watched in &fetch.watched {
            if let Some(replica) = self.replicas.get_mut(watched) {
                replica.fetches.remove(&id);
            }
        }
        Some(fetch)
    }

    /// Answers with what there is.
    pub(crate) fn answer_fetch(&mut self, fetch: &ParkedFetch) {
        let answer = answer(self, fetch.listener, &fetch.request);
        self.give(fetch, answer);
    }

    fn give(&mut self, fetch: &ParkedFetch, answer: Answer) {
        self.counters.bytes_out += answer.bytes as u64;
        let body = ResponseBody::Fetch(answer.response);
        self.reply(fetch.token, Some(Response { header: fetch.header, body }));
    }
}

impl Answer {
    fn is_enough(&self, request: &FetchRequest) -> bool {
        let min = usize::try_from(request.min_bytes).unwrap_or(0);
        self.urgent || self.bytes >= min || self.watched.is_empty()
    }
}

fn answer<D: Disk>(core: &Core<D>, listener: Listener, request: &FetchRequest) -> Answer {
    let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
    let mut answer =
        Answer { response: FetchResponse::default(), bytes: 0, urgent: false, watched: Vec::new() };
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let id = super::named(core, &topic.topic, wanted.index);
            let part = match id {
                Ok(id) => {
                    let part = read(core, id, wanted, left, answer.bytes == 0);
                    if part.error.is_none() {
                        answer.watched.push(id);
                    }
                    if let Some(endpoint) = part.current_leader.and_then(|leader| {
                        core.endpoint(BrokerId(u32::try_from(leader.leader_id).ok()?), listener)
                    }) && !answer.response.node_endpoints.contains(&endpoint)
                    {
                        answer.response.node_endpoints.push(endpoint);
                    }
                    part
                }
                Err(error) => FetchedPartition::failed(wanted.index, error),
            };
            answer.urgent |= part.error.is_some() || part.diverging_epoch.is_some();
            let bytes = part.records_len();
            answer.bytes += bytes;
            left = left.saturating_sub(bytes);
            partitions.push(part);
        }
        answer.response.topics.push(FetchedTopic { topic: topic.topic.clone(), partitions });
    }
    answer
}

fn read<D: Disk>(
    core: &Core<D>,
    id: PartitionId,
    wanted: &FetchPartition,
    left: usize,
    first: bool,
) -> FetchedPartition {
    match try_read(core, id, wanted, left, first) {
        Ok(part) => part,
        Err(error) => {
            let wrong_broker =
                matches!(error, KafkaError::NotLeaderOrFollower | KafkaError::FencedLeaderEpoch);
            let leader = core.leader_of(id).filter(|leader| leader.broker != core.me());
            FetchedPartition {
                current_leader: leader.filter(|_| wrong_broker).map(hint),
                ..FetchedPartition::failed(wanted.index, error)
            }
        }
    }
}

fn try_read<D: Disk>(
    core: &Core<D>,
    id: PartitionId,
    wanted: &FetchPartition,
    left: usize,
    first: bool,
) -> Result<FetchedPartition, KafkaError> {
    let replica = core.replicas.get(&id).ok_or(KafkaError::NotLeaderOrFollower)?;
    if !replica.group.leads() {
        return Err(KafkaError::NotLeaderOrFollower);
    }
    let leader = Leader { broker: core.me(), term: replica.group.term() };
    check_epoch(wanted.current_leader_epoch, leader)?;
    if !replica.group.leads_and_knows() && !mutant::is(Mutant::FetchBeforeNoop) {
        return Err(KafkaError::OffsetNotAvailable);
    }
    let serves_all = mutant::is(Mutant::ServeUncommitted);
    let (log, group) = (replica.group.log(), &replica.group);
    let committed = if serves_all { group.last_index() } else { group.committed() };
    let (start, end) = (log.log_start(), log.log_end());
    let storage = |error: LogError| {
        tracing::error!(group = %id, %error, "records cannot be read");
        KafkaError::KafkaStorageError
    };
    let high_watermark = log.offset_after(committed).map_err(storage)?;
    let mut part = FetchedPartition::read(wanted.index, high_watermark, start);
    if let Some(diverging) = diverging(log, wanted, committed).map_err(storage)? {
        part.diverging_epoch = Some(diverging);
        return Ok(part);
    }
    let from: Offset = wanted.fetch_offset;
    if from < start || from > end {
        return Err(KafkaError::OffsetOutOfRange);
    }
    if from >= high_watermark || (left == 0 && !first) {
        return Ok(part);
    }
    let max = left.min(usize::try_from(wanted.max_bytes).unwrap_or(0));
    let read = log.read(from, committed, max).map_err(storage)?;
    if first || read.bytes <= max {
        part.records = read.slices.into_iter().map(to_part).collect();
    }
    Ok(part)
}

fn to_part(slice: Slice) -> Part {
    match slice {
        Slice::Memory(bytes) => Part::Memory(bytes),
        // A read is bounded by the request's 31 bits, or is one batch.
        Slice::File { file, pos, len } => {
            Part::File { file, pos, len: u32::try_from(len).unwrap_or(u32::MAX) }
        }
    }
}

/// A client that follows an older, or a newer, leader (KIP-320).
pub(crate) fn check_epoch(epoch: i32, leader: Leader) -> Result<(), KafkaError> {
    match epoch {
        -1 => Ok(()),
        epoch if epoch < leader.epoch() => Err(KafkaError::FencedLeaderEpoch),
        epoch if epoch > leader.epoch() => Err(KafkaError::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// Where the log that the client read ends being this one, if it does (KIP-595).
fn diverging<D: Disk>(
    log: &crate::log::group_log::GroupLog<D>,
    wanted: &FetchPartition,
    committed: u64,
) -> Result<Option<EpochEnd>, LogError> {
    let Ok(epoch) = u64::try_from(wanted.last_fetched_epoch) else { return Ok(None) };
    let Some((term, end_offset)) = log.end_of_term(epoch, committed)? else { return Ok(None) };
    let diverges = term < epoch || end_offset < wanted.fetch_offset;
    let epoch = crate::core::epoch(term);
    Ok(diverges.then_some(EpochEnd { epoch, end_offset }))
}

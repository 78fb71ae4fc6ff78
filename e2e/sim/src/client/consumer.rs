//! Reads all partitions of one topic from the beginning, by long poll, and checks each record
//! against what was committed. Where records were deleted it goes on at the new beginning; a batch
//! that a disk has damaged it does not take, and asks for it again.

use std::collections::BTreeMap;

use bytes::BytesMut;
use chronik_core::error::KafkaError;
use chronik_core::ids::{Offset, PartitionId, Uuid};
use chronik_core::wire::batch::{self, BatchHeader};
use chronik_core::wire::fetch::{FetchPartition, FetchRequest, FetchTopic, FetchedPartition};
use chronik_core::wire::{Part, RequestBody, ResponseBody, StrBytes, TopicRef, records};

use super::ask::{self, EARLIEST, Leaders, topic_name};
use super::{Action, Came, Env, serial_of};
use crate::invariants::Violation;
use crate::options::Options;

#[derive(Debug)]
pub(super) struct Consumer {
    number: u64,
    topic: String,
    leaders: Option<Leaders>,
    positions: BTreeMap<i32, Offset>,
    turn: usize,
    asked: i32,
    /// Its position is gone: it looks for the start of the partition.
    is_lost: bool,
    /// When a fetch was last answered without an error.
    served: u64,
    last: Option<String>,
}

impl Consumer {
    pub(super) fn new(n: u32, options: &Options) -> Consumer {
        let number = u64::from(n);
        Consumer {
            number,
            topic: topic_name(number % u64::from(options.topics)),
            leaders: None,
            positions: BTreeMap::new(),
            turn: 0,
            asked: 0,
            is_lost: false,
            served: 0,
            last: None,
        }
    }

    /// Whether no fetch was served since `since`.
    pub(super) fn stuck(&self, since: u64) -> Option<String> {
        (self.served <= since)
            .then(|| format!("consumer {} is not served: {:?}", self.number, self.last))
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        match came {
            Came::Time => Ok(self.ask(env)),
            Came::Unknown => Ok(self.retry(env, "unknown")),
            Came::Answer(ResponseBody::Fetch(answer)) => {
                let topic = answer.topics.into_iter().next();
                match topic.and_then(|topic| topic.partitions.into_iter().next()) {
                    Some(partition) => self.fetched(env, &partition),
                    None => Ok(self.retry(env, &format!("{:?}", answer.error))),
                }
            }
            Came::Answer(ResponseBody::ListOffsets(answer)) => match ask::listed(&answer) {
                Ok(start) => {
                    env.checks.told_start(self.group(), start)?;
                    let position = self.positions.entry(self.asked).or_insert(0);
                    *position = start.max(*position);
                    self.is_lost = false;
                    env.coverage.count("consumers behind the start");
                    Ok(Action::Sleep(1))
                }
                Err(error) => Ok(self.retry(env, &format!("{error:?}"))),
            },
            Came::Answer(answer) => {
                self.leaders = ask::leaders(&answer);
                let known = self.leaders.is_some();
                Ok(Action::Sleep(if known { 1 } else { env.rng.range(50_000, 300_000) }))
            }
        }
    }

    fn group(&self) -> PartitionId {
        let topic = self.leaders.as_ref().map_or(Uuid::nil(), |leaders| leaders.topic);
        PartitionId::new(topic, u32::try_from(self.asked).unwrap_or(0))
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        let Some(leaders) = &self.leaders else {
            return ask::metadata(env.any_broker(), &self.topic);
        };
        if !self.is_lost {
            self.turn += 1;
            let count = leaders.partitions.len().max(1);
            self.asked = i32::try_from(self.turn % count).unwrap_or(0);
        }
        let Some(to) = leaders.partitions.get(&self.asked).copied().flatten() else {
            return self.retry(env, "no leader");
        };
        if self.is_lost {
            return ask::list_offsets(to, &self.topic, self.asked, EARLIEST);
        }
        let position = self.positions.get(&self.asked).copied().unwrap_or(0);
        let max_bytes = i32::try_from(env.rng.range(100, 4_000)).unwrap_or(1_000);
        let topic = TopicRef::Name(StrBytes::from_string(self.topic.clone()));
        let body = fetch(topic, self.asked, position, max_bytes);
        Action::Ask { to, version: 12, body: Box::new(RequestBody::Fetch(body)) }
    }

    fn fetched(&mut self, env: &mut Env<'_>, got: &FetchedPartition) -> Result<Action, Violation> {
        let group = self.group();
        let position = self.positions.entry(got.index).or_insert(0);
        if let Some(error) = got.error {
            if error == KafkaError::OffsetOutOfRange {
                if *position >= env.checks.highest_asked_start(group) {
                    let what = format!("consumer {} at {position} of {group}", self.number);
                    return Err(Violation { invariant: "committed offsets are in range", what });
                }
                self.is_lost = true;
            }
            return Ok(self.retry(env, &format!("{error:?}")));
        }
        if take(env, group, got, position)? {
            self.served = env.now;
        } else {
            self.last = Some(format!("a damaged batch at {position} of {group}"));
        }
        Ok(Action::Sleep(env.rng.skewed(100, 50_000)))
    }

    fn retry(&mut self, env: &mut Env<'_>, why: &str) -> Action {
        self.last = Some(why.to_owned());
        self.leaders = None;
        Action::Sleep(env.rng.range(20_000, 300_000))
    }
}

/// A long poll of one partition.
pub(super) fn fetch(
    topic: TopicRef,
    index: i32,
    fetch_offset: Offset,
    max_bytes: i32,
) -> FetchRequest {
    let partition = FetchPartition {
        index,
        current_leader_epoch: -1,
        fetch_offset,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        max_bytes,
    };
    FetchRequest {
        cluster_id: None,
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level: 0,
        session_id: 0,
        session_epoch: -1,
        topics: vec![FetchTopic { topic, partitions: vec![partition] }],
        forgotten: Vec::new(),
        rack_id: StrBytes::default(),
    }
}

/// Checks what was read and moves `position` behind it. False if a disk has damaged some of it.
pub(super) fn take(
    env: &mut Env<'_>,
    group: PartitionId,
    got: &FetchedPartition,
    position: &mut Offset,
) -> Result<bool, Violation> {
    let mut bytes = BytesMut::new();
    for part in &got.records {
        if let Part::Memory(part) = part {
            bytes.extend_from_slice(part);
        }
    }
    let mut rest = bytes.freeze();
    while let Ok(header) = BatchHeader::parse(&rest) {
        if rest.len() < header.len {
            break;
        }
        let whole = rest.split_to(header.len);
        let last = header.base_offset + i64::from(header.last_offset_delta);
        let placed = (header.base_offset..=last).contains(position);
        if !placed && env.checks.may_be_damaged(env.via.broker) {
            // Where a batch lies is outside of its checksum; only what comes first is checked.
            env.coverage.count("damaged batches read");
            return Ok(false);
        }
        if let Err(error) = batch::validate(&whole) {
            if env.checks.may_be_damaged(env.via.broker) {
                env.coverage.count("damaged batches read");
                return Ok(false);
            }
            let what = format!("{group}: a batch at {position}: {error}");
            return Err(Violation { invariant: "reads are whole", what });
        }
        for record in records::read(&whole).into_iter().flatten().flatten() {
            if record.offset < *position {
                continue;
            }
            env.checks.read(group, record.offset, serial_of(&record))?;
            if record.offset != *position {
                let what = format!("{group}: {position} was skipped, got {}", record.offset);
                return Err(Violation { invariant: "reads have no holes", what });
            }
            *position += 1;
            env.coverage.count("records read");
        }
    }
    if *position > got.high_watermark {
        let what = format!("{group}: read up to {position}, told {}", got.high_watermark);
        return Err(Violation { invariant: "reads are below the high watermark", what });
    }
    Ok(true)
}

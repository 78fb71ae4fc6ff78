//! Reads all partitions of one topic from the beginning, by long poll, and checks each record
//! against what was committed.

use std::collections::BTreeMap;

use bytes::BytesMut;
use chronik_core::error::KafkaError;
use chronik_core::ids::{Offset, PartitionId, Uuid};
use chronik_core::wire::batch::BatchHeader;
use chronik_core::wire::fetch::{FetchPartition, FetchRequest, FetchTopic, FetchedPartition};
use chronik_core::wire::{Part, RequestBody, ResponseBody, StrBytes, TopicRef, records};

use super::ask::{self, Leaders, topic_name};
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
            Came::Unknown => {
                self.last = Some("unknown".to_owned());
                self.leaders = None;
                Ok(Action::Sleep(env.rng.range(20_000, 300_000)))
            }
            Came::Answer(ResponseBody::Fetch(answer)) => {
                let topic = answer.topics.into_iter().next();
                match topic.and_then(|topic| topic.partitions.into_iter().next()) {
                    Some(partition) => self.fetched(env, &partition),
                    None => {
                        self.leaders = None;
                        self.last = Some(format!("{:?}", answer.error));
                        Ok(Action::Sleep(100_000))
                    }
                }
            }
            Came::Answer(answer) => {
                self.leaders = ask::leaders(&answer);
                let known = self.leaders.is_some();
                Ok(Action::Sleep(if known { 1 } else { env.rng.range(50_000, 300_000) }))
            }
        }
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        let Some(leaders) = &self.leaders else {
            return ask::metadata(env.any_broker(), &self.topic);
        };
        self.turn += 1;
        let count = leaders.partitions.len().max(1);
        self.asked = i32::try_from(self.turn % count).unwrap_or(0);
        let Some(to) = leaders.partitions.get(&self.asked).copied().flatten() else {
            self.leaders = None;
            return Action::Sleep(env.rng.range(50_000, 300_000));
        };
        let position = self.positions.get(&self.asked).copied().unwrap_or(0);
        let partition = FetchPartition {
            index: self.asked,
            current_leader_epoch: -1,
            fetch_offset: position,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: i32::try_from(env.rng.range(100, 4_000)).unwrap_or(1_000),
        };
        let topic = TopicRef::Name(StrBytes::from_string(self.topic.clone()));
        let body = RequestBody::Fetch(FetchRequest {
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
        });
        Action::Ask { to, version: 12, body: Box::new(body) }
    }

    fn fetched(&mut self, env: &mut Env<'_>, got: &FetchedPartition) -> Result<Action, Violation> {
        if let Some(error) = got.error {
            self.last = Some(format!("{error:?}"));
            if error == KafkaError::OffsetOutOfRange {
                let at = self.positions.get(&got.index);
                let what = format!("consumer {} at {at:?} of {}", self.number, got.index);
                return Err(Violation { invariant: "committed offsets are in range", what });
            }
            self.leaders = None;
            return Ok(Action::Sleep(env.rng.range(20_000, 300_000)));
        }
        self.served = env.now;
        let topic = self.leaders.as_ref().map_or(Uuid::nil(), |leaders| leaders.topic);
        let group = PartitionId::new(topic, u32::try_from(got.index).unwrap_or(0));
        let position = self.positions.entry(got.index).or_insert(0);
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
            let batch = rest.split_to(header.len);
            let records = records::read(&batch).into_iter().flatten().flatten();
            for record in records {
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
        Ok(Action::Sleep(env.rng.skewed(100, 50_000)))
    }
}

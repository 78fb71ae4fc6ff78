//! Produces with acks=all, with or without idempotence. An idempotent producer repeats a batch
//! until it knows the outcome; the other one goes on, and leaves an unknown outcome unknown.

use chronik_core::error::KafkaError;
use chronik_core::ids::{PartitionId, Uuid};
use chronik_core::wire::produce::{ProducePartition, ProduceRequest, ProduceTopic};
use chronik_core::wire::records::BatchBuilder;
use chronik_core::wire::{RequestBody, ResponseBody, StrBytes, TopicRef};
use kafka_protocol::messages::InitProducerIdRequest;

use super::ask::{self, Leaders, topic_name};
use super::{Action, Came, Env, KEY, error_of, is_idempotent};
use crate::invariants::{Serial, Violation};
use crate::options::Options;

#[derive(Debug)]
pub(super) struct Producer {
    number: u64,
    topic: String,
    by_id: bool,
    id: Option<(i64, i16)>,
    leaders: Option<Leaders>,
    sequence: i32,
    made: u64,
    /// The batch whose outcome is not known.
    batch: Vec<Serial>,
    /// When something was last acknowledged.
    acked: u64,
    last: Option<String>,
}

impl Producer {
    pub(super) fn new(n: u32, options: &Options) -> Producer {
        let number = u64::from(n);
        Producer {
            number,
            topic: topic_name(number % u64::from(options.topics)),
            by_id: n.is_multiple_of(2),
            id: None,
            leaders: None,
            sequence: 0,
            made: 0,
            batch: Vec::new(),
            acked: 0,
            last: None,
        }
    }

    /// Whether nothing was acknowledged since `since`.
    pub(super) fn stuck(&self, since: u64) -> Option<String> {
        (self.acked <= since)
            .then(|| format!("producer {} got nothing acknowledged: {:?}", self.number, self.last))
    }

    fn idempotent(&self) -> bool {
        is_idempotent(self.number)
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        match came {
            Came::Time => Ok(self.ask(env)),
            Came::Unknown => {
                env.coverage.count("unknown outcomes");
                self.last = Some("unknown".to_owned());
                Ok(self.retry(env))
            }
            Came::Answer(ResponseBody::InitProducerId(answer)) => {
                match error_of(answer.error_code) {
                    None => self.id = Some((answer.producer_id.0, answer.producer_epoch)),
                    Some(error) => self.last = Some(format!("{error:?}")),
                }
                Ok(Action::Sleep(env.rng.range(1_000, 100_000)))
            }
            Came::Answer(ResponseBody::Produce(answer)) => {
                let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
                match partition {
                    Some(p) => self.produced(env, p.error, p.base_offset),
                    None => self.produced(env, Some(KafkaError::UnknownServerError), -1),
                }
            }
            Came::Answer(answer) => {
                self.leaders = ask::leaders(&answer);
                let missing = self.leader().is_none();
                let pause = if missing { env.rng.range(50_000, 300_000) } else { 1 };
                Ok(Action::Sleep(pause))
            }
        }
    }

    fn partition(&self) -> i32 {
        let count = self.leaders.as_ref().map_or(1, |leaders| leaders.partitions.len().max(1));
        i32::try_from(self.number % count as u64).unwrap_or(0)
    }

    fn leader(&self) -> Option<chronik_core::ids::BrokerId> {
        *self.leaders.as_ref()?.partitions.get(&self.partition())?
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        if self.idempotent() && self.id.is_none() {
            let body = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1)
                .with_transaction_timeout_ms(60_000);
            let to = env.any_broker();
            return Action::Ask {
                to,
                version: 4,
                body: Box::new(RequestBody::InitProducerId(body)),
            };
        }
        let Some(to) = self.leader() else {
            return ask::metadata(env.any_broker(), &self.topic);
        };
        if self.batch.is_empty() {
            for _ in 0..env.rng.range(1, 6) {
                self.batch.push((self.number, self.made));
                self.made += 1;
            }
        }
        let topic = self.leaders.as_ref().map_or(Uuid::nil(), |leaders| leaders.topic);
        let (topic, version) = if self.by_id {
            (TopicRef::Id(topic), 13)
        } else {
            (TopicRef::Name(StrBytes::from_string(self.topic.clone())), 11)
        };
        let partition =
            ProducePartition { index: self.partition(), records: Some(self.build(env.wall_ms)) };
        let body = RequestBody::Produce(ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: 4_000,
            topics: vec![ProduceTopic { topic, partitions: vec![partition] }],
        });
        Action::Ask { to, version, body: Box::new(body) }
    }

    fn build(&self, wall_ms: i64) -> bytes::Bytes {
        let mut builder = BatchBuilder::new(wall_ms);
        if let Some((id, epoch)) = self.id {
            builder = builder.producer(id, epoch, self.sequence);
        }
        for (producer, number) in &self.batch {
            let mut value = [0x5a_u8; 64];
            let name = (u128::from(*producer) << 64 | u128::from(*number)).to_be_bytes();
            value[..16].copy_from_slice(&name);
            builder = builder.record(Some(KEY), Some(&value));
        }
        builder.build()
    }

    fn produced(
        &mut self,
        env: &mut Env<'_>,
        error: Option<KafkaError>,
        base: i64,
    ) -> Result<Action, Violation> {
        let Some(error) = error else {
            let topic = self.leaders.as_ref().map_or(Uuid::nil(), |leaders| leaders.topic);
            let partition = u32::try_from(self.partition()).unwrap_or(0);
            env.checks.acked(PartitionId::new(topic, partition), base, &self.batch)?;
            env.coverage.count("acks");
            let records = i32::try_from(self.batch.len()).unwrap_or(0);
            self.sequence = self.sequence.wrapping_add(records);
            self.batch.clear();
            self.acked = env.now;
            return Ok(Action::Sleep(env.rng.skewed(1_000, 300_000)));
        };
        self.last = Some(format!("{error:?}"));
        if !error.retriable() {
            return Err(Violation {
                invariant: "errors are retriable",
                what: format!("producer {} was told {error:?}", self.number),
            });
        }
        Ok(self.retry(env))
    }

    fn retry(&mut self, env: &mut Env<'_>) -> Action {
        env.coverage.count("retries");
        self.leaders = None;
        if !self.idempotent() {
            // Nobody knows; whether these records are there stays open.
            self.batch.clear();
        }
        Action::Sleep(env.rng.range(20_000, 300_000))
    }
}

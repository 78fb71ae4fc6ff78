//! Produces. An idempotent producer has up to a window of batches under way on one connection and
//! repeats them, in their order, until it knows the outcome of each; any other one goes on, and
//! leaves an unknown outcome unknown. With acks=1, or to a topic that relaxes acks=all, an answer
//! is a lesser promise: [`Promise`] says which.

use std::collections::VecDeque;

use chronik_core::error::KafkaError;
use chronik_core::ids::{BrokerId, Offset, PartitionId, Uuid};
use chronik_core::wire::produce::{ProduceResponse, ProducedPartition};
use chronik_core::wire::{RequestBody, ResponseBody};
use kafka_protocol::messages::InitProducerIdRequest;

use super::ask::{self, Leaders, topic_name};
use super::records::{Target, batch, produce, producer_number};
use super::{Action, Came, Env, error_of};
use crate::invariants::{Promise, PromiseKind, Serial, Violation};
use crate::options::Options;

/// Batches under way at once, as Kafka allows an idempotent producer.
const WINDOW: usize = 5;

#[derive(Debug)]
struct Batch {
    sequence: i32,
    serials: Vec<Serial>,
}

#[derive(Debug)]
pub(super) struct Producer {
    number: u64,
    topic: String,
    by_id: bool,
    idempotent: bool,
    window: usize,
    /// What an answer promises; none for all that acks=all promises.
    promises: Option<PromiseKind>,
    id: Option<(i64, i16)>,
    leaders: Option<Leaders>,
    /// Where its batches go; a repeated batch goes where it went before.
    partition: Option<i32>,
    sequence: i32,
    made: u64,
    /// Batches whose outcome is not known, oldest first.
    batches: VecDeque<Batch>,
    /// Sequences of those that wait for an answer, in the order of their requests, and since when.
    under_way: VecDeque<(i32, u64)>,
    /// One of them failed: nothing is sent before all others are answered.
    failed: bool,
    /// Batches to make before the next pause.
    burst: u64,
    /// When the last batch that was acknowledged was sent.
    acked: u64,
    last: Option<String>,
}

impl Producer {
    pub(super) fn new(n: u32, options: &Options) -> Producer {
        let n = u64::from(n);
        let topic = n % u64::from(options.topics);
        // A batch that was acknowledged early and lost breaks the sequence of those behind it.
        let relaxed = options.workload.relaxed && topic == 0;
        let idempotent = n % 3 != 2 && !relaxed;
        let acks_one = options.workload.acks_one && !idempotent && n.is_multiple_of(2);
        let windowed = options.workload.windows && idempotent && !n.is_multiple_of(2);
        Producer {
            number: producer_number(n, idempotent),
            topic: topic_name(topic),
            by_id: n.is_multiple_of(2),
            idempotent,
            window: if windowed { WINDOW } else { 1 },
            promises: match (acks_one, relaxed) {
                (true, _) => Some(PromiseKind::Leader),
                (false, true) => Some(PromiseKind::Received),
                (false, false) => None,
            },
            id: None,
            leaders: None,
            partition: None,
            sequence: 0,
            made: 0,
            batches: VecDeque::new(),
            under_way: VecDeque::new(),
            failed: false,
            burst: 1,
            acked: 0,
            last: None,
        }
    }

    /// Whether nothing that was sent since `since` was acknowledged.
    pub(super) fn stuck(&self, since: u64) -> Option<String> {
        (self.acked <= since)
            .then(|| format!("producer {} got nothing acknowledged: {:?}", self.number, self.last))
    }

    /// Whether it may ask for more before it is answered.
    pub(super) fn has_room(&self) -> bool {
        let more = self.burst > 0 || self.batches.len() > self.under_way.len();
        !self.under_way.is_empty() && !self.failed && more && self.under_way.len() < self.window
    }

    /// What the answer to the `at`th request under way promises before it is committed.
    pub(super) fn promise(&self, at: usize, answer: &ProduceResponse) -> Option<Promise> {
        let kind = self.promises?;
        let (sequence, asked) = *self.under_way.get(at)?;
        let produced = produced(answer).filter(|p| p.error.is_none() && p.base_offset >= 0)?;
        let batch = self.batches.iter().find(|batch| batch.sequence == sequence)?;
        let (group, serials) = (self.group(), batch.serials.clone());
        Some(Promise { kind, group, base: produced.base_offset, serials, asked })
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        match came {
            Came::Time => Ok(self.ask(env)),
            Came::Unknown => {
                env.coverage.count("unknown outcomes");
                self.last = Some("unknown".to_owned());
                self.under_way.clear();
                Ok(self.retry(env))
            }
            Came::Answer(ResponseBody::InitProducerId(answer)) => {
                match error_of(answer.error_code) {
                    None => self.id = Some((answer.producer_id.0, answer.producer_epoch)),
                    Some(error) => self.last = Some(format!("{error:?}")),
                }
                Ok(Action::Sleep(env.rng.range(1_000, 100_000)))
            }
            Came::Answer(ResponseBody::Produce(answer)) => match produced(&answer) {
                Some(p) => self.produced(env, p.error, p.base_offset),
                None => self.produced(env, Some(KafkaError::UnknownServerError), -1),
            },
            Came::Answer(answer) => {
                self.leaders = ask::leaders(&answer);
                if let Some(leaders) = &self.leaders
                    && self.partition.is_none()
                {
                    let count = leaders.partitions.len().max(1) as u64;
                    self.partition = i32::try_from(self.number / 2 % count).ok();
                }
                let missing = self.leader().is_none();
                Ok(Action::Sleep(if missing { env.rng.range(50_000, 300_000) } else { 1 }))
            }
        }
    }

    fn leader(&self) -> Option<BrokerId> {
        *self.leaders.as_ref()?.partitions.get(&self.partition?)?
    }

    fn group(&self) -> PartitionId {
        let topic = self.leaders.as_ref().map_or(Uuid::nil(), |leaders| leaders.topic);
        let partition = self.partition.and_then(|partition| u32::try_from(partition).ok());
        PartitionId::new(topic, partition.unwrap_or(0))
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        if self.idempotent && self.id.is_none() {
            let body = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1)
                .with_transaction_timeout_ms(60_000);
            let (to, body) = (env.any_broker(), Box::new(RequestBody::InitProducerId(body)));
            return Action::Ask { to, version: 4, body };
        }
        let Some(to) = self.leader() else {
            return ask::metadata(env.any_broker(), &self.topic);
        };
        let next = self.under_way.len();
        if next == self.batches.len() {
            self.make(env);
        }
        let Some(Batch { sequence, serials }) = self.batches.get(next) else { return Action::Wait };
        let name = self.id.map(|(id, epoch)| (id, epoch, *sequence));
        let records = batch(serials, name, env.wall_ms);
        self.under_way.push_back((*sequence, env.now));
        let target = Target {
            to,
            name: &self.topic,
            id: self.by_id.then(|| self.group().topic),
            partition: self.partition.unwrap_or(0),
        };
        if self.under_way.len() > 1 {
            env.coverage.count("batches behind others");
        }
        let acks = if self.promises == Some(PromiseKind::Leader) { 1 } else { -1 };
        produce(&target, acks, records)
    }

    fn make(&mut self, env: &mut Env<'_>) {
        let count = env.rng.range(1, 6);
        let serials = (self.made..self.made + count).map(|number| (self.number, number)).collect();
        self.batches.push_back(Batch { sequence: self.sequence, serials });
        self.made += count;
        self.sequence = self.sequence.wrapping_add(i32::try_from(count).unwrap_or(0));
        self.burst = self.burst.saturating_sub(1);
    }

    fn produced(
        &mut self,
        env: &mut Env<'_>,
        error: Option<KafkaError>,
        base: i64,
    ) -> Result<Action, Violation> {
        let Some((sequence, asked)) = self.under_way.pop_front() else { return Ok(Action::Wait) };
        match error {
            None => {
                let at = self.batches.iter().position(|batch| batch.sequence == sequence);
                let batch = at.and_then(|at| self.batches.remove(at));
                self.acked = asked;
                self.acknowledged(env, base, &batch.map(|b| b.serials).unwrap_or_default())?;
            }
            Some(error) => {
                self.last = Some(format!("{error:?}"));
                // A batch behind one that failed is not out of order either: some clients raise their
                // epoch on that and send all anew, whether it is in the log or not.
                if !error.retriable() {
                    return Err(Violation {
                        invariant: "errors are retriable",
                        what: format!("producer {} was told {error:?}", self.number),
                    });
                }
                self.failed = true;
            }
        }
        if !self.under_way.is_empty() {
            return Ok(if self.has_room() { self.ask(env) } else { Action::Wait });
        }
        if self.failed {
            return Ok(self.retry(env));
        }
        self.burst = if self.window > 1 { env.rng.range(1, 8) } else { 1 };
        Ok(Action::Sleep(env.rng.skewed(1_000, 300_000)))
    }

    fn acknowledged(
        &mut self,
        env: &mut Env<'_>,
        base: Offset,
        serials: &[Serial],
    ) -> Result<(), Violation> {
        match self.promises {
            None => {
                env.coverage.count("acks");
                env.checks.acked(self.group(), base, serials)
            }
            Some(PromiseKind::Leader) => {
                env.coverage.count("acks of the leader alone");
                Ok(())
            }
            Some(PromiseKind::Received) => {
                env.coverage.count("acks before the sync");
                Ok(())
            }
        }
    }

    fn retry(&mut self, env: &mut Env<'_>) -> Action {
        env.coverage.count("retries");
        self.leaders = None;
        self.failed = false;
        if !self.idempotent {
            // Nobody knows; whether these records are there stays open.
            self.batches.clear();
            self.burst = 1;
        }
        Action::Sleep(env.rng.range(20_000, 300_000))
    }
}

/// What became of the only batch of a request.
pub(super) fn produced(answer: &ProduceResponse) -> Option<&ProducedPartition> {
    answer.topics.first()?.partitions.first()
}

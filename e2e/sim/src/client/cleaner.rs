//! Deletes records now and then: looks up where a partition ends, and has it start somewhere before.

use chronik_core::error::KafkaError;
use chronik_core::ids::{BrokerId, PartitionId, Uuid};
use chronik_core::wire::{RequestBody, ResponseBody};
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};

use super::ask::{self, LATEST, Leaders, name, topic_name};
use super::{Action, Came, Env, error_of};
use crate::invariants::Violation;
use crate::options::Options;

#[derive(Debug)]
pub(super) struct Cleaner {
    topics: u64,
    topic: String,
    leaders: Option<Leaders>,
    partition: i32,
    /// Where the partition ends.
    end: Option<i64>,
    served: u64,
    last: Option<String>,
}

impl Cleaner {
    pub(super) fn new(options: &Options) -> Cleaner {
        Cleaner {
            topics: options.topics.into(),
            topic: topic_name(0),
            leaders: None,
            partition: 0,
            end: None,
            served: 0,
            last: None,
        }
    }

    /// Whether nothing was deleted since `since`.
    pub(super) fn stuck(&self, since: u64) -> Option<String> {
        (self.served <= since).then(|| format!("no records could be deleted: {:?}", self.last))
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        match came {
            Came::Time => Ok(self.ask(env)),
            Came::Unknown => Ok(self.retry(env, "unknown")),
            Came::Answer(ResponseBody::ListOffsets(answer)) => match ask::listed(&answer) {
                Ok(end) => {
                    self.end = Some(end);
                    Ok(Action::Sleep(env.rng.range(1, 100_000)))
                }
                Err(error) => self.refused(env, error),
            },
            Came::Answer(ResponseBody::DeleteRecords(answer)) => {
                let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
                let code = partition.map_or(-1, |partition| partition.error_code);
                match (error_of(code), partition) {
                    (None, Some(partition)) => {
                        env.checks.told_start(self.group(), partition.low_watermark)?;
                        env.coverage.count("records deleted");
                        self.served = env.now;
                        self.leaders = None;
                        Ok(Action::Sleep(env.rng.range(100_000, 4_000_000)))
                    }
                    (error, _) => {
                        self.refused(env, error.unwrap_or(KafkaError::UnknownServerError))
                    }
                }
            }
            Came::Answer(answer) => {
                self.leaders = ask::leaders(&answer);
                self.end = None;
                Ok(Action::Sleep(env.rng.range(1, 100_000)))
            }
        }
    }

    fn group(&self) -> PartitionId {
        let topic = self.leaders.as_ref().map_or(Uuid::nil(), |leaders| leaders.topic);
        PartitionId::new(topic, u32::try_from(self.partition).unwrap_or(0))
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        let Some(leaders) = &self.leaders else {
            self.topic = topic_name(env.rng.range(0, self.topics - 1));
            return ask::metadata(env.any_broker(), &self.topic);
        };
        let Some(end) = self.end else {
            let all: Vec<(i32, BrokerId)> =
                leaders.partitions.iter().filter_map(|(p, to)| Some((*p, (*to)?))).collect();
            let Some((partition, to)) = env.rng.pick(&all).copied() else {
                return self.retry(env, "no leader");
            };
            self.partition = partition;
            return ask::list_offsets(to, &self.topic, partition, LATEST);
        };
        let Some(to) = leaders.partitions.get(&self.partition).copied().flatten() else {
            return self.retry(env, "no leader");
        };
        let offset = i64::try_from(env.rng.range(0, u64::try_from(end).unwrap_or(0))).unwrap_or(0);
        env.checks.asks_start(self.group(), offset);
        let partition = DeleteRecordsPartition::default()
            .with_partition_index(self.partition)
            .with_offset(offset);
        let topic = DeleteRecordsTopic::default()
            .with_name(name(&self.topic))
            .with_partitions(vec![partition]);
        let body = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(4_000);
        Action::Ask { to, version: 2, body: Box::new(RequestBody::DeleteRecords(body)) }
    }

    fn refused(&mut self, env: &mut Env<'_>, error: KafkaError) -> Result<Action, Violation> {
        // A new leader may not know yet that all of it is committed.
        if !error.retriable() && error != KafkaError::OffsetOutOfRange {
            return Err(Violation {
                invariant: "errors are retriable",
                what: format!("who deletes records was told {error:?}"),
            });
        }
        Ok(self.retry(env, &format!("{error:?}")))
    }

    fn retry(&mut self, env: &mut Env<'_>, why: &str) -> Action {
        self.last = Some(why.to_owned());
        self.leaders = None;
        Action::Sleep(env.rng.range(50_000, 500_000))
    }
}

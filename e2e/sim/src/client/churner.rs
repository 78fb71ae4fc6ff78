//! Makes a topic, writes to it, gives it more partitions, reads it, deletes it, and makes another
//! one of the same name, again and again. It never repeats a batch: what it wrote is in one topic.

use std::collections::BTreeSet;

use chronik_core::error::KafkaError;
use chronik_core::ids::{BrokerId, Offset, PartitionId, Uuid};
use chronik_core::wire::{RequestBody, ResponseBody, TopicRef};
use kafka_protocol::messages as m;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;

use super::ask::{self, Leaders, name};
use super::creator::replication;
use super::producer::produced;
use super::records::{Target, batch, churner_number, produce};
use super::{Action, Came, Env, consumer, error_of};
use crate::invariants::{Serial, Via, Violation};
use crate::options::Options;

/// Looks for a topic in vain before it takes it to be gone.
const LOOKS_MAX: u32 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    /// To look for it, then to write so many batches more.
    Write(u32),
    Grow,
    Read,
    Delete,
}

#[derive(Debug)]
pub(super) struct Churner {
    number: u64,
    name: String,
    replication: i16,
    step: Step,
    leaders: Option<Leaders>,
    /// Ids that were deleted for sure.
    gone: BTreeSet<Uuid>,
    looks: u32,
    partition: i32,
    made: u64,
    batch: Vec<Serial>,
    by_id: bool,
    position: Offset,
    /// It was told that its topic has so many partitions, and by whom.
    grown: Option<(usize, Via)>,
    served: u64,
    last: Option<String>,
}

impl Churner {
    pub(super) fn new(n: u32, options: &Options) -> Churner {
        Churner {
            number: churner_number(n.into()),
            name: format!("x{n}"),
            replication: replication(options),
            step: Step::Create,
            leaders: None,
            gone: BTreeSet::new(),
            looks: 0,
            partition: 0,
            made: 0,
            batch: Vec::new(),
            by_id: false,
            position: 0,
            grown: None,
            served: 0,
            last: None,
        }
    }

    /// Whether it got nothing done since `since`.
    pub(super) fn stuck(&self, since: u64) -> Option<String> {
        let Churner { name, step, last, .. } = self;
        (self.served <= since).then(|| format!("{name} is at {step:?}: {last:?}"))
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        match came {
            Came::Time => Ok(self.ask(env)),
            Came::Unknown => {
                env.coverage.count("unknown outcomes");
                self.batch.clear();
                Ok(self.look_again(env, "unknown"))
            }
            Came::Answer(ResponseBody::CreateTopics(answer)) => {
                let Some(topic) = answer.topics.first() else { return Ok(Action::Sleep(1)) };
                self.created(env, error_of(topic.error_code), topic.topic_id)
            }
            Came::Answer(ResponseBody::Produce(answer)) => {
                let Some(p) = produced(&answer) else { return Ok(Action::Sleep(1)) };
                self.written(env, p.error, p.base_offset)
            }
            Came::Answer(ResponseBody::CreatePartitions(answer)) => {
                let code = answer.results.first().map_or(-1, |result| result.error_code);
                self.grew(env, error_of(code));
                Ok(Action::Sleep(env.rng.range(10_000, 500_000)))
            }
            Came::Answer(ResponseBody::Fetch(answer)) => {
                let topic = answer.topics.into_iter().next();
                let got = topic.and_then(|topic| topic.partitions.into_iter().next());
                let group = self.group();
                match got {
                    Some(got) if got.error.is_none() => {
                        consumer::take(env, group, &got, &mut self.position)?;
                        self.step = Step::Delete;
                        Ok(Action::Sleep(env.rng.range(10_000, 500_000)))
                    }
                    Some(got) => Ok(self.look_again(env, &format!("{:?}", got.error))),
                    None => Ok(self.look_again(env, &format!("{:?}", answer.error))),
                }
            }
            Came::Answer(ResponseBody::DeleteTopics(answer)) => {
                let Some(topic) = answer.responses.first() else { return Ok(Action::Sleep(1)) };
                Ok(self.deleted(env, error_of(topic.error_code), topic.topic_id))
            }
            Came::Answer(answer) => self.looked(env, ask::leaders(&answer)),
        }
    }

    fn group(&self) -> PartitionId {
        let topic = self.leaders.as_ref().map_or(Uuid::nil(), |leaders| leaders.topic);
        PartitionId::new(topic, u32::try_from(self.partition).unwrap_or(0))
    }

    fn leader(&self) -> Option<BrokerId> {
        *self.leaders.as_ref()?.partitions.get(&self.partition)?
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        match self.step {
            Step::Create => self.create(env),
            Step::Write(_) | Step::Read => match (self.leader(), self.step) {
                (None, _) => ask::metadata(env.any_broker(), &self.name),
                (Some(to), Step::Read) => {
                    let topic = TopicRef::Id(self.group().topic);
                    let body = consumer::fetch(topic, self.partition, self.position, 4_000);
                    Action::Ask { to, version: 13, body: Box::new(RequestBody::Fetch(body)) }
                }
                (Some(to), _) => self.write(env, to),
            },
            Step::Grow => self.grow(env),
            Step::Delete => self.delete(env),
        }
    }

    fn create(&mut self, env: &mut Env<'_>) -> Action {
        let topic = CreatableTopic::default()
            .with_name(name(&self.name))
            .with_num_partitions(i32::try_from(env.rng.range(1, 2)).unwrap_or(1))
            .with_replication_factor(self.replication);
        let body =
            m::CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let (to, body) = (env.any_broker(), Box::new(RequestBody::CreateTopics(body)));
        Action::Ask { to, version: 7, body }
    }

    fn created(
        &mut self,
        env: &mut Env<'_>,
        error: Option<KafkaError>,
        id: Uuid,
    ) -> Result<Action, Violation> {
        match error {
            None => {
                env.checks.topic_made(id)?;
                env.coverage.count("topics made again");
                self.served = env.now;
            }
            Some(KafkaError::TopicAlreadyExists) => {}
            Some(error) => return Ok(self.look_again(env, &format!("{error:?}"))),
        }
        (self.leaders, self.looks, self.position, self.grown) = (None, 0, 0, None);
        self.partition = 0;
        self.step = Step::Write(u32::try_from(env.rng.range(1, 6)).unwrap_or(1));
        Ok(Action::Sleep(env.rng.range(1_000, 300_000)))
    }

    fn looked(&mut self, env: &mut Env<'_>, found: Option<Leaders>) -> Result<Action, Violation> {
        let found = found.filter(|found| !self.gone.contains(&found.topic));
        if let (Some(found), Some((count, via))) = (&found, self.grown)
            && via == env.via
            && found.partitions.len() < count
        {
            let what = format!(
                "{} has {} partitions at {:?}, which had said {count}",
                self.name,
                found.partitions.len(),
                via.broker
            );
            return Err(Violation { invariant: "acknowledged partitions are there", what });
        }
        self.leaders = found;
        let missing = self.leader().is_none();
        self.looks = if missing { self.looks + 1 } else { 0 };
        if self.looks > LOOKS_MAX {
            self.step = Step::Create;
        }
        Ok(Action::Sleep(if missing { env.rng.range(50_000, 300_000) } else { 1 }))
    }

    fn write(&mut self, env: &mut Env<'_>, to: BrokerId) -> Action {
        let count = env.rng.range(1, 4);
        self.batch = (self.made..self.made + count).map(|n| (self.number, n)).collect();
        self.made += count;
        // By name it goes to whatever has that name where the leader is.
        self.by_id = env.rng.chance(700_000);
        let id = self.by_id.then(|| self.group().topic);
        let records = batch(&self.batch, None, env.wall_ms);
        let target = Target { to, name: &self.name, id, partition: self.partition };
        produce(&target, -1, records)
    }

    fn written(
        &mut self,
        env: &mut Env<'_>,
        error: Option<KafkaError>,
        base: Offset,
    ) -> Result<Action, Violation> {
        let batch = std::mem::take(&mut self.batch);
        if let Some(error) = error {
            if !error.retriable() {
                let what = format!("{} was told {error:?}", self.name);
                return Err(Violation { invariant: "errors are retriable", what });
            }
            return Ok(self.look_again(env, &format!("{error:?}")));
        }
        if self.by_id {
            env.checks.acked(self.group(), base, &batch)?;
        }
        self.served = env.now;
        self.step = match self.step {
            Step::Write(left) if left > 1 => Step::Write(left - 1),
            _ if self.grown.is_none() && env.rng.chance(400_000) => Step::Grow,
            _ if env.rng.chance(600_000) => Step::Read,
            _ => Step::Delete,
        };
        Ok(Action::Sleep(env.rng.skewed(1_000, 500_000)))
    }

    fn grow(&mut self, env: &mut Env<'_>) -> Action {
        let now = self.leaders.as_ref().map_or(1, |leaders| leaders.partitions.len());
        let topic = CreatePartitionsTopic::default()
            .with_name(name(&self.name))
            .with_count(i32::try_from(now + 1).unwrap_or(1))
            .with_assignments(None);
        let body =
            m::CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let (to, body) = (env.any_broker(), Box::new(RequestBody::CreatePartitions(body)));
        Action::Ask { to, version: 3, body }
    }

    /// Whatever the answer, it goes on; an error may be that of a repetition of its own success.
    fn grew(&mut self, env: &mut Env<'_>, error: Option<KafkaError>) {
        let count = self.leaders.as_ref().map_or(1, |leaders| leaders.partitions.len()) + 1;
        if error.is_none() {
            env.coverage.count("partitions added");
            self.grown = Some((count, env.via));
            self.partition = i32::try_from(count - 1).unwrap_or(0);
            self.position = 0;
        }
        (self.leaders, self.looks) = (None, 0);
        self.step = Step::Write(1);
        self.grown.get_or_insert((0, Via::default()));
    }

    fn delete(&mut self, env: &mut Env<'_>) -> Action {
        let id = self.leaders.as_ref().map(|leaders| leaders.topic);
        let topic = match id.filter(|_| env.rng.chance(500_000)) {
            Some(id) => DeleteTopicState::default().with_name(None).with_topic_id(id),
            None => DeleteTopicState::default().with_name(Some(name(&self.name))),
        };
        let body =
            m::DeleteTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let (to, body) = (env.any_broker(), Box::new(RequestBody::DeleteTopics(body)));
        Action::Ask { to, version: 6, body }
    }

    fn deleted(&mut self, env: &mut Env<'_>, error: Option<KafkaError>, id: Uuid) -> Action {
        match error {
            None => {
                env.checks.topic_deleted(id);
                env.coverage.count("topics deleted");
                self.gone.insert(id);
                self.served = env.now;
            }
            // An earlier request, whose outcome it does not know, or a broker that is behind.
            Some(KafkaError::UnknownTopicOrPartition | KafkaError::UnknownTopicId) => {}
            Some(error) => return self.look_again(env, &format!("{error:?}")),
        }
        (self.step, self.leaders) = (Step::Create, None);
        Action::Sleep(env.rng.skewed(1_000, 2_000_000))
    }

    fn look_again(&mut self, env: &mut Env<'_>, why: &str) -> Action {
        env.coverage.count("retries");
        self.last = Some(why.to_owned());
        if !matches!(self.step, Step::Delete) {
            self.leaders = None;
        }
        Action::Sleep(env.rng.range(50_000, 400_000))
    }
}

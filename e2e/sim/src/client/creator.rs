//! Makes the topics of the run, one after the other, until each is there: the groups' own first, if
//! there are groups, so that it has few partitions.

use chronik_core::error::KafkaError;
use chronik_core::wire::{RequestBody, ResponseBody, StrBytes};
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};

use super::ask::{name, topic_name};
use super::{Action, Came, Env, error_of};
use crate::options::Options;

/// What no client names, and many partitions of it would cost more than they show.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

#[derive(Debug)]
pub(super) struct Creator {
    wanted: Vec<Wanted>,
    partitions_max: u64,
    replication: i16,
    made: usize,
    last: Option<String>,
}

#[derive(Debug)]
struct Wanted {
    name: String,
    relaxed: bool,
}

impl Creator {
    pub(super) fn new(options: &Options) -> Creator {
        let work = &options.workload;
        let offsets =
            (work.members > 0).then(|| Wanted { name: OFFSETS_TOPIC.to_owned(), relaxed: false });
        let topics = (0..u64::from(options.topics))
            .map(|n| Wanted { name: topic_name(n), relaxed: work.relaxed && n == 0 });
        Creator {
            wanted: offsets.into_iter().chain(topics).collect(),
            partitions_max: options.partitions_max.into(),
            replication: replication(options),
            made: 0,
            last: None,
        }
    }

    pub(super) fn replication_min(&self) -> i16 {
        self.replication
    }

    pub(super) fn stuck(&self) -> Option<String> {
        let left = self.wanted.len() - self.made;
        (left > 0).then(|| format!("{left} topics are not made: {:?}", self.last))
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Action {
        match came {
            Came::Time => match self.wanted.get(self.made) {
                Some(wanted) => self.create(env, wanted),
                None => Action::Sleep(3_600_000_000),
            },
            Came::Unknown => Action::Sleep(env.rng.range(50_000, 500_000)),
            Came::Answer(ResponseBody::CreateTopics(answer)) => {
                let error = answer
                    .topics
                    .first()
                    .map_or(Some(KafkaError::UnknownServerError), |t| error_of(t.error_code));
                self.last = Some(format!("{error:?}"));
                match error {
                    None | Some(KafkaError::TopicAlreadyExists) => {
                        env.coverage.count("topics made");
                        self.made += 1;
                    }
                    Some(_) => env.coverage.count("retries"),
                }
                Action::Sleep(env.rng.range(50_000, 500_000))
            }
            Came::Answer(_) => Action::Sleep(env.rng.range(50_000, 500_000)),
        }
    }

    fn create(&self, env: &mut Env<'_>, wanted: &Wanted) -> Action {
        let partitions = i32::try_from(env.rng.range(1, self.partitions_max)).unwrap_or(1);
        let relaxed = wanted.relaxed.then(|| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str("flush.messages"))
                .with_value(Some(StrBytes::from_static_str("1000")))
        });
        let topic = CreatableTopic::default()
            .with_name(name(&wanted.name))
            .with_num_partitions(partitions)
            .with_replication_factor(self.replication)
            .with_configs(relaxed.into_iter().collect());
        let body = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let (to, body) = (env.any_broker(), Box::new(RequestBody::CreateTopics(body)));
        Action::Ask { to, version: 7, body }
    }
}

/// How many replicas the topics of a run have.
pub(super) fn replication(options: &Options) -> i16 {
    options.replicas
}

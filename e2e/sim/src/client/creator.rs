//! Makes the topics of the run, one after the other, until each is there.

use chronik_core::error::KafkaError;
use chronik_core::wire::{RequestBody, ResponseBody};
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::CreatableTopic;

use super::ask::{name, topic_name};
use super::{Action, Came, Env, error_of};
use crate::options::Options;

#[derive(Debug)]
pub(super) struct Creator {
    topics: u64,
    partitions_max: u64,
    replication: i16,
    made: u64,
    last: Option<String>,
}

impl Creator {
    pub(super) fn new(options: &Options) -> Creator {
        Creator {
            topics: options.topics.into(),
            partitions_max: options.partitions_max.into(),
            replication: if options.brokers >= 3 { 3 } else { 1 },
            made: 0,
            last: None,
        }
    }

    pub(super) fn replication_min(&self) -> i16 {
        self.replication
    }

    pub(super) fn stuck(&self) -> Option<String> {
        let left = self.topics - self.made;
        (left > 0).then(|| format!("{left} topics are not made: {:?}", self.last))
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Action {
        match came {
            Came::Time if self.made < self.topics => {
                let partitions = i32::try_from(env.rng.range(1, self.partitions_max)).unwrap_or(1);
                let topic = CreatableTopic::default()
                    .with_name(name(&topic_name(self.made)))
                    .with_num_partitions(partitions)
                    .with_replication_factor(self.replication);
                let body =
                    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
                let to = env.any_broker();
                Action::Ask { to, version: 7, body: Box::new(RequestBody::CreateTopics(body)) }
            }
            Came::Time => Action::Sleep(3_600_000_000),
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
}

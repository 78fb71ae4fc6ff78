//! What protocol tests talk to: a cluster started for them, or one that is already there.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use chronik_e2e::raw::Connection;
use chronik_e2e::wait::{self, Look};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use bytes::Bytes;

use crate::traps::offsets::list_offset;

/// Addresses of a running cluster.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) addresses: Vec<String>,
}

impl Target {
    pub(crate) fn new(bootstrap: &str) -> Target {
        Target { addresses: bootstrap.split(',').map(str::to_owned).collect() }
    }

    /// The cluster that somebody else started, if the environment names one.
    pub(crate) fn external() -> Option<Target> {
        std::env::var("CHRONIK_E2E_BOOTSTRAP").ok().map(|bootstrap| Target::new(&bootstrap))
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.addresses.join(",")
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.addresses.first().context("a target has an address")?)
    }

    /// Makes a topic with a name of its own and waits until every partition has a leader.
    pub(crate) fn topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<Topic> {
        // Another run against the same cluster must not meet this one's topics.
        let name = format!("{name}-{}", std::process::id());
        let config = |(key, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(&name))
            .with_num_partitions(partitions)
            .with_replication_factor(3)
            .with_configs(configs.iter().map(config).collect());
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        let answer: CreateTopicsResponse =
            self.connect()?.call(ApiKey::CreateTopics, 7, &request)?;
        let result = answer.topics.first().context("an answer for the topic")?;
        if result.error_code != 0 {
            bail!("topic {name} was not created: {} {:?}", result.error_code, result.error_message);
        }
        let leaders = wait::until("leaders", Duration::from_secs(30), || {
            let leaders = self.leaders(&name)?;
            if leaders.len() == partitions as usize {
                Ok(Look::Done(leaders))
            } else {
                wait::at(leaders.len())
            }
        })?;
        let id = self.metadata(12, Some(&[&name]), false)?.topics.remove(0).topic_id;
        let topic = Topic { name, id, leaders };
        // A broker may hear that it leads a little later than the one that told us.
        wait::until("the leader of partition 0", Duration::from_secs(30), || {
            let latest = list_offset(&topic, &mut topic.leader()?, 5, -1)?;
            if latest.error_code == 0 { Ok(Look::Done(())) } else { wait::at(latest.error_code) }
        })?;
        Ok(topic)
    }

    /// The address of each partition's leader, as far as there is one.
    pub(crate) fn leaders(&self, topic: &str) -> Result<Vec<String>> {
        let metadata = self.metadata(9, Some(&[topic]), false)?;
        let mut leaders: Vec<(i32, String)> = Vec::new();
        for partition in metadata.topics.iter().flat_map(|topic| &topic.partitions) {
            let broker =
                metadata.brokers.iter().find(|broker| broker.node_id == partition.leader_id);
            if let Some(broker) = broker {
                let address = format!("{}:{}", broker.host.as_str(), broker.port);
                leaders.push((partition.partition_index, address));
            }
        }
        leaders.sort();
        Ok(leaders.into_iter().map(|(_, address)| address).collect())
    }

    /// `None` asks for all topics.
    pub(crate) fn metadata(
        &self,
        version: i16,
        topics: Option<&[&str]>,
        may_create: bool,
    ) -> Result<MetadataResponse> {
        let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        // Version 0 knows no null: there, an empty list asks for all.
        let topics = topics.map(|names| names.iter().map(named).collect());
        let topics = if version == 0 { topics.or(Some(Vec::new())) } else { topics };
        let request = MetadataRequest::default()
            .with_topics(topics)
            // Before version 4 there is no choice.
            .with_allow_auto_topic_creation(may_create || version < 4);
        self.connect()?.call(ApiKey::Metadata, version, &request)
    }
}

/// A topic and who leads its partitions.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: uuid::Uuid,
    pub(crate) leaders: Vec<String>,
}

impl Topic {
    /// A connection to the leader of partition 0.
    pub(crate) fn leader(&self) -> Result<Connection> {
        Connection::open(self.leaders.first().context("partition 0 has a leader")?)
    }

    /// A request that produces one batch to partition 0.
    pub(crate) fn produce_request(&self, version: i16, acks: i16, batch: Bytes) -> ProduceRequest {
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch));
        let topic = TopicProduceData::default().with_partition_data(vec![partition]);
        let topic = if version >= 13 {
            topic.with_topic_id(self.id)
        } else {
            topic.with_name(topic_name(&self.name))
        };
        ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic])
    }

    /// Produces one batch to partition 0 with acks=all.
    pub(crate) fn produce(
        &self,
        connection: &mut Connection,
        version: i16,
        batch: Bytes,
    ) -> Result<PartitionProduceResponse> {
        let request = self.produce_request(version, -1, batch);
        let answer: ProduceResponse = connection.call(ApiKey::Produce, version, &request)?;
        let topic = answer.responses.into_iter().next().context("an answer for the topic")?;
        topic.partition_responses.into_iter().next().context("an answer for the partition")
    }
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

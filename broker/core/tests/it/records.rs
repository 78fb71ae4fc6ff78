//! Records in and out of a cluster's partition 0, through whichever broker leads it.

use bytes::Bytes;
use chronik_core::admin::AdminRequest;
use chronik_core::core::input::Token;
use chronik_core::ids::BrokerId;
use chronik_core::wire::api::ApiKey;
use chronik_core::wire::records::{self, BatchBuilder};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{self as m};

use crate::cluster::Cluster;
use crate::kafka::{Client, text, topic_name};

/// A time that is not too old to be kept.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

/// What a partition holds: offsets and values.
pub(crate) type Records = Vec<(i64, Bytes)>;

/// A client of a cluster with a topic `t` of one partition with three replicas.
pub(crate) fn with_topic(cluster: Cluster, configs: &[(&str, &str)]) -> Client {
    let mut client = Client::of(cluster, BrokerId(1));
    // Who leads is the tests' to say.
    crate::topics::set(&mut client, 4, "", "auto.leader.rebalance.enable", "false", 0);
    create(&mut client, "t", configs);
    client
}

pub(crate) fn create(client: &mut Client, name: &str, configs: &[(&str, &str)]) {
    let config = |(name, value): &(&str, &str)| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(1)
        .with_replication_factor(3)
        .with_configs(configs.iter().map(config).collect());
    let request = m::CreateTopicsRequest::default().with_topics(vec![topic]);
    let made: m::CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
    assert_eq!(made.topics[0].error_code, 0);
    client.cluster.run(2_000);
}

/// The partition as any live broker shows it, once it has a leader that lives.
pub(crate) fn partition(client: &mut Client, topic: &str) -> MetadataResponsePartition {
    for _ in 0..100 {
        client.broker = *client.cluster.nodes.keys().next_back().unwrap();
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = m::MetadataRequest::default().with_topics(Some(vec![topic]));
        let shown: m::MetadataResponse = client.ask(ApiKey::Metadata, 12, &request);
        let partition = shown.topics[0].partitions.first();
        if let Some(partition) = partition.filter(|partition| partition.leader_id.0 > 0)
            && client.cluster.nodes.contains_key(&broker(partition.leader_id.0))
        {
            return partition.clone();
        }
        client.cluster.run(100);
    }
    panic!("nobody leads {topic}");
}

fn broker(id: i32) -> BrokerId {
    BrokerId(u32::try_from(id).unwrap())
}

/// Who leads.
pub(crate) fn leader(client: &mut Client, topic: &str) -> BrokerId {
    broker(partition(client, topic).leader_id.0)
}

/// Who else holds a replica.
pub(crate) fn followers(client: &mut Client, topic: &str) -> Vec<BrokerId> {
    let partition = partition(client, topic);
    let replicas = partition.replica_nodes.iter().map(|id| broker(id.0));
    replicas.filter(|id| id.0.cast_signed() != partition.leader_id.0).collect()
}

/// Makes `to` the leader of a partition with three replicas.
pub(crate) fn lead(client: &mut Client, topic: &str, to: BrokerId) {
    for _ in 0..20 {
        let leader = leader(client, topic);
        if leader == to {
            return;
        }
        // With the third one away, there is nobody else to take it.
        let third = followers(client, topic).into_iter().find(|id| *id != to).unwrap();
        let disk = client.cluster.kill(third);
        client.cluster.run(2_000);
        let request =
            AdminRequest::TransferLeadership { topic: topic.into(), partition: 0, to: None };
        let _ = client.cluster.order(leader, request);
        client.cluster.run(1_000);
        client.cluster.start(third, disk);
        client.cluster.run(1_000);
    }
    panic!("{to} does not lead");
}

pub(crate) fn batch(value: &[u8]) -> Bytes {
    BatchBuilder::new(NOW_MS).record(None, Some(value)).build()
}

/// Sends a batch to the leader, and does not wait.
pub(crate) fn send(client: &mut Client, topic: &str, acks: i16, batch: Bytes) -> Token {
    client.broker = leader(client, topic);
    send_here(client, topic, acks, batch)
}

/// Sends a batch to whoever the client is at.
fn send_here(client: &mut Client, topic: &str, acks: i16, batch: Bytes) -> Token {
    let partition = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![partition]);
    let request = m::ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(3_000)
        .with_topic_data(vec![topic]);
    client.send(ApiKey::Produce, 9, &request)
}

/// The error and the offset that a batch got.
pub(crate) fn sent(client: &mut Client, token: Token) -> (i16, i64) {
    let response: m::ProduceResponse = client.answer(ApiKey::Produce, 9, token);
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

pub(crate) fn produce(client: &mut Client, topic: &str, acks: i16, batch: Bytes) -> (i16, i64) {
    let token = send(client, topic, acks, batch);
    sent(client, token)
}

/// Produces with acks=all at one broker, whether it leads or not.
pub(crate) fn produce_at(
    client: &mut Client,
    at: BrokerId,
    topic: &str,
    batch: Bytes,
) -> (i16, i64) {
    client.broker = at;
    let token = send_here(client, topic, -1, batch);
    sent(client, token)
}

/// Produces with acks=all until it is taken, as a client with retries does.
pub(crate) fn put(client: &mut Client, topic: &str, value: &[u8]) -> (i64, Bytes) {
    for _ in 0..50 {
        let (error, offset) = produce(client, topic, -1, batch(value));
        if error == 0 {
            return (offset, Bytes::copy_from_slice(value));
        }
        client.cluster.run(200);
    }
    panic!("a record is never taken");
}

/// One fetch from whoever the client is at.
pub(crate) fn fetch(client: &mut Client, topic: &str, from: i64) -> PartitionData {
    let partition = FetchPartition::default()
        .with_fetch_offset(from)
        .with_partition_max_bytes(1 << 20)
        .with_current_leader_epoch(-1);
    let wanted =
        FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    let request = m::FetchRequest::default()
        .with_max_wait_ms(0)
        .with_max_bytes(1 << 20)
        .with_topics(vec![wanted]);
    let response: m::FetchResponse = client.ask(ApiKey::Fetch, 12, &request);
    response.responses[0].partitions[0].clone()
}

/// All records of the partition, as its leader serves them: from where it starts.
pub(crate) fn read(client: &mut Client, topic: &str) -> Records {
    client.broker = leader(client, topic);
    let (error, mut from, _) = crate::offsets::list_of(client, topic, -2);
    assert_eq!(error, 0);
    let mut found = Vec::new();
    loop {
        let partition = fetch(client, topic, from);
        assert_eq!(partition.error_code, 0, "fetching {topic} from {from}");
        let mut bytes = partition.records.clone().unwrap_or_default();
        if bytes.is_empty() {
            assert_eq!(from, partition.high_watermark, "nothing more of {topic} is given");
            return found;
        }
        while !bytes.is_empty() {
            let len = 12 + u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
            for record in records::read(&bytes.split_to(len)).unwrap() {
                let record = record.unwrap();
                if record.offset >= from {
                    from = record.offset + 1;
                    found.push((record.offset, record.value.unwrap()));
                }
            }
        }
    }
}

/// That a partition still holds all that was acknowledged, in order and nothing twice.
pub(crate) fn assert_holds(client: &mut Client, topic: &str, acknowledged: &Records) {
    let found = read(client, topic);
    assert!(found.windows(2).all(|two| two[0].0 < two[1].0), "offsets grow");
    for record in acknowledged {
        assert!(found.contains(record), "offset {} was acknowledged and is lost", record.0);
    }
}

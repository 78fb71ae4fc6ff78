//! Topics and configs through the Kafka APIs: made, shown, changed, deleted.

use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::incremental_alter_configs_request as alter;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{self as m, describe_configs_request};

use crate::kafka::{Client, text, topic_name};

fn create(client: &mut Client, topics: Vec<CreatableTopic>, validate_only: bool) -> Vec<i16> {
    let request =
        m::CreateTopicsRequest::default().with_topics(topics).with_validate_only(validate_only);
    let response: m::CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
    response.topics.iter().map(|topic| topic.error_code).collect()
}

fn topic(name: &str, partitions: i32, replication: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replication)
}

fn metadata(client: &mut Client, name: &str, create: bool) -> m::MetadataResponse {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = m::MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(create);
    client.ask(ApiKey::Metadata, 13, &request)
}

#[test]
fn a_topic_is_made_shown_grown_and_deleted() {
    let mut client = Client::new();
    assert_eq!(create(&mut client, vec![topic("t", 2, 1)], true), [0]);
    assert_eq!(metadata(&mut client, "t", false).topics[0].error_code, 3, "only validated");
    assert_eq!(create(&mut client, vec![topic("t", 2, 1)], false), [0]);
    client.cluster.run(500);
    let shown = metadata(&mut client, "t", false);
    let shown = &shown.topics[0];
    assert_eq!((shown.error_code, shown.partitions.len()), (0, 2));
    for partition in &shown.partitions {
        assert_eq!((partition.error_code, partition.leader_id.0), (0, 1));
        assert_eq!((partition.replica_nodes.len(), partition.isr_nodes.len()), (1, 1));
        assert!(partition.leader_epoch > 0 && partition.offline_replicas.is_empty());
    }
    let grow = CreatePartitionsTopic::default()
        .with_name(topic_name("t"))
        .with_count(3)
        .with_assignments(None);
    let grow = m::CreatePartitionsRequest::default().with_topics(vec![grow]);
    let grown: m::CreatePartitionsResponse = client.ask(ApiKey::CreatePartitions, 3, &grow);
    assert_eq!(grown.results[0].error_code, 0);
    let again: m::CreatePartitionsResponse = client.ask(ApiKey::CreatePartitions, 3, &grow);
    assert_eq!(again.results[0].error_code, 37, "a topic only grows");
    let id = shown.topic_id;
    let by_id = m::MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(None).with_topic_id(id)]));
    let found: m::MetadataResponse = client.ask(ApiKey::Metadata, 12, &by_id);
    assert_eq!(found.topics[0].name, Some(topic_name("t")));
    assert_eq!(found.topics[0].partitions.len(), 3);
    let gone = m::DeleteTopicsRequest::default()
        .with_topics(vec![DeleteTopicState::default().with_topic_id(id)]);
    let deleted: m::DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &gone);
    assert_eq!((deleted.responses[0].error_code, deleted.responses[0].topic_id), (0, id));
    let deleted: m::DeleteTopicsResponse = client.ask(ApiKey::DeleteTopics, 6, &gone);
    assert_eq!(deleted.responses[0].error_code, 100);
    let found: m::MetadataResponse = client.ask(ApiKey::Metadata, 12, &by_id);
    assert_eq!(found.topics[0].error_code, 100);
}

#[test]
fn topics_that_cannot_be_are_refused_one_by_one() {
    let mut client = Client::new();
    let config = |name, value| CreatableTopicConfig::default().with_name(name).with_value(value);
    let unknown = topic("e", 1, 1).with_configs(vec![config(text("no.such"), Some(text("1")))]);
    let topics = vec![
        topic("a", 1, 1),
        topic("b", 0, 1),
        topic("c", 1, 3),
        topic("d/", 1, 1),
        unknown,
        topic("f", 1, 1),
        topic("f", 1, 1),
    ];
    assert_eq!(create(&mut client, topics, false), [0, 37, 38, 17, 40, 42]);
    assert_eq!(create(&mut client, vec![topic("a", 1, 1)], false), [36]);
}

#[test]
fn asking_for_a_topic_makes_it_if_the_client_and_the_cluster_allow() {
    let mut client = Client::new();
    assert_eq!(metadata(&mut client, "auto", false).topics[0].error_code, 3);
    assert_eq!(metadata(&mut client, "au to", true).topics[0].error_code, 17);
    assert_eq!(metadata(&mut client, "auto", true).topics[0].error_code, 0);
    set(&mut client, 4, "", "auto.create.topics.enable", "false", 0);
    assert_eq!(metadata(&mut client, "other", true).topics[0].error_code, 3);
}

pub(crate) fn set(
    client: &mut Client,
    kind: i8,
    resource: &str,
    name: &str,
    value: &str,
    error: i16,
) {
    let config =
        alter::AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let resource = alter::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configs(vec![config]);
    let request = m::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response: m::IncrementalAlterConfigsResponse =
        client.ask(ApiKey::IncrementalAlterConfigs, 1, &request);
    assert_eq!(response.responses[0].error_code, error, "{:?}", response.responses[0]);
}

fn told(client: &mut Client, name: &str) -> (String, i8) {
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_configuration_keys(Some(vec![text(name)]));
    let request = m::DescribeConfigsRequest::default().with_resources(vec![resource]);
    let response: m::DescribeConfigsResponse = client.ask(ApiKey::DescribeConfigs, 4, &request);
    let config = &response.results[0].configs[0];
    (config.value.clone().unwrap().to_string(), config.config_source)
}

#[test]
fn configs_are_set_and_their_sources_told() {
    let mut client = Client::new();
    create(&mut client, vec![topic("t", 1, 1)], false);
    assert_eq!(told(&mut client, "retention.ms"), ("604800000".to_owned(), 5));
    set(&mut client, 4, "", "log.retention.ms", "5000", 0);
    set(&mut client, 2, "t", "retention.bytes", "77", 0);
    set(&mut client, 2, "t", "retention.bytes", "x", 40);
    set(&mut client, 2, "nobody", "retention.bytes", "1", 3);
    assert_eq!(told(&mut client, "retention.ms"), ("5000".to_owned(), 3));
    assert_eq!(told(&mut client, "retention.bytes"), ("77".to_owned(), 1));
}

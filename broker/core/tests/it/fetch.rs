//! Fetches that wait, and how their waiting ends.

use chronik_core::core::input::{ConnId, Input, Token};
use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{self as m};

use crate::kafka::{Client, topic_name};

/// A broker with two empty partitions.
fn client() -> Client {
    let mut client = Client::new();
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(2)
        .with_replication_factor(1);
    let request = m::CreateTopicsRequest::default().with_topics(vec![topic]);
    client.ask::<m::CreateTopicsResponse>(ApiKey::CreateTopics, 7, &request);
    client.cluster.run(1_000);
    client
}

fn fetch(client: &mut Client, max_wait_ms: i32) -> Token {
    let partitions = (0..2).map(|index| {
        FetchPartition::default().with_partition(index).with_partition_max_bytes(1 << 20)
    });
    let topic =
        FetchTopic::default().with_topic(topic_name("t")).with_partitions(partitions.collect());
    let request = m::FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_topics(vec![topic]);
    client.send(ApiKey::Fetch, 12, &request)
}

/// Fetches that wait, and how often partitions name one.
fn waiting(client: &Client) -> (u64, u64) {
    let seen = client.cluster.nodes[&client.broker].core.inspect();
    (seen.fetches_parked, seen.watches)
}

#[test]
fn a_fetch_whose_time_is_over_leaves_nothing_behind() {
    let mut client = client();
    for _ in 0..3 {
        let token = fetch(&mut client, 500);
        assert_eq!(waiting(&client), (1, 2));
        let response: m::FetchResponse = client.answer(ApiKey::Fetch, 12, token);
        assert_eq!(response.responses[0].partitions[0].error_code, 0);
        assert_eq!(waiting(&client), (0, 0));
    }
}

#[test]
fn a_client_that_goes_leaves_nothing_behind() {
    let mut client = client();
    fetch(&mut client, 60_000);
    fetch(&mut client, 60_000);
    assert_eq!(waiting(&client), (2, 4));
    client.cluster.input(client.broker, Input::Disconnected(ConnId(1)));
    assert_eq!(waiting(&client), (0, 0));
}

#[test]
fn a_fetch_is_answered_when_its_topic_is_deleted() {
    let mut client = client();
    let token = fetch(&mut client, 60_000);
    let topic = DeleteTopicState::default().with_name(Some(topic_name("t")));
    let request = m::DeleteTopicsRequest::default().with_topics(vec![topic]);
    client.ask::<m::DeleteTopicsResponse>(ApiKey::DeleteTopics, 6, &request);
    let response: m::FetchResponse = client.answer(ApiKey::Fetch, 12, token);
    assert_eq!(response.responses[0].partitions[0].error_code, 3, "unknown topic or partition");
    assert_eq!(waiting(&client), (0, 0));
}

#[test]
fn a_fetch_is_answered_when_its_broker_stops() {
    let mut client = client();
    let before = fetch(&mut client, 60_000);
    client.cluster.input(client.broker, Input::Shutdown);
    assert!(client.cluster.replies.contains_key(&before), "its consumer is not kept waiting");
    let response: m::FetchResponse = client.answer(ApiKey::Fetch, 12, before);
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    // One that was already on its way.
    let late = fetch(&mut client, 60_000);
    client.cluster.run(200);
    assert!(client.cluster.replies.contains_key(&late));
}

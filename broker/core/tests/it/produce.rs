//! Produce requests that are refused, and answers that have to wait for the disk.

use chronik_core::core::input::Token;
use chronik_core::wire::api::ApiKey;
use chronik_core::wire::records::BatchBuilder;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{self as m};

use crate::kafka::{Client, topic_name};
use crate::moves::of_producer;

fn client() -> Client {
    let mut client = Client::new();
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = m::CreateTopicsRequest::default().with_topics(vec![topic]);
    client.ask::<m::CreateTopicsResponse>(ApiKey::CreateTopics, 7, &request);
    client.cluster.run(1_000);
    client
}

fn produce(client: &mut Client, topic: &str, acks: i16) -> Token {
    let batch = BatchBuilder::new(1_000).record(None, Some(&vec![7; 1_000_000])).build();
    let partition = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![partition]);
    let request = m::ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic]);
    client.send(ApiKey::Produce, 9, &request)
}

#[test]
fn who_wants_no_answer_learns_of_an_error_by_the_end_of_the_connection() {
    let mut client = client();
    let fine = produce(&mut client, "t", 0);
    assert!(client.cluster.replies.remove(&fine).unwrap().is_none());
    let wrong = produce(&mut client, "other", 0);
    assert_eq!(client.cluster.closed, [wrong]);
    assert!(!client.cluster.replies.contains_key(&wrong));
}

#[test]
fn nothing_is_acknowledged_that_a_full_disk_did_not_take() {
    const STORAGE_ERROR: i16 = 56;
    let mut client = client();
    let disk = client.cluster.nodes[&client.broker].disk.clone();
    let error = |client: &mut Client, acks| {
        let token = produce(client, "t", acks);
        let response: m::ProduceResponse = client.answer(ApiKey::Produce, 9, token);
        response.responses[0].partition_responses[0].error_code
    };
    disk.set_capacity(Some(0));
    // What is preallocated still takes some.
    let first = (0..100).map(|_| error(&mut client, 1)).find(|code| *code != 0);
    assert_eq!(first, Some(STORAGE_ERROR));
    assert_eq!(error(&mut client, -1), STORAGE_ERROR);
    disk.set_capacity(None);
    client.cluster.run(500);
    assert_eq!([error(&mut client, 1), error(&mut client, -1)], [0, 0]);
    let seen = client.cluster.nodes[&client.broker].core.inspect();
    assert_eq!(seen.uncommitted_bytes, 0, "nothing waits for a quorum any more");
}

#[test]
fn a_batch_that_comes_again_in_one_round_is_answered_as_the_first_time() {
    let mut client = client();
    // Nothing of the first one is in the log yet when the second one is looked at.
    let partition = PartitionProduceData::default().with_records(Some(of_producer(0)));
    let topic = TopicProduceData::default()
        .with_name(topic_name("t"))
        .with_partition_data(vec![partition.clone(), partition]);
    let request = m::ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic]);
    let token = client.send(ApiKey::Produce, 9, &request);
    let response: m::ProduceResponse = client.answer(ApiKey::Produce, 9, token);
    let answers = response.responses[0].partition_responses.iter();
    let answers: Vec<(i16, i64)> = answers.map(|p| (p.error_code, p.base_offset)).collect();
    assert_eq!(answers, [(0, 0), (0, 0)]);
}

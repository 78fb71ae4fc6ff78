//! Where a log starts, ends, and was at some time, through the Kafka APIs.

use chronik_core::wire::api::ApiKey;
use chronik_core::wire::records::BatchBuilder;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{self as m};

use crate::kafka::{Client, topic_name};

fn list(client: &mut Client, timestamp: i64) -> (i16, i64, i64) {
    list_of(client, "t", timestamp)
}

pub(crate) fn list_of(client: &mut Client, topic: &str, timestamp: i64) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic =
        ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = m::ListOffsetsRequest::default().with_topics(vec![topic]);
    let response: m::ListOffsetsResponse = client.ask(ApiKey::ListOffsets, 10, &request);
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.offset, partition.timestamp)
}

pub(crate) fn delete(client: &mut Client, offset: i64) -> (i16, i64) {
    delete_within(client, offset, 5_000)
}

pub(crate) fn delete_within(client: &mut Client, offset: i64, timeout_ms: i32) -> (i16, i64) {
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![DeleteRecordsPartition::default().with_offset(offset)]);
    let request =
        m::DeleteRecordsRequest::default().with_timeout_ms(timeout_ms).with_topics(vec![topic]);
    let response: m::DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, &request);
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

#[test]
fn offsets_are_found_by_place_and_by_time_and_records_deleted() {
    let mut client = Client::new();
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = m::CreateTopicsRequest::default().with_topics(vec![topic]);
    client.ask::<m::CreateTopicsResponse>(ApiKey::CreateTopics, 7, &request);
    client.cluster.run(1_000);
    for base in [1_000, 2_000] {
        let batch = BatchBuilder::new(base)
            .record_at(base, None, Some(b"a"))
            .record_at(base + 10, None, Some(b"b"))
            .build();
        let partition = PartitionProduceData::default().with_records(Some(batch));
        let topic = TopicProduceData::default()
            .with_name(topic_name("t"))
            .with_partition_data(vec![partition]);
        let request = m::ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(1_000)
            .with_topic_data(vec![topic]);
        let response: m::ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    assert_eq!(list(&mut client, -1), (0, 4, -1));
    assert_eq!(list(&mut client, -2), (0, 0, -1));
    assert_eq!(list(&mut client, -3), (0, 3, 2_010));
    assert_eq!(list(&mut client, -5), (0, -1, -1));
    assert_eq!(list(&mut client, -9).0, 35);
    assert_eq!(list(&mut client, 1_005), (0, 1, 1_010));
    assert_eq!(list(&mut client, 1_011), (0, 2, 2_000));
    assert_eq!(list(&mut client, 3_000), (0, -1, -1));
    assert_eq!(delete(&mut client, 5), (1, -1));
    assert_eq!(delete(&mut client, 1), (0, 1));
    assert_eq!(list(&mut client, 0), (0, 1, 1_010));
    assert_eq!(delete(&mut client, -1), (0, 4));
    assert_eq!(list(&mut client, -2), (0, 4, -1));
    assert_eq!(delete(&mut client, 2), (0, 4), "what is gone is gone");
}

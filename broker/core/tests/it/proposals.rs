//! Changes of the cluster's metadata whose asker hears nothing of them at first, and asks again.

use chronik_core::ids::BrokerId;
use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages as m;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::protocol::Encodable;

use crate::kafka::{Client, topic_name};
use crate::membership::three;
use crate::records::with_topic;

/// Asks a broker that loses all that the leader of `__meta` sends for a while: the leader's answer
/// and the news of the entry itself.
fn ask_deaf<R: kafka_protocol::protocol::Decodable>(
    client: &mut Client,
    api: ApiKey,
    version: i16,
    request: &impl Encodable,
) -> R {
    let controller = client.cluster.controller();
    client.broker = (1..=3).map(BrokerId).find(|id| *id != controller).unwrap();
    client.cluster.cut(controller, client.broker);
    let token = client.send(api, version, request);
    client.cluster.run(300);
    client.cluster.mend(controller, client.broker);
    client.answer(api, version, token)
}

#[test]
fn what_was_decided_unheard_is_no_error_when_it_is_asked_for_again() {
    let mut client = with_topic(three(), &[]);
    let topic = CreatePartitionsTopic::default()
        .with_name(topic_name("t"))
        .with_count(2)
        .with_assignments(None);
    let grow = m::CreatePartitionsRequest::default().with_topics(vec![topic]);
    let grown: m::CreatePartitionsResponse =
        ask_deaf(&mut client, ApiKey::CreatePartitions, 3, &grow);
    assert_eq!(grown.results[0].error_code, 0, "{:?}", grown.results[0].error_message);
    let delete = m::DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let deleted: m::DeleteTopicsResponse = ask_deaf(&mut client, ApiKey::DeleteTopics, 5, &delete);
    assert_eq!(deleted.responses[0].error_code, 0, "{:?}", deleted.responses[0].error_message);
}

//! Leaderships go back to the replicas that are to lead.

use chronik_core::core::input::Input;
use chronik_core::ids::BrokerId;
use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{self as m};

use crate::kafka::{Client, topic_name};
use crate::membership::three;
use crate::topics::set;

const ONE: BrokerId = BrokerId(1);
const TWO: BrokerId = BrokerId(2);

/// Three brokers with a topic of six partitions, each to lead two; the client asks the second.
pub(crate) fn client() -> Client {
    let mut client = Client::of(three(), TWO);
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(6)
        .with_replication_factor(3);
    let request = m::CreateTopicsRequest::default().with_topics(vec![topic]);
    let made: m::CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
    assert_eq!(made.topics[0].error_code, 0);
    client.cluster.run(6_000);
    assert_eq!(away(&mut client), 0);
    client
}

/// How many partitions are not led by the first of their replicas.
pub(crate) fn away(client: &mut Client) -> usize {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let request = m::MetadataRequest::default().with_topics(Some(vec![topic]));
    let shown: m::MetadataResponse = client.ask(ApiKey::Metadata, 12, &request);
    assert_eq!(shown.topics[0].partitions.len(), 6);
    let led = shown.topics[0].partitions.iter();
    led.filter(|partition| partition.leader_id != partition.replica_nodes[0]).count()
}

fn restart(client: &mut Client, away_for: u64) {
    let disk = client.cluster.kill(ONE);
    client.cluster.run(away_for);
    assert_eq!(away(client), 2, "others lead what the first broker led");
    client.cluster.start(ONE, disk);
}

#[test]
fn a_broker_that_came_back_leads_again_once_it_has_stayed() {
    let mut client = client();
    restart(&mut client, 12_000);
    client.cluster.run(4_000);
    assert_eq!(away(&mut client), 2, "not at once");
    client.cluster.run(8_000);
    assert_eq!(away(&mut client), 0);
}

#[test]
fn nothing_is_handed_back_where_the_cluster_does_not_want_it() {
    let mut client = client();
    set(&mut client, 4, "", "auto.leader.rebalance.enable", "false", 0);
    restart(&mut client, 3_000);
    client.cluster.run(20_000);
    assert_eq!(away(&mut client), 2);
    set(&mut client, 4, "", "auto.leader.rebalance.enable", "true", 0);
    client.cluster.run(6_000);
    assert_eq!(away(&mut client), 0);
}

#[test]
fn a_broker_that_shuts_down_is_not_given_anything_back() {
    let mut client = client();
    client.cluster.input(ONE, Input::Shutdown);
    for _ in 0..20 {
        client.cluster.run(1_000);
        assert_eq!(away(&mut client), 2);
    }
}

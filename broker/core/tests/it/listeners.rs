//! Clients of the external listener: every answer that names brokers has the addresses that the
//! operator has told, and leaves those out of whom it has told none.

use std::collections::BTreeMap;

use chronik_core::admin::{AdminError, AdminRequest};
use chronik_core::ids::{BrokerId, Uuid};
use chronik_core::meta::Listener;
use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages as m;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

use crate::cluster::Cluster;
use crate::kafka::{Client, text, topic_name};
use crate::membership::three;
use crate::records::{batch, followers, lead, with_topic};

const LEADER_NOT_AVAILABLE: i16 = 5;
const NOT_LEADER: i16 = 6;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const LISTENER_NOT_FOUND: i16 = 72;

type Told = BTreeMap<i32, String>;

fn order(cluster: &mut Cluster, broker: u32, address: Option<&str>) -> Result<(), AdminError> {
    let directory = Uuid::from_u128(100 + u128::from(broker));
    let (broker, address) = (BrokerId(broker), address.map(str::to_owned));
    let request = AdminRequest::SetAdvertised { broker, directory, address };
    let to = cluster.controller();
    let answer = cluster.order(to, request).map(drop);
    cluster.run(1_000);
    answer
}

fn node(id: i32) -> (i32, String) {
    (id, format!("node-{id}:{}", 30_000 + id))
}

fn advertise(cluster: &mut Cluster, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        order(cluster, id, Some(&node(id.cast_signed()).1)).unwrap();
    }
}

/// Three brokers with a topic `t` that broker 1 leads, and a client outside of one that does not.
fn outside(advertised: &[u32]) -> Client {
    let mut client = with_topic(three(), &[]);
    lead(&mut client, "t", BrokerId(1));
    client.broker = followers(&mut client, "t")[0];
    advertise(&mut client.cluster, advertised.iter().copied());
    client.listener = Listener::External;
    client
}

fn metadata(client: &mut Client, version: i16) -> m::MetadataResponse {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let request = m::MetadataRequest::default().with_topics(Some(vec![topic]));
    client.ask(ApiKey::Metadata, version, &request)
}

fn brokers(metadata: &m::MetadataResponse) -> Told {
    metadata.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", b.host, b.port))).collect()
}

/// The addresses in the answers to a produce and a fetch that came to the wrong broker (KIP-951).
fn hints(client: &mut Client) -> [Told; 2] {
    let partition = PartitionProduceData::default().with_records(Some(batch(b"x")));
    let topic =
        TopicProduceData::default().with_name(topic_name("t")).with_partition_data(vec![partition]);
    let produce = m::ProduceRequest::default()
        .with_acks(1)
        .with_timeout_ms(1_000)
        .with_topic_data(vec![topic]);
    let produced: m::ProduceResponse = client.ask(ApiKey::Produce, 10, &produce);
    let partition = &produced.responses[0].partition_responses[0];
    assert_eq!((partition.error_code, partition.current_leader.leader_id.0), (NOT_LEADER, 1));
    let shown = metadata(client, 12);
    let partition = FetchPartition::default().with_partition_max_bytes(1_000);
    let topic = FetchTopic::default()
        .with_topic_id(shown.topics[0].topic_id)
        .with_partitions(vec![partition]);
    let fetch = m::FetchRequest::default().with_max_wait_ms(100).with_topics(vec![topic]);
    let fetched: m::FetchResponse = client.ask(ApiKey::Fetch, 16, &fetch);
    assert_eq!(fetched.responses[0].partitions[0].error_code, NOT_LEADER);
    let address = |id: i32, host: &str, port: i32| (id, format!("{host}:{port}"));
    [
        produced.node_endpoints.iter().map(|n| address(n.node_id.0, &n.host, n.port)).collect(),
        fetched.node_endpoints.iter().map(|n| address(n.node_id.0, &n.host, n.port)).collect(),
    ]
}

#[test]
fn every_answer_that_names_brokers_has_their_addresses_outside() {
    let mut client = outside(&[1, 2, 3]);
    let all = Told::from([node(1), node(2), node(3)]);
    let shown = metadata(&mut client, 12);
    assert_eq!(brokers(&shown), all);
    assert_eq!(shown.topics[0].partitions[0].leader_id.0, 1);
    let request = m::DescribeClusterRequest::default();
    let cluster: m::DescribeClusterResponse = client.ask(ApiKey::DescribeCluster, 2, &request);
    let named = cluster.brokers.iter().map(|b| (b.broker_id.0, format!("{}:{}", b.host, b.port)));
    assert_eq!(Told::from_iter(named), all);
    let key = m::FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let mut found = Default::default();
    for _ in 0..20 {
        let answer: m::FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 4, &key);
        found = answer.coordinators[0].clone();
        if found.error_code != COORDINATOR_NOT_AVAILABLE {
            break;
        }
        client.cluster.run(500);
    }
    assert_eq!((found.node_id.0, format!("{}:{}", found.host, found.port)), node(found.node_id.0));
    let partition = m::describe_quorum_request::PartitionData::default();
    let topic = m::describe_quorum_request::TopicData::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![partition]);
    let request = m::DescribeQuorumRequest::default().with_topics(vec![topic]);
    let quorum: m::DescribeQuorumResponse = client.ask(ApiKey::DescribeQuorum, 2, &request);
    let named = quorum
        .nodes
        .iter()
        .map(|n| (n.node_id.0, format!("{}:{}", n.listeners[0].host, n.listeners[0].port)));
    assert_eq!(Told::from_iter(named), all);
    let leader = Told::from([node(1)]);
    assert_eq!(hints(&mut client), [leader.clone(), leader]);
    // The same client inside hears nothing of all that.
    client.listener = Listener::Internal;
    let inside = Told::from([1, 2, 3].map(|id| (id, format!("127.0.0.1:{}", 9090 + id))));
    assert_eq!(brokers(&metadata(&mut client, 12)), inside);
    let leader = Told::from([(1, "127.0.0.1:9091".to_owned())]);
    assert_eq!(hints(&mut client), [leader.clone(), leader]);
}

#[test]
fn a_leader_that_clients_cannot_reach_is_none_to_them() {
    let mut client = outside(&[2, 3]);
    let some = Told::from([node(2), node(3)]);
    for (version, error) in
        [(12, LISTENER_NOT_FOUND), (6, LISTENER_NOT_FOUND), (5, LEADER_NOT_AVAILABLE)]
    {
        let shown = metadata(&mut client, version);
        assert_eq!(brokers(&shown), some);
        assert_ne!(shown.controller_id.0, 1, "it has to be one of those that are named");
        let partition = &shown.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id.0), (error, -1), "version {version}");
        let in_sync: Vec<i32> = partition.isr_nodes.iter().map(|id| id.0).collect();
        assert_eq!(in_sync.len(), 3, "it is well for all that: {in_sync:?}");
        let offline: Vec<i32> = partition.offline_replicas.iter().map(|id| id.0).collect();
        assert_eq!(offline, if version >= 5 { vec![1] } else { vec![] });
    }
    let topic =
        m::describe_topic_partitions_request::TopicRequest::default().with_name(topic_name("t"));
    let request = m::DescribeTopicPartitionsRequest::default()
        .with_topics(vec![topic])
        .with_response_partition_limit(10);
    let shown: m::DescribeTopicPartitionsResponse =
        client.ask(ApiKey::DescribeTopicPartitions, 0, &request);
    assert_eq!(shown.topics[0].partitions[0].error_code, LISTENER_NOT_FOUND);
    assert_eq!(hints(&mut client), [Told::new(), Told::new()], "who leads is told, but not where");
    // Now it is known.
    advertise(&mut client.cluster, [1]);
    let shown = metadata(&mut client, 12);
    assert_eq!(shown.topics[0].partitions[0].leader_id.0, 1);
    // And it moves, without anybody's restart.
    order(&mut client.cluster, 1, Some("[fd00::1]:7")).unwrap();
    assert_eq!(brokers(&metadata(&mut client, 12))[&1], "fd00::1:7");
    order(&mut client.cluster, 1, None).unwrap();
    assert_eq!(brokers(&metadata(&mut client, 12)), some);
}

#[test]
fn addresses_are_kept_over_restarts_and_shown_to_the_operator() {
    let mut cluster = three();
    order(&mut cluster, 3, Some("node-3:30003")).unwrap();
    let disk = cluster.kill(BrokerId(3));
    cluster.start(BrokerId(3), disk);
    cluster.run(5_000);
    for id in 1..=3 {
        let described = cluster.describe(BrokerId(id)).meta.unwrap().brokers;
        let told: Vec<Option<&str>> = described.iter().map(|b| b.advertised.as_deref()).collect();
        assert_eq!(told, [None, None, Some("node-3:30003")], "broker {id}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let mut cluster = three();
    let refused = order(&mut cluster, 3, Some("node-3")).unwrap_err();
    let why = "an advertised address is host:port of at most 260 bytes, not \"node-3\"";
    assert_eq!(refused, AdminError::Invalid(why.into()));
    for wrong in ["", ":1", "node-3:0", "fd00::1:1", &format!("{}:1", "x".repeat(260))] {
        assert!(order(&mut cluster, 3, Some(wrong)).is_err(), "{wrong}");
    }
}

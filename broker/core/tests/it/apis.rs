//! Every API is answered in every version that the table names, in bytes that a client can read.

use chronik_core::wire::api::{APIS, ApiKey};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    self as m, GroupId, describe_configs_request, describe_quorum_request,
};

use crate::kafka::{Client, text, topic_name};

/// One version of one API: what it is asked is as full as the version allows.
#[allow(clippy::too_many_lines, reason = "one arm for each row of the table")]
fn ask_one(client: &mut Client, api: ApiKey, version: i16) {
    macro_rules! plain {
        ($request:ident, $response:ident) => {{
            client.ask::<m::$response>(api, version, &m::$request::default());
        }};
    }
    let group = GroupId(text("g"));
    match api {
        ApiKey::Produce => {
            let request = m::ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000);
            client.ask::<m::ProduceResponse>(api, version, &request);
        }
        ApiKey::Fetch => plain!(FetchRequest, FetchResponse),
        ApiKey::ListOffsets => {
            let partition = ListOffsetsPartition::default().with_timestamp(-1);
            let topic = ListOffsetsTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![partition.clone(), partition.with_partition_index(1)]);
            let request = m::ListOffsetsRequest::default().with_topics(vec![topic]);
            let response: m::ListOffsetsResponse = client.ask(api, version, &request);
            assert_eq!(response.topics[0].partitions[0].error_code, 0);
            assert_eq!(response.topics[0].partitions[0].offset, 0);
            assert_eq!(response.topics[0].partitions[1].error_code, 3);
        }
        ApiKey::Metadata => {
            let request = m::MetadataRequest::default().with_topics(None);
            let request = if version == 0 { request.with_topics(Some(vec![])) } else { request };
            let response: m::MetadataResponse = client.ask(api, version, &request);
            assert_eq!(response.brokers.len(), 1);
            assert!(response.topics.iter().any(|t| t.name == Some(topic_name("t"))));
        }
        ApiKey::OffsetCommit => plain!(OffsetCommitRequest, OffsetCommitResponse),
        ApiKey::OffsetFetch => {
            let request = m::OffsetFetchRequest::default();
            let request = if version >= 8 {
                let one = OffsetFetchRequestGroup::default().with_group_id(group);
                request.with_groups(vec![one])
            } else {
                request.with_group_id(group)
            };
            client.ask::<m::OffsetFetchResponse>(api, version, &request);
        }
        ApiKey::FindCoordinator => {
            let request = m::FindCoordinatorRequest::default();
            let request = if version >= 4 {
                request.with_coordinator_keys(vec![text("g"), text("h")])
            } else {
                request.with_key(text("g"))
            };
            client.ask::<m::FindCoordinatorResponse>(api, version, &request);
        }
        ApiKey::JoinGroup => plain!(JoinGroupRequest, JoinGroupResponse),
        ApiKey::Heartbeat => plain!(HeartbeatRequest, HeartbeatResponse),
        ApiKey::LeaveGroup => plain!(LeaveGroupRequest, LeaveGroupResponse),
        ApiKey::SyncGroup => plain!(SyncGroupRequest, SyncGroupResponse),
        ApiKey::DescribeGroups => {
            let request = m::DescribeGroupsRequest::default().with_groups(vec![group]);
            client.ask::<m::DescribeGroupsResponse>(api, version, &request);
        }
        ApiKey::ListGroups => plain!(ListGroupsRequest, ListGroupsResponse),
        ApiKey::ApiVersions => {
            let request = m::ApiVersionsRequest::default();
            let response: m::ApiVersionsResponse = client.ask(api, version, &request);
            assert_eq!(response.api_keys.len(), APIS.len());
        }
        ApiKey::CreateTopics => {
            let topic = CreatableTopic::default()
                .with_name(topic_name(&format!("made-{version}")))
                .with_num_partitions(2)
                .with_replication_factor(1);
            let request =
                m::CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
            let response: m::CreateTopicsResponse = client.ask(api, version, &request);
            assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
        }
        ApiKey::DeleteTopics => {
            let (name, request) = (topic_name("gone"), m::DeleteTopicsRequest::default());
            let request = if version >= 6 {
                let topic = DeleteTopicState::default().with_name(Some(name));
                request.with_topics(vec![topic])
            } else {
                request.with_topic_names(vec![name])
            };
            let response: m::DeleteTopicsResponse = client.ask(api, version, &request);
            assert_eq!(response.responses[0].error_code, 3);
        }
        ApiKey::DeleteRecords => plain!(DeleteRecordsRequest, DeleteRecordsResponse),
        ApiKey::InitProducerId => {
            let request = m::InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(1);
            let request = if version >= 3 {
                request.with_producer_id((-1).into()).with_producer_epoch(-1)
            } else {
                request
            };
            let response: m::InitProducerIdResponse = client.ask(api, version, &request);
            assert_eq!((response.error_code, response.producer_epoch), (0, 0));
            assert!(response.producer_id.0 >= 0);
        }
        ApiKey::OffsetForLeaderEpoch => {
            plain!(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse);
        }
        ApiKey::DescribeConfigs => {
            let resource = |kind, name| {
                describe_configs_request::DescribeConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(text(name))
                    .with_configuration_keys(None)
            };
            let request = m::DescribeConfigsRequest::default()
                .with_include_synonyms(true)
                .with_resources(vec![resource(2, "t"), resource(4, "1"), resource(4, "")]);
            let response: m::DescribeConfigsResponse = client.ask(api, version, &request);
            assert!(response.results.iter().all(|result| result.error_code == 0));
            assert!(response.results[0].configs.iter().any(|c| c.name == text("retention.ms")));
        }
        ApiKey::AlterConfigs => plain!(AlterConfigsRequest, AlterConfigsResponse),
        ApiKey::DescribeLogDirs => {
            let request = m::DescribeLogDirsRequest::default().with_topics(None);
            let response: m::DescribeLogDirsResponse = client.ask(api, version, &request);
            assert!(response.results[0].topics.iter().any(|t| t.name == topic_name("t")));
        }
        ApiKey::CreatePartitions => plain!(CreatePartitionsRequest, CreatePartitionsResponse),
        ApiKey::DeleteGroups => {
            let request = m::DeleteGroupsRequest::default().with_groups_names(vec![group]);
            client.ask::<m::DeleteGroupsResponse>(api, version, &request);
        }
        ApiKey::ElectLeaders => {
            let request = m::ElectLeadersRequest::default().with_topic_partitions(None);
            client.ask::<m::ElectLeadersResponse>(api, version, &request);
        }
        ApiKey::IncrementalAlterConfigs => {
            plain!(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse);
        }
        ApiKey::OffsetDelete => plain!(OffsetDeleteRequest, OffsetDeleteResponse),
        ApiKey::DescribeQuorum => {
            let topic = describe_quorum_request::TopicData::default()
                .with_topic_name(topic_name("__cluster_metadata"))
                .with_partitions(vec![describe_quorum_request::PartitionData::default()]);
            let request = m::DescribeQuorumRequest::default().with_topics(vec![topic]);
            let response: m::DescribeQuorumResponse = client.ask(api, version, &request);
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.leader_id.0), (0, 1));
            assert_eq!(partition.current_voters.len(), 1);
        }
        ApiKey::DescribeCluster => {
            let request = m::DescribeClusterRequest::default();
            let response: m::DescribeClusterResponse = client.ask(api, version, &request);
            assert_eq!((response.brokers.len(), response.controller_id.0), (1, 1));
        }
        ApiKey::DescribeTopicPartitions => {
            let request = m::DescribeTopicPartitionsRequest::default();
            let response: m::DescribeTopicPartitionsResponse = client.ask(api, version, &request);
            assert!(!response.topics.is_empty());
        }
    }
}

#[test]
fn every_version_of_every_api_is_answered() {
    let mut client = Client::new();
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = m::CreateTopicsRequest::default().with_topics(vec![topic]);
    let response: m::CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
    assert_eq!(response.topics[0].error_code, 0);
    client.cluster.run(1_000);
    for api in APIS {
        for version in api.min..=api.max {
            ask_one(&mut client, api.key, version);
        }
    }
}

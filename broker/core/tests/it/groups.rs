//! A consumer group through the Kafka APIs: found, joined, committed, left, deleted.

use bytes::Bytes;
use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{self as m, GroupId};

use crate::kafka::{Client, text, topic_name};

fn group() -> GroupId {
    GroupId(text("g"))
}

fn find(client: &mut Client) {
    let request = m::FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    for _ in 0..50 {
        let found: m::FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 6, &request);
        let coordinator = &found.coordinators[0];
        if coordinator.error_code == 0 {
            assert_eq!((coordinator.node_id.0, coordinator.port), (1, 9091));
            return;
        }
        assert_eq!(coordinator.error_code, 15, "{coordinator:?}");
        client.cluster.run(100);
    }
    panic!("no coordinator");
}

fn join(client: &mut Client) -> m::JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"));
    let request = m::JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let first: m::JoinGroupResponse = client.ask(ApiKey::JoinGroup, 9, &request);
    assert_eq!(first.error_code, 79, "a member id is given first");
    let request = request.with_member_id(first.member_id);
    client.ask(ApiKey::JoinGroup, 9, &request)
}

fn commit(client: &mut Client, joined: &m::JoinGroupResponse, generation: i32) -> Vec<i16> {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(42)
            .with_committed_metadata(Some(text("note")))
    };
    let topic = |name, partitions| {
        OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions)
    };
    let request = m::OffsetCommitRequest::default()
        .with_group_id(group())
        .with_member_id(joined.member_id.clone())
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![
            topic("nobody", vec![partition(0)]),
            topic("t", vec![partition(1), partition(0)]),
        ]);
    let response: m::OffsetCommitResponse = client.ask(ApiKey::OffsetCommit, 9, &request);
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

fn delete(client: &mut Client) -> i16 {
    let request = m::DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    let response: m::DeleteGroupsResponse = client.ask(ApiKey::DeleteGroups, 2, &request);
    response.results[0].error_code
}

fn committed(client: &mut Client) -> Vec<(i64, String)> {
    let one = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    let request = m::OffsetFetchRequest::default().with_groups(vec![one]);
    let response: m::OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, 9, &request);
    assert_eq!(response.groups[0].error_code, 0);
    let partitions = response.groups[0].topics.iter().flat_map(|topic| &topic.partitions);
    let one = |p: &m::offset_fetch_response::OffsetFetchResponsePartitions| {
        (p.committed_offset, p.metadata.clone().unwrap().to_string())
    };
    partitions.map(one).collect()
}

#[test]
fn a_group_is_found_joined_used_and_deleted() {
    let mut client = Client::new();
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = m::CreateTopicsRequest::default().with_topics(vec![topic]);
    client.ask::<m::CreateTopicsResponse>(ApiKey::CreateTopics, 7, &request);
    find(&mut client);
    client.cluster.run(1_000);
    let joined = join(&mut client);
    assert_eq!((joined.error_code, joined.leader.clone()), (0, joined.member_id.clone()));
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"all"));
    let request = m::SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(vec![assignment]);
    let synced: m::SyncGroupResponse = client.ask(ApiKey::SyncGroup, 5, &request);
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
    let request = m::HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    let beat: m::HeartbeatResponse = client.ask(ApiKey::Heartbeat, 4, &request);
    assert_eq!(beat.error_code, 0);
    let generation = joined.generation_id;
    assert_eq!(commit(&mut client, &joined, generation), [3, 3, 0]);
    assert_eq!(commit(&mut client, &joined, generation + 1), [3, 3, 22]);
    assert_eq!(committed(&mut client), [(42, "note".to_owned())]);
    let request = m::DescribeGroupsRequest::default().with_groups(vec![group()]);
    let described: m::DescribeGroupsResponse = client.ask(ApiKey::DescribeGroups, 6, &request);
    let described = &described.groups[0];
    assert_eq!((described.error_code, described.members.len()), (0, 1));
    assert_eq!(described.group_state, text("Stable"));
    assert_eq!(described.members[0].client_host, text("/127.0.0.1"));
    assert_eq!(delete(&mut client), 68, "it still has a member");
    let member = MemberIdentity::default().with_member_id(joined.member_id.clone());
    let request = m::LeaveGroupRequest::default().with_group_id(group()).with_members(vec![member]);
    let left: m::LeaveGroupResponse = client.ask(ApiKey::LeaveGroup, 5, &request);
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
    let request = m::ListGroupsRequest::default();
    let listed: m::ListGroupsResponse = client.ask(ApiKey::ListGroups, 5, &request);
    assert_eq!(listed.groups.len(), 1);
    let request = m::DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    client.ask::<m::DeleteTopicsResponse>(ApiKey::DeleteTopics, 5, &request);
    assert_eq!(committed(&mut client), [], "a deleted topic's offsets go with it");
    assert_eq!(delete(&mut client), 0);
    assert_eq!(delete(&mut client), 69);
}

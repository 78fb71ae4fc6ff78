//! Leaves out of a response what its version has no place for and its client can do without.
//! The `kafka-protocol` crate refuses to write such values, so that handlers would have to know for
//! every field when it appeared. Where versions differ in their form (one coordinator or many, one
//! group or many), the handler decides.

use kafka_protocol::messages as m;

use crate::ids::Uuid;
use crate::wire::body::ResponseBody;

/// What stands for "not asked for" in a field of authorized operations.
const OPERATIONS_UNKNOWN: i32 = i32::MIN;

/// Fits a response to its version.
pub(super) fn fit(body: &mut ResponseBody, version: i16) {
    match body {
        ResponseBody::ListOffsets(r) if version < 4 => {
            let partitions = r.topics.iter_mut().flat_map(|t| &mut t.partitions);
            partitions.for_each(|p| p.leader_epoch = -1);
        }
        ResponseBody::Metadata(r) => metadata(r, version),
        ResponseBody::JoinGroup(r) if version < 9 => r.skip_assignment = false,
        ResponseBody::DescribeGroups(r) => describe_groups(r, version),
        ResponseBody::ElectLeaders(r) if version < 1 => r.error_code = 0,
        ResponseBody::DescribeQuorum(r) if version < 2 => describe_quorum(r),
        ResponseBody::DescribeCluster(r) => describe_cluster(r, version),
        ResponseBody::Produce(_)
        | ResponseBody::Fetch(_)
        | ResponseBody::ListOffsets(_)
        | ResponseBody::OffsetCommit(_)
        | ResponseBody::OffsetFetch(_)
        | ResponseBody::FindCoordinator(_)
        | ResponseBody::JoinGroup(_)
        | ResponseBody::Heartbeat(_)
        | ResponseBody::LeaveGroup(_)
        | ResponseBody::SyncGroup(_)
        | ResponseBody::ListGroups(_)
        | ResponseBody::ApiVersions(_)
        | ResponseBody::CreateTopics(_)
        | ResponseBody::DeleteTopics(_)
        | ResponseBody::DeleteRecords(_)
        | ResponseBody::InitProducerId(_)
        | ResponseBody::OffsetForLeaderEpoch(_)
        | ResponseBody::DescribeConfigs(_)
        | ResponseBody::AlterConfigs(_)
        | ResponseBody::DescribeLogDirs(_)
        | ResponseBody::CreatePartitions(_)
        | ResponseBody::DeleteGroups(_)
        | ResponseBody::ElectLeaders(_)
        | ResponseBody::IncrementalAlterConfigs(_)
        | ResponseBody::OffsetDelete(_)
        | ResponseBody::DescribeQuorum(_)
        | ResponseBody::DescribeTopicPartitions(_) => {}
    }
}

fn metadata(r: &mut m::MetadataResponse, version: i16) {
    if !(8..=10).contains(&version) {
        r.cluster_authorized_operations = OPERATIONS_UNKNOWN;
    }
    if version < 8 {
        r.topics.iter_mut().for_each(|t| t.topic_authorized_operations = OPERATIONS_UNKNOWN);
    }
}

fn describe_groups(r: &mut m::DescribeGroupsResponse, version: i16) {
    for group in &mut r.groups {
        if version < 6 {
            group.error_message = None;
        }
        if version < 3 {
            group.authorized_operations = OPERATIONS_UNKNOWN;
        }
    }
}

fn describe_quorum(r: &mut m::DescribeQuorumResponse) {
    r.nodes.clear();
    for p in r.topics.iter_mut().flat_map(|t| &mut t.partitions) {
        let replicas = p.current_voters.iter_mut().chain(&mut p.observers);
        replicas.for_each(|replica| replica.replica_directory_id = Uuid::nil());
    }
}

fn describe_cluster(r: &mut m::DescribeClusterResponse, version: i16) {
    if version < 2 {
        r.brokers.iter_mut().for_each(|b| b.is_fenced = false);
    }
    if version < 1 {
        r.endpoint_type = 1;
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{
        describe_cluster_response as dc, describe_groups_response as dg,
        describe_quorum_response as dq, list_offsets_response as lo, metadata_response as md,
    };
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::wire::{Response, ResponseHeader, encode_response};

    #[test]
    fn newer_fields_do_not_keep_older_versions_from_an_answer() {
        let offset = lo::ListOffsetsPartitionResponse::default().with_leader_epoch(3);
        let offsets = lo::ListOffsetsTopicResponse::default().with_partitions(vec![offset]);
        let topic = md::MetadataResponseTopic::default()
            .with_name(Some(StrBytes::from_static_str("t").into()))
            .with_topic_authorized_operations(5);
        let group = dg::DescribedGroup::default()
            .with_authorized_operations(5)
            .with_error_message(Some(StrBytes::from_static_str("gone")));
        let voter = dq::ReplicaState::default().with_replica_directory_id(Uuid::from_u128(1));
        let partition = dq::PartitionData::default()
            .with_current_voters(vec![voter.clone()])
            .with_observers(vec![voter]);
        let quorum = dq::TopicData::default().with_partitions(vec![partition]);
        let broker = dc::DescribeClusterBroker::default().with_is_fenced(true);
        let bodies: [ResponseBody; 7] = [
            m::ListOffsetsResponse::default().with_topics(vec![offsets]).into(),
            m::MetadataResponse::default()
                .with_topics(vec![topic])
                .with_cluster_authorized_operations(5)
                .into(),
            m::JoinGroupResponse::default().with_skip_assignment(true).into(),
            m::DescribeGroupsResponse::default().with_groups(vec![group]).into(),
            m::ElectLeadersResponse::default().with_error_code(31).into(),
            m::DescribeQuorumResponse::default()
                .with_topics(vec![quorum])
                .with_nodes(vec![dq::Node::default().with_node_id(1.into())])
                .into(),
            m::DescribeClusterResponse::default()
                .with_brokers(vec![broker])
                .with_endpoint_type(2)
                .into(),
        ];
        for body in bodies {
            let api = body.api().api();
            for version in api.min..=api.max {
                let header = ResponseHeader { api: api.key, version, correlation_id: 1 };
                let encoded = encode_response(Response { header, body: body.clone() });
                assert!(encoded.is_ok(), "{} v{version}: {encoded:?}", api.name);
            }
        }
    }
}

//! Answers that are errors, in the form that each version of each API has for them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteResponse, SyncGroupResponse,
    delete_groups_response::DeletableGroupResult,
    offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
};
use kafka_protocol::protocol::StrBytes;

use super::{GroupRequest, GroupResponse};

/// The answer that fails `request` as a whole, for a caller that cannot ask the coordinator (it is
/// loading, elsewhere, or the client is not allowed to).
#[must_use]
pub fn error_response(version: i16, request: &GroupRequest, error: ResponseError) -> GroupResponse {
    match request {
        GroupRequest::Join(request) => join_error(version, &request.member_id, error),
        GroupRequest::Sync(_) => sync_error(error),
        GroupRequest::Heartbeat(_) => heartbeat(Some(error)),
        GroupRequest::Leave(_) => {
            GroupResponse::Leave(LeaveGroupResponse::default().with_error_code(error.code()))
        }
        GroupRequest::Commit(request) => GroupResponse::Commit(commit(request, |_| error.code())),
        GroupRequest::OffsetDelete(_) => GroupResponse::OffsetDelete(
            OffsetDeleteResponse::default().with_error_code(error.code()),
        ),
        GroupRequest::Delete(group) => GroupResponse::Delete(
            DeletableGroupResult::default()
                .with_group_id(group.clone())
                .with_error_code(error.code()),
        ),
    }
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn join_error(version: i16, member_id: &str, error: ResponseError) -> GroupResponse {
    GroupResponse::Join(
        JoinGroupResponse::default()
            .with_error_code(error.code())
            .with_generation_id(-1)
            .with_protocol_type(None)
            // Null is for those that know it.
            .with_protocol_name((version < 7).then(StrBytes::default))
            .with_member_id(text(member_id)),
    )
}

pub(super) fn sync_error(error: ResponseError) -> GroupResponse {
    GroupResponse::Sync(
        SyncGroupResponse::default()
            .with_error_code(error.code())
            .with_protocol_type(None)
            .with_protocol_name(None),
    )
}

pub(super) fn heartbeat(error: Option<ResponseError>) -> GroupResponse {
    let code = error.map_or(0, |e| e.code());
    GroupResponse::Heartbeat(HeartbeatResponse::default().with_error_code(code))
}

/// The answer to a commit, with a code for each partition.
pub(super) fn commit(
    request: &OffsetCommitRequest,
    code: impl Fn(&kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition) -> i16,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code(p))
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// `response` as it is if what it says did not come true.
pub(super) fn failed(response: GroupResponse, error: ResponseError) -> GroupResponse {
    let code = error.code();
    match response {
        GroupResponse::Join(r) => GroupResponse::Join(r.with_error_code(code)),
        GroupResponse::Sync(r) => GroupResponse::Sync(r.with_error_code(code)),
        GroupResponse::Heartbeat(r) => GroupResponse::Heartbeat(r.with_error_code(code)),
        GroupResponse::Leave(r) => GroupResponse::Leave(r.with_error_code(code)),
        GroupResponse::Commit(mut r) => {
            let partitions = r.topics.iter_mut().flat_map(|t| t.partitions.iter_mut());
            for partition in partitions.filter(|p| p.error_code == 0) {
                partition.error_code = code;
            }
            GroupResponse::Commit(r)
        }
        GroupResponse::OffsetDelete(r) => {
            GroupResponse::OffsetDelete(r.with_topics(Vec::new()).with_error_code(code))
        }
        GroupResponse::Delete(r) => GroupResponse::Delete(r.with_error_code(code)),
    }
}

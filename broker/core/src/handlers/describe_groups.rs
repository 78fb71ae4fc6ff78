//! DescribeGroups: groups that this broker coordinates; those of other brokers are refused.

use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::{Call, groups, operations};
use crate::core::Core;
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DescribeGroupsRequest) {
    let described = request.groups.iter().map(|id| match groups::coordinator(core, id.as_str()) {
        Ok(coordinator) => {
            let described = coordinator.describe(call.version(), id);
            if request.include_authorized_operations && described.error_code == 0 {
                described.with_authorized_operations(operations::GROUP)
            } else {
                described
            }
        }
        Err(error) => {
            DescribedGroup::default().with_group_id(id.clone()).with_error_code(error.code())
        }
    });
    let described = described.collect();
    call.answer(core, DescribeGroupsResponse::default().with_groups(described));
}

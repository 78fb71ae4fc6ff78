//! ListGroups: the groups that this broker coordinates. Clients ask every broker.

use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::{Call, groups};
use crate::core::Core;
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &ListGroupsRequest) {
    let response = match groups::coordinators(core) {
        Ok(all) => {
            let listed = all.iter().flat_map(|coordinator| coordinator.list(request));
            ListGroupsResponse::default().with_groups(listed.collect())
        }
        Err(error) => ListGroupsResponse::default().with_error_code(error.code()),
    };
    call.answer(core, response);
}

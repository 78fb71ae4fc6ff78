//! DeleteGroups: each group is asked of its own coordinator; those of other brokers are refused.

use std::collections::BTreeSet;

use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::{Call, groups};
use crate::core::Core;
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DeleteGroupsRequest) {
    let named: BTreeSet<GroupId> = request.groups_names.iter().cloned().collect();
    if named.is_empty() {
        return call.answer(core, DeleteGroupsResponse::default());
    }
    groups::ask_delete(core, call, &named);
}

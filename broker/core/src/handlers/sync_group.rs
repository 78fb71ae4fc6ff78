//! SyncGroup: a member asks for its assignment, and the group's leader brings all of them. What becomes of it is the coordinator's.

use kafka_protocol::messages::SyncGroupRequest;

use super::{Call, groups};
use crate::coordinator::GroupRequest;
use crate::core::Core;
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: SyncGroupRequest) {
    let group = request.group_id.clone();
    groups::ask(core, call, &group, GroupRequest::Sync(request));
}

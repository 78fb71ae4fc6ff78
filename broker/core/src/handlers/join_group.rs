//! JoinGroup: a member wants to be in a group's next generation. What becomes of it is the coordinator's.

use kafka_protocol::messages::JoinGroupRequest;

use super::{Call, groups};
use crate::coordinator::GroupRequest;
use crate::core::Core;
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: JoinGroupRequest) {
    let group = request.group_id.clone();
    groups::ask(core, call, &group, GroupRequest::Join(request));
}

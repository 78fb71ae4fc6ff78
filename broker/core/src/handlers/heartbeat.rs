//! Heartbeat: a member is alive. What becomes of it is the coordinator's.

use kafka_protocol::messages::HeartbeatRequest;

use super::{Call, groups};
use crate::coordinator::GroupRequest;
use crate::core::Core;
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: HeartbeatRequest) {
    let group = request.group_id.clone();
    groups::ask(core, call, &group, GroupRequest::Heartbeat(request));
}

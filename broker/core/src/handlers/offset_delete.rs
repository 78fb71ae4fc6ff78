//! OffsetDelete: forgets what a group committed. What becomes of it is the coordinator's.

use kafka_protocol::messages::OffsetDeleteRequest;

use super::{Call, groups};
use crate::coordinator::GroupRequest;
use crate::core::Core;
use crate::log::disk::Disk;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: OffsetDeleteRequest) {
    let group = request.group_id.clone();
    groups::ask(core, call, &group, GroupRequest::OffsetDelete(request));
}

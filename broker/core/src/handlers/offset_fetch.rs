//! OffsetFetch: what groups committed. Later versions ask for several groups at once.

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::{Call, groups};
use crate::coordinator::{single_group, single_response};
use crate::core::Core;
use crate::log::disk::Disk;

/// The first version with several groups.
const GROUPS_FROM: i16 = 8;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &OffsetFetchRequest) {
    let response = if call.version() < GROUPS_FROM {
        let group = fetch(core, &single_group(request));
        single_response(call.version(), request, group)
    } else {
        let groups = request.groups.iter().map(|group| fetch(core, group));
        OffsetFetchResponse::default().with_groups(groups.collect())
    };
    call.answer(core, response);
}

fn fetch<D: Disk>(core: &Core<D>, group: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    match groups::coordinator(core, group.group_id.as_str()) {
        Ok(coordinator) => coordinator.fetch(group),
        Err(error) => OffsetFetchResponseGroup::default()
            .with_group_id(group.group_id.clone())
            .with_error_code(error.code()),
    }
}

//! ApiVersions: the table of APIs. A version that is not known is answered while the request is read.

use kafka_protocol::messages::ApiVersionsResponse;

use super::Call;
use crate::core::Core;
use crate::log::disk::Disk;
use crate::wire::api;

/// No feature is finalized: none of those that have levels is served. An epoch of 0 says so for
/// good, where -1 would say that it is not known.
pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call) {
    let response = ApiVersionsResponse::default()
        .with_api_keys(api::advertised())
        .with_finalized_features_epoch(0);
    call.answer(core, response);
}

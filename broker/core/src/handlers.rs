//! Stand-in while the handlers are written.
use std::sync::Arc;
use crate::core::Core;
use crate::core::input::Token;
use crate::log::disk::Disk;
use crate::wire::Request;
#[derive(Debug, Default)]
pub(crate) struct ProducerIds;
#[derive(Debug, Default)]
pub(crate) struct Groups;
pub(crate) fn handle<D: Disk>(core: &mut Core<D>, token: Token, _h: &Arc<str>, r: Request) {
    let header = crate::wire::ResponseHeader { api: r.header.api, version: r.header.version, correlation_id: r.header.correlation_id };
    match r.body {
        crate::wire::RequestBody::Produce(p) => crate::partition::produce::produce(core, token, header, p),
        crate::wire::RequestBody::Fetch(p) => crate::partition::fetch::fetch(core, token, header, p),
        _ => core.close(token),
    }
}
pub(crate) mod groups {
    use crate::core::Core;
    use crate::core::input::{ConnId, Token};
    use crate::coordinator::GroupResponse;
    use crate::log::disk::Disk;
    pub(crate) fn reply<D: Disk>(_c: &mut Core<D>, _t: Token, _r: GroupResponse) {}
    pub(crate) fn disconnected<D: Disk>(_c: &mut Core<D>, _t: ConnId) {}
}

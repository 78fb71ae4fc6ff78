//! The coordinator's replicated state as bytes, equal on all replicas that applied the same
//! records: `version u8 = 1, groups (id str, group)`. The group's own form is in `group`.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::group::Group;
use crate::codec::{CodecError, Reader, Writer};

const VERSION: u8 = 1;

pub(super) fn encode(groups: &BTreeMap<String, Group>) -> Bytes {
    let mut w = Writer::new();
    w.u8(VERSION).list(groups.iter(), |w, (id, group)| {
        w.str(id);
        group.put(w);
    });
    w.finish()
}

pub(super) fn decode(buf: Bytes) -> Result<BTreeMap<String, Group>, CodecError> {
    let mut r = Reader::new(buf);
    let version = r.u8("group snapshot version")?;
    if version != VERSION {
        let value = u64::from(version);
        return Err(CodecError::Unknown { what: "group snapshot version", value });
    }
    let groups = r.list("groups", |r| Ok((r.str("group id")?, Group::get(r)?)))?;
    r.end()?;
    Ok(groups.into_iter().collect())
}

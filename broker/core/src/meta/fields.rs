//! Fields that commands and snapshots both carry. The layouts of either are theirs.

use std::collections::BTreeMap;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{BrokerId, PartitionId, PeerId};

pub(super) fn put_broker(w: &mut Writer, id: BrokerId) {
    w.u32(id.0);
}

pub(super) fn get_broker(r: &mut Reader) -> Result<BrokerId, CodecError> {
    let id = r.u32("broker id")?;
    if id > BrokerId::MAX.0 {
        return Err(CodecError::Unknown { what: "broker id", value: id.into() });
    }
    Ok(BrokerId(id))
}

pub(super) fn put_brokers(w: &mut Writer, ids: &[BrokerId]) {
    w.list(ids.iter(), |w, id| put_broker(w, *id));
}

pub(super) fn get_brokers(r: &mut Reader) -> Result<Vec<BrokerId>, CodecError> {
    r.list("broker ids", get_broker)
}

pub(super) fn put_peers(w: &mut Writer, peers: &[PeerId]) {
    w.list(peers.iter(), |w, peer| {
        w.u64(peer.0);
    });
}

pub(super) fn get_peers(r: &mut Reader) -> Result<Vec<PeerId>, CodecError> {
    r.list("peer ids", |r| Ok(PeerId(r.u64("peer id")?)))
}

pub(super) fn put_partition_id(w: &mut Writer, id: PartitionId) {
    w.uuid(id.topic).u32(id.partition);
}

pub(super) fn get_partition_id(r: &mut Reader) -> Result<PartitionId, CodecError> {
    Ok(PartitionId::new(r.uuid("topic id")?, r.u32("partition")?))
}

pub(super) fn put_text(w: &mut Writer, text: &Option<String>) {
    w.option(text.as_deref(), |w, text| {
        w.str(text);
    });
}

pub(super) fn get_text(r: &mut Reader, what: &'static str) -> Result<Option<String>, CodecError> {
    r.option(what, |r| r.str(what))
}

pub(super) fn put_configs(w: &mut Writer, configs: &BTreeMap<String, String>) {
    w.list(configs.iter(), |w, (name, value)| {
        w.str(name).str(value);
    });
}

pub(super) fn get_configs(r: &mut Reader) -> Result<BTreeMap<String, String>, CodecError> {
    let pairs = r.list("configs", |r| Ok((r.str("config name")?, r.str("config value")?)))?;
    Ok(pairs.into_iter().collect())
}

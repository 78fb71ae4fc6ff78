//! A deleted topic stays deleted: no topic ever has its id again, and none of its records is ever
//! in another topic, also not in one of the same name. That is watched on producers which never
//! repeat a batch: what they sent can be in one topic only.

use std::collections::{BTreeMap, BTreeSet};

use chronik_core::ids::{PartitionId, Uuid};
use chronik_core::log::entry::{Body, Entry};

use super::Violation;
use super::truth::{Serial, Truth};
use crate::client::repeats;

const NAME: &str = "deleted topics stay deleted";

/// Which topic each record is in, and the ids of deleted topics.
#[derive(Debug, Default)]
pub(super) struct Homes {
    of: BTreeMap<Serial, Uuid>,
    deleted: BTreeSet<Uuid>,
}

/// An entry was committed that nobody had committed before.
pub(super) fn append(truth: &mut Truth, id: PartitionId, entry: &Entry) -> Result<(), Violation> {
    let Body::Batch(info, _) = &entry.body else { return Ok(()) };
    let from = usize::try_from(info.base_offset).unwrap_or(usize::MAX);
    let fresh: Vec<Serial> =
        truth.group(id).records.get(from..).unwrap_or_default().iter().copied().flatten().collect();
    for serial in fresh.into_iter().filter(|(producer, _)| !repeats(*producer)) {
        if let Some(home) = truth.homes.of.insert(serial, id.topic)
            && home != id.topic
        {
            let what = format!("record {serial:?} of topic {home} is in {id}");
            return Violation::new(NAME, what);
        }
    }
    Ok(())
}

/// A client was told that a topic is deleted.
pub(super) fn deleted(truth: &mut Truth, topic: Uuid) {
    truth.homes.deleted.insert(topic);
}

/// A client was told that a topic was made.
pub(super) fn made(truth: &Truth, topic: Uuid) -> Result<(), Violation> {
    if truth.homes.deleted.contains(&topic) {
        return Violation::new(NAME, format!("a new topic has the id {topic} of a deleted one"));
    }
    Ok(())
}

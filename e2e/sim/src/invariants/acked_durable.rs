//! What a client was told is there, is committed at that very offset; what a client reads is what
//! was committed. That committed entries stay is what log matching and leader completeness say.

use chronik_core::ids::{Offset, PartitionId};

use super::Violation;
use super::truth::{Serial, Truth};

/// An answer to acks=all.
pub(super) fn acked(
    truth: &mut Truth,
    group: PartitionId,
    base: Offset,
    serials: &[Serial],
) -> Result<(), Violation> {
    for (at, serial) in (base..).zip(serials) {
        let found = truth.record(group, at);
        if found != Some(Some(*serial)) {
            let end = truth.group(group).records.len();
            let what = format!(
                "{group}: record {serial:?} was acknowledged at {at}, where {found:?} is committed \
                 (committed up to {end}; the record is at {:?})",
                truth.group(group).places.get(serial)
            );
            return Violation::new("acknowledged is durable", what);
        }
    }
    Ok(())
}

/// A record that a consumer got.
pub(super) fn read(
    truth: &Truth,
    group: PartitionId,
    offset: Offset,
    serial: Option<Serial>,
) -> Result<(), Violation> {
    match truth.record(group, offset) {
        Some(known) if known == serial => Ok(()),
        Some(known) => Violation::new(
            "reads are what was committed",
            format!("{group}: {serial:?} was read at {offset}, where {known:?} is committed"),
        ),
        None => Violation::new(
            "reads are committed",
            format!("{group}: {serial:?} was read at {offset}, where nothing is committed"),
        ),
    }
}

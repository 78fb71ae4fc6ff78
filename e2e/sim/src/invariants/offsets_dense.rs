//! Offsets of committed records are 0, 1, 2, ... without a hole; a record is there once, and those of
//! an idempotent producer in their order.

use chronik_core::ids::PartitionId;
use chronik_core::log::entry::{Body, Entry};
use chronik_core::wire::records;

use super::Violation;
use super::truth::{Serial, Truth};
use crate::client::{repeats, serial_of};

const NAME: &str = "offsets dense";

/// An entry was committed that nobody had committed before.
pub(super) fn append(truth: &mut Truth, id: PartitionId, entry: &Entry) -> Result<(), Violation> {
    let Body::Batch(info, bytes) = &entry.body else { return Ok(()) };
    let group = truth.group(id);
    if std::mem::take(&mut group.has_hole) {
        // What nobody could be asked about took offsets too.
        let base = usize::try_from(info.base_offset).unwrap_or(0);
        group.records.resize(base.max(group.records.len()), None);
    }
    let next = i64::try_from(group.records.len()).unwrap_or(i64::MAX);
    if info.base_offset != next {
        let what =
            format!("{id} entry {} begins at offset {}, not {next}", entry.index, info.base_offset);
        return Violation::new(NAME, what);
    }
    let mut found: Vec<Option<Serial>> = Vec::new();
    match records::read(bytes) {
        Ok(records) => {
            for record in records {
                match record {
                    Ok(record) => found.push(serial_of(&record)),
                    Err(error) => return Violation::new(NAME, format!("{id}: {error}")),
                }
            }
        }
        Err(error) => return Violation::new(NAME, format!("{id} entry {}: {error}", entry.index)),
    }
    if found.len() as u64 != u64::from(info.records) {
        let what = format!(
            "{id} entry {} says {} records and has {}",
            entry.index,
            info.records,
            found.len()
        );
        return Violation::new(NAME, what);
    }
    for serial in found {
        let offset = i64::try_from(group.records.len()).unwrap_or(i64::MAX);
        group.records.push(serial);
        let Some(serial) = serial else { continue };
        let places = group.places.entry(serial).or_default();
        places.push(offset);
        if places.len() > 1 {
            let what = format!("{id} has record {serial:?} at {places:?}");
            return Violation::new("no duplicates", what);
        }
        let (producer, number) = serial;
        let newer = group.places.range((producer, number + 1)..(producer + 1, 0)).next();
        if let (Some((newer, at)), true) = (newer, repeats(producer)) {
            let what =
                format!("{id} has record {serial:?} at {offset}, behind {newer:?} at {at:?}");
            return Violation::new("no reordering", what);
        }
    }
    Ok(())
}

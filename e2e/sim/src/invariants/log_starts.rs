//! Records go only when somebody asked for it: each new start of a log is one that a client gave to
//! DeleteRecords, no replica starts later than what is committed says, nor earlier than what it has
//! applied, and who was told that records are deleted was told so after the commit.

use std::collections::{BTreeMap, BTreeSet};

use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{Index, Offset, PartitionId};
use chronik_core::log::entry::{Body, Entry};

use super::Violation;
use super::truth::Truth;

const NAME: &str = "records go only when asked";

/// Where the log of one group is to start.
#[derive(Debug, Default)]
pub(super) struct Starts {
    asked: BTreeSet<Offset>,
    committed: BTreeMap<Index, Offset>,
}

/// A client asks for all records below `offset` to be deleted.
pub(super) fn asked(truth: &mut Truth, id: PartitionId, offset: Offset) {
    truth.group(id).starts.asked.insert(offset);
}

/// The highest start that anybody has asked for.
pub(super) fn highest_asked(truth: &mut Truth, id: PartitionId) -> Offset {
    truth.group(id).starts.asked.last().copied().unwrap_or(0)
}

/// An entry was committed that nobody had committed before.
pub(super) fn append(truth: &mut Truth, id: PartitionId, entry: &Entry) -> Result<(), Violation> {
    let Body::LogStart(offset) = entry.body else { return Ok(()) };
    let starts = &mut truth.group(id).starts;
    if !starts.asked.contains(&offset) {
        let what = format!("{id} is to start at {offset} by entry {}", entry.index);
        return Violation::new(NAME, what);
    }
    starts.committed.insert(entry.index, offset);
    Ok(())
}

/// A client was told that `id` starts at `offset`.
pub(super) fn told(truth: &mut Truth, id: PartitionId, offset: Offset) -> Result<(), Violation> {
    let group = truth.group(id);
    let start = group.starts.committed.values().max().copied().unwrap_or(0);
    if offset <= start || group.had_hole {
        return Ok(());
    }
    Violation::new(NAME, format!("{id}: a client was told of start {offset}, committed is {start}"))
}

/// A replica at this moment.
pub(super) fn check(truth: &mut Truth, view: &ReplicaView<'_>) -> Result<(), Violation> {
    let group = truth.group(view.id);
    if group.starts.committed.is_empty() || group.had_hole {
        return Ok(());
    }
    let applied = group.starts.committed.range(..=view.applied).map(|(_, offset)| *offset);
    let (low, high) = (applied.max().unwrap_or(0), group.starts.committed.values().max().copied());
    if view.log_start >= low && Some(view.log_start) <= high {
        return Ok(());
    }
    let what = format!(
        "{} of {} starts at {}; applied up to {} it should be {low}, at most {high:?}",
        view.peer, view.id, view.log_start, view.applied
    );
    Violation::new("logs start where they were told to", what)
}

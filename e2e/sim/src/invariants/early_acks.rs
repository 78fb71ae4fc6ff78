//! What an answer promises that comes before the commit. With acks=1 the record is in the leader's
//! log: it is lost only if another leader comes. With acks=all to a topic that relaxes it, a quorum
//! has received the record: it is lost only if, besides, power (or a disk) was lost since it was
//! sent; killed processes never lose it. Either way it is at the promised offset, or nowhere.

use std::collections::BTreeMap;

use chronik_core::ids::{Offset, PartitionId, Term};
use chronik_core::log::entry::{Body, Entry};

use super::Violation;
use super::truth::{Serial, Truth};

const NAME: &str = "early acknowledgements are kept";

/// What an early answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromiseKind {
    /// The leader has it.
    Leader,
    /// A quorum has received it.
    Received,
}

/// An answer that comes before the commit.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(crate) kind: PromiseKind,
    pub(crate) group: PartitionId,
    pub(crate) base: Offset,
    pub(crate) serials: Vec<Serial>,
    /// When the request was sent.
    pub(crate) asked: u64,
}

/// What was promised of one group and is not committed yet.
#[derive(Debug, Default)]
pub(super) struct Early {
    promised: BTreeMap<Offset, Promised>,
    /// The first committed offset of each term.
    eras: BTreeMap<Offset, Term>,
}

#[derive(Debug)]
struct Promised {
    kind: PromiseKind,
    serial: Serial,
    term: Term,
    asked: u64,
}

/// A leader of `term` promises. What is committed there already is judged at once.
pub(super) fn promised(truth: &mut Truth, promise: &Promise, term: Term) -> Result<(), Violation> {
    let Promise { kind, group, asked, .. } = *promise;
    for (offset, serial) in (promise.base..).zip(&promise.serials) {
        let promised = Promised { kind, serial: *serial, term, asked };
        match truth.record(group, offset) {
            None => {
                truth.group(group).early.promised.insert(offset, promised);
            }
            Some(found) => {
                let eras = &truth.group(group).early.eras;
                let era = eras.range(..=offset).next_back().map_or(0, |(_, term)| *term);
                judge(group, offset, &promised, found, era, truth.power_lost)?;
            }
        }
    }
    Ok(())
}

/// An entry was committed that nobody had committed before.
pub(super) fn append(truth: &mut Truth, id: PartitionId, entry: &Entry) -> Result<(), Violation> {
    let Body::Batch(info, _) = &entry.body else { return Ok(()) };
    let power_lost = truth.power_lost;
    let group = truth.group(id);
    if group.early.eras.values().next_back() != Some(&entry.term) {
        group.early.eras.insert(info.base_offset, entry.term);
    }
    let end = i64::try_from(group.records.len()).unwrap_or(i64::MAX);
    let later = group.early.promised.split_off(&end);
    let due = std::mem::replace(&mut group.early.promised, later);
    for (offset, promised) in due {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        // Below this entry: nobody could be asked what is committed there.
        if offset >= info.base_offset
            && let Some(found) = group.records.get(at)
        {
            judge(id, offset, &promised, *found, entry.term, power_lost)?;
        }
    }
    Ok(())
}

fn judge(
    group: PartitionId,
    offset: Offset,
    promised: &Promised,
    found: Option<Serial>,
    term: Term,
    power_lost: Option<u64>,
) -> Result<(), Violation> {
    let Promised { kind, serial, asked, .. } = *promised;
    let may_be_lost = match kind {
        PromiseKind::Leader => true,
        PromiseKind::Received => power_lost.is_some_and(|at| at >= asked),
    };
    if found == Some(serial) || (term > promised.term && may_be_lost) {
        return Ok(());
    }
    let what = format!(
        "{group}: record {serial:?} was promised at {offset} in term {} ({kind:?}), where {found:?} \
         is committed in term {term}",
        promised.term
    );
    Violation::new(NAME, what)
}

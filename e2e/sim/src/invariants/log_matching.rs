//! State machine safety: what one replica holds to be committed at an index, every other holds
//! there too, over every restart.

use chronik_core::core::Core;
use chronik_core::core::observe::ReplicaView;
use chronik_core::ids::{Index, PartitionId};
use chronik_core::log::entry::{Body, Entry};
use chronik_core::log::mem_disk::MemDisk;

use super::truth::Truth;
use super::{Violation, early_acks, log_starts, offsets_dense, topics_apart};
use crate::coverage::Coverage;
use crate::trace;

const NAME: &str = "log matching";

/// Compares what `view` committed after `from` with what is known. Returns what nobody knew before.
pub(super) fn check(
    truth: &mut Truth,
    core: &Core<MemDisk>,
    view: &ReplicaView<'_>,
    from: Index,
    coverage: &mut Coverage,
) -> Result<Vec<Index>, Violation> {
    let mut fresh = Vec::new();
    // Birth is the one entry that no log holds.
    for index in from.max(1) + 1..=view.committed {
        let known = truth.group(view.id).entry(index);
        if known.is_none() && truth.group(view.id).last() + 1 != index {
            let last = truth.group(view.id).last();
            return Violation::new(
                NAME,
                format!(
                    "{} {} commits {index} before anyone has committed {}",
                    view.id,
                    view.peer,
                    last + 1
                ),
            );
        }
        let entry = if index < view.first { None } else { core.entry_at(view.id, index) };
        let Some(entry) = entry else {
            if known.is_none() {
                truth.group(view.id).extend(index, None);
                fresh.push(index);
            }
            continue;
        };
        let entry = match entry {
            Ok(entry) => entry,
            // Somebody else will say what it was; this replica is to be found out.
            Err(_) if truth.damaged.contains(&view.peer.broker()) => {
                if known.is_none() {
                    truth.group(view.id).extend(index, None);
                    fresh.push(index);
                }
                continue;
            }
            Err(error) => {
                return Violation::new(
                    NAME,
                    format!(
                        "{} {} cannot read its committed entry {index}: {error}",
                        view.id, view.peer
                    ),
                );
            }
        };
        let sum = match &entry.body {
            Body::Noop => 0,
            Body::ConfChange(bytes) => sum_of(bytes),
            Body::LogStart(offset) => sum_of(&offset.to_be_bytes()),
            Body::Batch(_, bytes) => sum_of(bytes),
        };
        match known.flatten() {
            Some(known) if known != (entry.term, sum) => {
                return Violation::new(
                    NAME,
                    format!(
                        "{} {} committed {index} as term {} sum {sum:08x}, others as term {} sum {:08x}",
                        view.id, view.peer, entry.term, known.0, known.1
                    ),
                );
            }
            Some(_) => {}
            None => {
                truth.group(view.id).extend(index, Some((entry.term, sum)));
                if known.is_none() {
                    coverage.count("entries committed");
                    fresh.push(index);
                    append(truth, view.id, &entry)?;
                }
            }
        }
    }
    Ok(fresh)
}

/// An entry was committed that nobody had committed before.
fn append(truth: &mut Truth, id: PartitionId, entry: &Entry) -> Result<(), Violation> {
    offsets_dense::append(truth, id, entry)?;
    early_acks::append(truth, id, entry)?;
    topics_apart::append(truth, id, entry)?;
    log_starts::append(truth, id, entry)
}

/// A checksum good enough to tell entries apart.
fn sum_of(bytes: &[u8]) -> u32 {
    let hash = trace::absorb(0, bytes);
    (hash ^ (hash >> 32)) as u32
}

//! A history against what was promised: no acknowledged record lost, none twice, order kept.
//!
//! A record whose fate is unknown may be there or not, but if it is there, it is in its place.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Fate, History, PartitionHistory, Received};

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Acknowledged, and never received.
    Lost {
        /// Where it should be.
        partition: i32,
        /// The offset in its acknowledgement.
        offset: i64,
        /// Which record.
        serial: u64,
    },
    /// Received at another offset than the acknowledged one.
    Moved {
        /// The partition.
        partition: i32,
        /// Which record.
        serial: u64,
        /// The offset in its acknowledgement.
        acked: i64,
        /// Where it was found.
        found: i64,
    },
    /// Received more than once.
    Duplicate {
        /// The partition.
        partition: i32,
        /// Which record.
        serial: u64,
        /// Where it was found again.
        offset: i64,
    },
    /// Received after a record that was sent later.
    Order {
        /// The partition.
        partition: i32,
        /// Which record.
        serial: u64,
        /// The one before it.
        after: u64,
    },
    /// Offsets that skip or go back.
    Gap {
        /// The partition.
        partition: i32,
        /// What should have come.
        expected: i64,
        /// What came.
        found: i64,
    },
    /// Received, but never sent to this partition, or with other bytes.
    Foreign {
        /// The partition.
        partition: i32,
        /// Where it was found.
        offset: i64,
    },
    /// A client saw an error that a retry cannot heal.
    FatalError(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Lost { partition, offset, serial } => {
                write!(f, "record {serial}, acknowledged at {partition}:{offset}, is lost")
            }
            Violation::Moved { partition, serial, acked, found } => write!(
                f,
                "record {serial}, acknowledged at {partition}:{acked}, was found at {found}"
            ),
            Violation::Duplicate { partition, serial, offset } => {
                write!(f, "record {serial} is there again at {partition}:{offset}")
            }
            Violation::Order { partition, serial, after } => {
                write!(f, "record {serial} of partition {partition} comes after record {after}")
            }
            Violation::Gap { partition, expected, found } => {
                write!(f, "partition {partition} goes on at {found} instead of {expected}")
            }
            Violation::Foreign { partition, offset } => {
                write!(f, "the record at {partition}:{offset} was never sent like this")
            }
            Violation::FatalError(error) => write!(f, "a client saw: {error}"),
        }
    }
}

/// All broken promises of a history that is complete: producers flushed, consumers at the end.
pub fn check(history: &History) -> Vec<Violation> {
    let mut violations: Vec<Violation> =
        history.fatal_errors.iter().cloned().map(Violation::FatalError).collect();
    for (id, partition) in &history.partitions {
        check_received(*id, partition, &mut violations);
        check_acked(*id, partition, &mut violations);
    }
    violations
}

/// What was received makes sense by itself: dense offsets, known records, growing serials.
fn check_received(id: i32, history: &PartitionHistory, violations: &mut Vec<Violation>) {
    let mut seen: BTreeMap<u64, i64> = BTreeMap::new();
    let mut last: Option<u64> = None;
    for (expected, Received { offset, serial, is_intact }) in (0i64..).zip(&history.received) {
        let (offset, serial) = (*offset, *serial);
        if offset != expected {
            violations.push(Violation::Gap { partition: id, expected, found: offset });
            // One gap is one violation, not one for each record after it.
            return;
        }
        if !is_intact || !history.sent.contains_key(&serial) {
            violations.push(Violation::Foreign { partition: id, offset });
            continue;
        }
        if seen.insert(serial, offset).is_some() {
            violations.push(Violation::Duplicate { partition: id, serial, offset });
        } else if let Some(after) = last.filter(|after| *after > serial) {
            violations.push(Violation::Order { partition: id, serial, after });
        }
        last = Some(serial);
    }
}

/// Every acknowledged record was received where its acknowledgement says.
fn check_acked(id: i32, history: &PartitionHistory, violations: &mut Vec<Violation>) {
    let found: BTreeMap<u64, i64> =
        history.received.iter().rev().map(|record| (record.serial, record.offset)).collect();
    for (serial, fate) in &history.sent {
        let Fate::Acked(acked) = *fate else { continue };
        match found.get(serial) {
            // librdkafka acknowledges a record without an offset when it is told of one behind it first.
            Some(offset) if *offset == acked || acked < 0 => {}
            Some(offset) => violations.push(Violation::Moved {
                partition: id,
                serial: *serial,
                acked,
                found: *offset,
            }),
            None => {
                violations.push(Violation::Lost { partition: id, offset: acked, serial: *serial });
            }
        }
    }
}

/// Runs the checker on broken copies of a history: one acknowledged record deleted, two swapped.
/// A checker that does not complain must not be believed.
pub fn prove_checker(history: &History) -> Result<(), String> {
    let Some((id, partition)) =
        history.partitions.iter().find(|(_, partition)| partition.received.len() >= 2)
    else {
        return Err("the history has no partition with two records".into());
    };
    let middle = partition.received.len() / 2;

    let mut deleted = history.clone();
    let mut swapped = history.clone();
    for (copy, is_swap) in [(&mut deleted, false), (&mut swapped, true)] {
        let Some(broken) = copy.partitions.get_mut(id) else { continue };
        if is_swap {
            let (left, right) = broken.received.split_at_mut(middle);
            if let (Some(left), Some(right)) = (left.last_mut(), right.first_mut()) {
                std::mem::swap(&mut left.serial, &mut right.serial);
            }
        } else {
            broken.received.remove(middle);
        }
    }
    if check(&deleted) == check(history) {
        return Err("the checker did not notice a deleted record".into());
    }
    if check(&swapped) == check(history) {
        return Err("the checker did not notice two swapped records".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;

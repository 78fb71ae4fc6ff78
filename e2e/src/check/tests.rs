//! The checker against histories that break each promise: it has to be right before it is used.

use super::*;

/// Serials 10, 11, 12, 13 in partition 0, all acknowledged and received; 14 unknown and not there.
fn good() -> History {
    let mut history = History::default();
    for (offset, serial) in (0..).zip(10..14) {
        history.sent(0, serial);
        history.acked(0, serial, offset);
        history.received(0, Received { offset, serial, is_intact: true });
    }
    history.sent(0, 14);
    history
}

fn violations(change: impl FnOnce(&mut Vec<Received>)) -> Vec<Violation> {
    let mut history = good();
    change(&mut history.partitions.get_mut(&0).unwrap().received);
    check(&history)
}

#[test]
fn a_kept_promise_is_no_violation() {
    assert_eq!(check(&good()), []);
    prove_checker(&good()).unwrap();
}

#[test]
fn an_acknowledgement_without_an_offset_promises_that_the_record_is_there() {
    let mut history = good();
    history.acked(0, 12, -1001);
    assert_eq!(check(&history), []);
    history.partitions.get_mut(&0).unwrap().received.truncate(2);
    let lost = |serial, offset| Violation::Lost { partition: 0, offset, serial };
    assert_eq!(check(&history), [lost(12, -1001), lost(13, 3)]);
}

#[test]
fn an_unknown_record_may_be_there() {
    let found =
        violations(|records| records.push(Received { offset: 4, serial: 14, is_intact: true }));
    assert_eq!(found, []);
}

#[test]
fn an_unknown_record_is_there_once_and_in_its_place() {
    let late = |serial, offset| Received { offset, serial, is_intact: true };
    let mut history = good();
    history.sent(0, 15);
    history.acked(0, 15, 4);
    let partition = history.partitions.get_mut(&0).unwrap();
    partition.received.extend([late(15, 4), late(14, 5)]);
    assert_eq!(check(&history), [Violation::Order { partition: 0, serial: 14, after: 15 }]);
}

#[test]
fn a_deleted_record_is_a_gap_and_lost() {
    let found = violations(|records| {
        records.remove(1);
    });
    assert_eq!(
        found,
        [
            Violation::Gap { partition: 0, expected: 1, found: 2 },
            Violation::Lost { partition: 0, offset: 1, serial: 11 },
        ]
    );
}

#[test]
fn a_lost_tail_is_lost() {
    let found = violations(|records| records.truncate(3));
    assert_eq!(found, [Violation::Lost { partition: 0, offset: 3, serial: 13 }]);
}

#[test]
fn swapped_records_are_out_of_order_and_moved() {
    let found = violations(|records| {
        let (left, right) = (records[1].serial, records[2].serial);
        records[1].serial = right;
        records[2].serial = left;
    });
    assert_eq!(
        found,
        [
            Violation::Order { partition: 0, serial: 11, after: 12 },
            Violation::Moved { partition: 0, serial: 11, acked: 1, found: 2 },
            Violation::Moved { partition: 0, serial: 12, acked: 2, found: 1 },
        ]
    );
}

#[test]
fn a_second_copy_is_a_duplicate() {
    let found =
        violations(|records| records.push(Received { offset: 4, serial: 13, is_intact: true }));
    assert_eq!(found, [Violation::Duplicate { partition: 0, serial: 13, offset: 4 }]);
}

#[test]
fn strangers_and_damaged_records_are_foreign() {
    let found =
        violations(|records| records.push(Received { offset: 4, serial: 99, is_intact: true }));
    assert_eq!(found, [Violation::Foreign { partition: 0, offset: 4 }]);
    let found = violations(|records| records[3].is_intact = false);
    assert_eq!(found, [Violation::Foreign { partition: 0, offset: 3 }]);
}

#[test]
fn an_error_that_no_retry_heals_is_a_violation() {
    let mut history = good();
    history.fatal_errors.push("out of sequence".into());
    assert_eq!(check(&history), [Violation::FatalError("out of sequence".into())]);
}

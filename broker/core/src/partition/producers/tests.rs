//! The rules one by one, and the bytes of a checkpoint.

use super::*;

const T0: i64 = 1_700_000_000_000;

fn batch(epoch: i16, base_sequence: i32, count: i32) -> ProducerBatch {
    ProducerBatch { producer_id: 7, epoch, base_sequence, count }
}

fn at(base_offset: Offset) -> Appended {
    Appended { base_offset, timestamp: T0 + base_offset, append_ms: T0 }
}

fn applied(batches: &[ProducerBatch]) -> Producers {
    let mut producers = Producers::default();
    let mut offset = 0;
    for (i, batch) in batches.iter().enumerate() {
        producers.apply(i as Index + 2, batch, &at(offset));
        offset += i64::from(batch.count);
    }
    producers
}

#[track_caller]
fn check(producers: &Producers, batch: ProducerBatch, expected: Check) {
    assert_eq!(producers.check(&batch, &InFlight::default()), expected);
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    check(&Producers::default(), batch(0, 0, 1), Check::AppendFirst);
    check(&Producers::default(), batch(3, 41, 1), Check::AppendFirst);
}

#[test]
fn sequences_follow_one_another() {
    let producers = applied(&[batch(0, 0, 3)]);
    check(&producers, batch(0, 3, 1), Check::Append);
    check(&producers, batch(0, 4, 1), Check::OutOfOrder);
    check(&producers, batch(0, 2, 1), Check::OutOfOrder);
    check(&producers, batch(0, 0, 2), Check::OutOfOrder);
    check(&producers, batch(0, 0, 3), Check::Duplicate { base_offset: 0, timestamp: T0 });
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let mut producers = applied(&[batch(0, 0, 3)]);
    check(&producers, batch(1, 3, 1), Check::OutOfOrder);
    check(&producers, batch(1, 0, 1), Check::Append);
    producers.apply(9, &batch(1, 0, 1), &at(3));
    check(&producers, batch(0, 0, 3), Check::InvalidEpoch);
    check(&producers, batch(1, 1, 1), Check::Append);
}

#[test]
fn five_batches_are_remembered() {
    let all: Vec<_> = (0..6).map(|i| batch(0, i, 1)).collect();
    let producers = applied(&all);
    check(&producers, batch(0, 0, 1), Check::OutOfOrder);
    for i in 1..6 {
        let expected = Check::Duplicate { base_offset: i64::from(i), timestamp: T0 + i64::from(i) };
        check(&producers, batch(0, i, 1), expected);
    }
}

#[test]
fn sequences_wrap() {
    let producers = applied(&[batch(0, i32::MAX - 1, 4)]);
    assert_eq!(batch(0, i32::MAX - 1, 4).last_sequence(), 1);
    check(&producers, batch(0, 2, 1), Check::Append);
    check(&applied(&[batch(0, i32::MAX, 1)]), batch(0, 0, 1), Check::Append);
}

#[test]
fn fields_that_contradict_each_other_are_invalid() {
    for bad in [batch(-1, 0, 1), batch(0, -1, 1), batch(0, 0, 0), batch(0, 0, -1)] {
        check(&Producers::default(), bad, Check::Invalid);
    }
}

#[test]
fn what_is_in_flight_counts_until_the_term_ends() {
    let mut producers = applied(&[batch(0, 0, 1)]);
    let mut flying = InFlight::default();
    flying.append(10, &batch(0, 1, 2), &at(1));
    flying.append(11, &batch(0, 3, 1), &at(3));
    assert_eq!(producers.check(&batch(0, 4, 1), &flying), Check::Append);
    assert_eq!(producers.check(&batch(0, 1, 1), &flying), Check::OutOfOrder);
    let repeat = Check::DuplicateInFlight { index: 10, base_offset: 1, timestamp: T0 + 1 };
    assert_eq!(producers.check(&batch(0, 1, 2), &flying), repeat);
    let old = Check::Duplicate { base_offset: 0, timestamp: T0 };
    assert_eq!(producers.check(&batch(0, 0, 1), &flying), old);

    producers.apply(10, &batch(0, 1, 2), &at(1));
    flying.applied(10);
    assert_eq!(flying.len(), 1);
    let repeat = Check::Duplicate { base_offset: 1, timestamp: T0 + 1 };
    assert_eq!(producers.check(&batch(0, 1, 2), &flying), repeat);

    flying.clear();
    assert!(flying.is_empty());
    // Entry 11 was lost with the term: its batch is new again.
    assert_eq!(producers.check(&batch(0, 3, 1), &flying), Check::Append);
}

#[test]
fn an_epoch_in_flight_fences_too() {
    let producers = applied(&[batch(0, 0, 1)]);
    let mut flying = InFlight::default();
    flying.append(10, &batch(2, 0, 1), &at(1));
    assert_eq!(producers.check(&batch(1, 0, 1), &flying), Check::InvalidEpoch);
    assert_eq!(producers.check(&batch(2, 1, 1), &flying), Check::Append);
}

#[test]
fn producers_expire_by_the_times_in_the_log() {
    let mut producers = applied(&[batch(0, 0, 1)]);
    let other = ProducerBatch { producer_id: 8, ..batch(0, 0, 1) };
    let later = |append_ms| Appended { base_offset: 1, timestamp: 0, append_ms };
    producers.apply(20, &other, &later(T0 + EXPIRATION_MS));
    assert_eq!(producers.len(), 2);
    producers.apply(21, &other, &later(T0 + EXPIRATION_MS + 1));
    assert_eq!(producers.len(), 1);
    // A clock that is behind forgets nobody who has just appended.
    producers.apply(22, &batch(0, 0, 1), &later(T0));
    assert_eq!(producers.len(), 2);
}

#[test]
fn a_replay_onto_a_checkpoint_changes_nothing() {
    let producers = applied(&[batch(0, 0, 1), batch(0, 1, 1)]);
    let mut restored = Producers::decode(producers.encode()).unwrap();
    assert_eq!(restored, producers);
    restored.apply(2, &batch(0, 0, 1), &at(0));
    restored.apply(3, &batch(0, 1, 1), &at(1));
    assert_eq!(restored, producers);
}

#[test]
fn golden_bytes() {
    let bytes = applied(&[batch(1, 2, 3)]).encode();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let expected = "01\
        0000000000000002\
        0000018bcfe56800\
        00000001\
        0000000000000007\
        0001\
        0000018bcfe56800\
        00000001\
        00000002\
        00000004\
        0000000000000000\
        0000018bcfe56800";
    assert_eq!(hex, expected);
}

#[test]
fn garbage_does_not_decode() {
    let bytes = applied(&[batch(1, 2, 3)]).encode();
    for n in 0..bytes.len() {
        assert!(Producers::decode(bytes.slice(..n)).is_err(), "cut at {n}");
    }
    let mut newer = bytes.to_vec();
    newer[0] = 2;
    assert!(Producers::decode(newer.into()).is_err());
}

//! Batches of idempotent producers that this broker refused although they may come again: what was
//! sent behind one of them is not out of order, only early.
//!
//! A producer has up to five batches under way. One that is refused, as the replica is not there
//! yet, does not lead yet, leads no more or has no space, may be followed by one that would be
//! taken, and the sequence has a gap then. A producer that is told OUT_OF_ORDER_SEQUENCE_NUMBER may
//! raise its epoch and send all anew (librdkafka does); what an earlier leader had appended would be
//! there twice. So whatever is behind a refused batch is refused with it until that one has come
//! again (`docs/adr/012-behind-a-refused-batch.md`).
//!
//! This is this broker's memory alone, whatever its replica's role: a producer sends to the next
//! leader only when the one before has answered or is gone. Which errors are such refusals,
//! `produce` decides.

use std::collections::BTreeMap;

use super::producers::{ProducerBatch, SEQUENCE_NUMBERS};
use crate::ids::{Micros, PartitionId};

/// A producer that has not sent a batch again for so long has given it up.
pub const REMEMBERED_FOR: Micros = Micros::from_millis(30_000);
/// Producers of partitions that are remembered; beyond it those that gave up are forgotten, and if
/// that is not enough, all.
const PRODUCERS_MAX: usize = 10_000;

/// The first refused batch of each producer of each partition, as long as it has not come again.
#[derive(Debug, Default)]
pub struct RefusedBatches {
    producers: BTreeMap<(PartitionId, i64), First>,
}

#[derive(Debug, Clone, Copy)]
struct First {
    epoch: i16,
    sequence: i32,
    at: Micros,
}

impl RefusedBatches {
    /// `batch` is refused at `now`.
    pub fn refuse(&mut self, id: PartitionId, batch: &ProducerBatch, now: Micros) {
        let first = First { epoch: batch.epoch, sequence: batch.base_sequence, at: now };
        let key = (id, batch.producer_id);
        if let Some(known) = self.producers.get(&key) {
            if known.epoch > batch.epoch || known.is_before(batch, now) {
                return;
            }
        } else if self.producers.len() >= PRODUCERS_MAX {
            self.producers.retain(|_, first| now.since(first.at) < REMEMBERED_FOR);
            if self.producers.len() >= PRODUCERS_MAX {
                self.producers.clear();
            }
        }
        self.producers.insert(key, first);
    }

    /// `batch` is in the log or on its way into it, and so is all that its producer sent before it.
    pub fn take(&mut self, id: PartitionId, batch: &ProducerBatch, now: Micros) {
        let key = (id, batch.producer_id);
        if let Some(first) = self.producers.get(&key)
            && first.epoch <= batch.epoch
            && !first.is_behind(batch, now)
        {
            self.producers.remove(&key);
        }
    }

    /// Whether a batch in front of `batch` was refused and has not come again.
    #[must_use]
    pub fn is_in_front_of(&self, id: PartitionId, batch: &ProducerBatch, now: Micros) -> bool {
        let first = self.producers.get(&(id, batch.producer_id));
        first.is_some_and(|first| first.is_before(batch, now))
    }
}

impl First {
    fn is_before(&self, batch: &ProducerBatch, now: Micros) -> bool {
        self.concerns(batch, now) && follows(self.sequence, batch.base_sequence)
    }

    fn is_behind(&self, batch: &ProducerBatch, now: Micros) -> bool {
        self.concerns(batch, now) && follows(batch.base_sequence, self.sequence)
    }

    fn concerns(&self, batch: &ProducerBatch, now: Micros) -> bool {
        self.epoch == batch.epoch && now.since(self.at) < REMEMBERED_FOR
    }
}

/// Whether sequence number `b` comes after `a`; numbers go on at 0 after the largest.
fn follows(a: i32, b: i32) -> bool {
    let ahead = (i64::from(b) - i64::from(a)).rem_euclid(SEQUENCE_NUMBERS);
    (1..1 << 30).contains(&ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: PartitionId = PartitionId::META;
    const NOW: Micros = Micros::from_millis(1_000);

    fn batch(epoch: i16, base_sequence: i32) -> ProducerBatch {
        ProducerBatch { producer_id: 7, epoch, base_sequence, count: 1 }
    }

    fn refused(batches: &[ProducerBatch]) -> RefusedBatches {
        let mut refused = RefusedBatches::default();
        for batch in batches {
            refused.refuse(T, batch, NOW);
        }
        refused
    }

    #[test]
    fn what_is_behind_a_refused_batch_is_early_until_that_one_comes_again() {
        let mut refused = refused(&[batch(0, 5), batch(0, 6)]);
        assert!(refused.is_in_front_of(T, &batch(0, 6), NOW));
        assert!(refused.is_in_front_of(T, &batch(0, 7), NOW));
        assert!(!refused.is_in_front_of(T, &batch(0, 5), NOW), "it has come again");
        assert!(!refused.is_in_front_of(T, &batch(0, 4), NOW));
        let other = ProducerBatch { producer_id: 8, ..batch(0, 7) };
        assert!(!refused.is_in_front_of(T, &other, NOW));
        refused.take(T, &batch(0, 4), NOW);
        assert!(refused.is_in_front_of(T, &batch(0, 7), NOW), "4 says nothing of 5");
        refused.take(T, &batch(0, 5), NOW);
        assert!(!refused.is_in_front_of(T, &batch(0, 7), NOW));
    }

    #[test]
    fn what_is_taken_behind_it_shows_that_it_was_in_the_log() {
        let mut refused = refused(&[batch(0, 5)]);
        refused.take(T, &batch(0, 6), NOW);
        assert!(!refused.is_in_front_of(T, &batch(0, 8), NOW));
    }

    #[test]
    fn an_epoch_is_on_its_own() {
        let mut refused = refused(&[batch(1, 0)]);
        assert!(!refused.is_in_front_of(T, &batch(0, 9), NOW));
        assert!(!refused.is_in_front_of(T, &batch(2, 9), NOW));
        refused.refuse(T, &batch(0, 3), NOW);
        assert!(
            refused.is_in_front_of(T, &batch(1, 1), NOW),
            "the old epoch is late, and nothing else"
        );
        refused.refuse(T, &batch(2, 4), NOW);
        assert!(refused.is_in_front_of(T, &batch(2, 5), NOW));
    }

    #[test]
    fn numbers_go_on_at_zero() {
        let refused = refused(&[batch(0, i32::MAX)]);
        assert!(refused.is_in_front_of(T, &batch(0, 0), NOW));
        assert!(!refused.is_in_front_of(T, &batch(0, i32::MAX - 1), NOW));
    }

    #[test]
    fn who_gave_up_is_forgotten_and_so_are_very_many() {
        let mut refused = refused(&[batch(0, 5)]);
        assert!(!refused.is_in_front_of(T, &batch(0, 6), NOW.after(REMEMBERED_FOR)));
        let other = |id| ProducerBatch { producer_id: id, ..batch(0, 0) };
        let (late, max) = (NOW.after(REMEMBERED_FOR), PRODUCERS_MAX as i64);
        (0..max).for_each(|n| refused.refuse(T, &other(100 + n), late));
        assert_eq!(refused.producers.len(), PRODUCERS_MAX, "only the one that gave up");
        refused.refuse(T, &other(99), late);
        assert_eq!(refused.producers.len(), 1);
    }
}

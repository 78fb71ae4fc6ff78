//! Batches of idempotent producers that this replica refused although they may come again: what was
//! sent behind one of them is not out of order, only early.
//!
//! A producer has up to five batches under way. One that is refused, as the replica does not lead
//! yet, leads no more or has no space, may be followed by one that would be taken, and the sequence
//! has a gap then. A producer that is told OUT_OF_ORDER_SEQUENCE_NUMBER may raise its epoch and send
//! all anew (librdkafka does); what an earlier leader had appended would be there twice. So whatever
//! is behind a refused batch is refused with it until that one has come again
//! (`docs/adr/012-behind-a-refused-batch.md`).
//!
//! This is this replica's memory alone, in whatever role: a producer sends to the next leader only
//! when the one before has answered or is gone. Which errors are such refusals, `produce` decides.

use std::collections::BTreeMap;

use super::producers::{ProducerBatch, SEQUENCE_NUMBERS};
use crate::ids::Micros;

/// A producer that has not sent a batch again for so long has given it up.
pub const REMEMBERED_FOR: Micros = Micros::from_millis(30_000);
/// Producers that are remembered; beyond it the one that was refused first is forgotten.
const PRODUCERS_MAX: usize = 1_000;

/// The first refused batch of each producer, as long as it has not come again.
#[derive(Debug, Default)]
pub struct RefusedBatches {
    producers: BTreeMap<i64, First>,
}

#[derive(Debug, Clone, Copy)]
struct First {
    epoch: i16,
    sequence: i32,
    at: Micros,
}

impl RefusedBatches {
    /// `batch` is refused at `now`.
    pub fn refuse(&mut self, batch: &ProducerBatch, now: Micros) {
        let first = First { epoch: batch.epoch, sequence: batch.base_sequence, at: now };
        if let Some(known) = self.producers.get(&batch.producer_id) {
            if known.epoch > batch.epoch || known.is_before(batch, now) {
                return;
            }
        } else if self.producers.len() >= PRODUCERS_MAX {
            let oldest = self.producers.iter().min_by_key(|(_, first)| first.at);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                self.producers.remove(&id);
            }
        }
        self.producers.insert(batch.producer_id, first);
    }

    /// `batch` is in the log or on its way into it, and so is all that its producer sent before it.
    pub fn take(&mut self, batch: &ProducerBatch, now: Micros) {
        if let Some(first) = self.producers.get(&batch.producer_id)
            && first.epoch <= batch.epoch
            && !first.is_behind(batch, now)
        {
            self.producers.remove(&batch.producer_id);
        }
    }

    /// Whether a batch in front of `batch` was refused and has not come again.
    #[must_use]
    pub fn is_in_front_of(&self, batch: &ProducerBatch, now: Micros) -> bool {
        self.producers.get(&batch.producer_id).is_some_and(|first| first.is_before(batch, now))
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

    const NOW: Micros = Micros::from_millis(1_000);

    fn batch(epoch: i16, base_sequence: i32) -> ProducerBatch {
        ProducerBatch { producer_id: 7, epoch, base_sequence, count: 1 }
    }

    fn refused(batches: &[ProducerBatch]) -> RefusedBatches {
        let mut refused = RefusedBatches::default();
        for batch in batches {
            refused.refuse(batch, NOW);
        }
        refused
    }

    #[test]
    fn what_is_behind_a_refused_batch_is_early_until_that_one_comes_again() {
        let mut refused = refused(&[batch(0, 5), batch(0, 6)]);
        assert!(refused.is_in_front_of(&batch(0, 6), NOW));
        assert!(refused.is_in_front_of(&batch(0, 7), NOW));
        assert!(!refused.is_in_front_of(&batch(0, 5), NOW), "it has come again");
        assert!(!refused.is_in_front_of(&batch(0, 4), NOW));
        let other = ProducerBatch { producer_id: 8, ..batch(0, 7) };
        assert!(!refused.is_in_front_of(&other, NOW));
        refused.take(&batch(0, 4), NOW);
        assert!(refused.is_in_front_of(&batch(0, 7), NOW), "4 says nothing of 5");
        refused.take(&batch(0, 5), NOW);
        assert!(!refused.is_in_front_of(&batch(0, 7), NOW));
    }

    #[test]
    fn what_is_taken_behind_it_shows_that_it_was_in_the_log() {
        let mut refused = refused(&[batch(0, 5)]);
        refused.take(&batch(0, 6), NOW);
        assert!(!refused.is_in_front_of(&batch(0, 8), NOW));
    }

    #[test]
    fn an_epoch_is_on_its_own() {
        let mut refused = refused(&[batch(1, 0)]);
        assert!(!refused.is_in_front_of(&batch(0, 9), NOW));
        assert!(!refused.is_in_front_of(&batch(2, 9), NOW));
        refused.refuse(&batch(0, 3), NOW);
        assert!(
            refused.is_in_front_of(&batch(1, 1), NOW),
            "the old epoch is late, and nothing else"
        );
        refused.refuse(&batch(2, 4), NOW);
        assert!(refused.is_in_front_of(&batch(2, 5), NOW));
    }

    #[test]
    fn numbers_go_on_at_zero() {
        let refused = refused(&[batch(0, i32::MAX)]);
        assert!(refused.is_in_front_of(&batch(0, 0), NOW));
        assert!(!refused.is_in_front_of(&batch(0, i32::MAX - 1), NOW));
    }

    #[test]
    fn who_gave_up_is_forgotten_and_so_are_the_first_of_very_many() {
        let mut refused = refused(&[batch(0, 5)]);
        assert!(!refused.is_in_front_of(&batch(0, 6), NOW.after(REMEMBERED_FOR)));
        for id in 100..=1_100 {
            refused.refuse(&ProducerBatch { producer_id: id, ..batch(0, 0) }, NOW.after(NOW));
        }
        assert_eq!(refused.producers.len(), PRODUCERS_MAX);
        assert!(!refused.is_in_front_of(&batch(0, 6), NOW.after(NOW)));
    }
}

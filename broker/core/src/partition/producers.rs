//! Idempotent producers of one partition: which batch may be appended next, and which is a repeat.
//!
//! [`Producers`] is what the applied log says: equal on all replicas, kept in checkpoints. [`InFlight`]
//! is what the leader has proposed in its term and not applied yet; it starts empty, because a
//! leader takes produce requests only after its no-op, and with it all earlier entries, is applied.
//! A batch is checked against both. The rules are those of Kafka 4.1 (KIP-360): an unknown
//! producer may start anywhere, a new epoch starts at 0, five batches are remembered.
//!
//! Who hands producer ids out, and who waits for a batch in flight, is elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Offset};

/// As many batches as a client may have in flight (`max.in.flight.requests.per.connection`).
pub const BATCHES_REMEMBERED: usize = 5;
/// A producer that appended nothing for so long is forgotten (`producer.id.expiration.ms`).
///
/// Not a setting: replicas would apply a change of it at different entries, and differ.
pub const EXPIRATION_MS: i64 = 86_400_000;
const VERSION: u8 = 1;

/// The producer's fields of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Who.
    pub producer_id: i64,
    /// Which life of it.
    pub epoch: i16,
    /// The sequence number of the first record.
    pub base_sequence: i32,
    /// How many records.
    pub count: i32,
}

/// What the log adds when the batch is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The batch's timestamp, as an answer repeats it for topics with LogAppendTime.
    pub timestamp: i64,
    /// The leader's wall clock when it proposed the batch. It is part of the entry, since producers
    /// expire by it.
    pub append_ms: i64,
}

/// What may be done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Append it.
    Append,
    /// It is in the log already: answer as the first time.
    Duplicate {
        /// Where its first record is.
        base_offset: Offset,
        /// Its timestamp then.
        timestamp: i64,
    },
    /// It is proposed already: answer when that entry is committed.
    DuplicateInFlight {
        /// The entry.
        index: Index,
    },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER: earlier records are missing, or it is too old to be known.
    OutOfOrder,
    /// INVALID_PRODUCER_EPOCH: a later life of the producer has appended.
    InvalidEpoch,
    /// INVALID_RECORD: the fields contradict each other.
    Invalid,
}

/// The producers that the applied log knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Producers {
    /// The last batch applied.
    index: Index,
    /// The latest append time applied.
    newest_ms: i64,
    producers: BTreeMap<i64, Producer>,
    /// The producers by their last append.
    by_append: BTreeSet<(i64, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    append_ms: i64,
    /// Oldest first; never empty.
    batches: VecDeque<Batch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    base_sequence: i32,
    last_sequence: i32,
    base_offset: Offset,
    timestamp: i64,
}

impl Producers {
    /// Whether `batch` may be appended behind the applied log and what is in flight.
    #[must_use]
    pub fn check(&self, batch: &ProducerBatch, in_flight: &InFlight) -> Check {
        let ProducerBatch { producer_id, epoch, base_sequence, count } = *batch;
        if producer_id < 0 || epoch < 0 || base_sequence < 0 || count <= 0 {
            return Check::Invalid;
        }
        let applied = self.producers.get(&producer_id);
        let proposed = in_flight.producers.get(&producer_id);
        let last_proposed = proposed.and_then(VecDeque::back);
        let last_applied =
            applied.and_then(|p| p.batches.back().map(|b| (p.epoch, b.last_sequence)));
        let last = last_proposed.map(|p| (p.epoch, p.last_sequence)).or(last_applied);
        let Some((current, last_sequence)) = last else { return Check::Append };
        if epoch < current {
            return Check::InvalidEpoch;
        }
        if epoch > current {
            return if base_sequence == 0 { Check::Append } else { Check::OutOfOrder };
        }
        let range = (base_sequence, batch.last_sequence());
        let mut proposed = proposed.into_iter().flatten().filter(|p| p.epoch == epoch);
        if let Some(p) = proposed.find(|p| (p.base_sequence, p.last_sequence) == range) {
            return Check::DuplicateInFlight { index: p.index };
        }
        let mut applied = applied.filter(|p| p.epoch == epoch).into_iter().flat_map(|p| &p.batches);
        if let Some(b) = applied.find(|b| (b.base_sequence, b.last_sequence) == range) {
            return Check::Duplicate { base_offset: b.base_offset, timestamp: b.timestamp };
        }
        if base_sequence == next_sequence(last_sequence) {
            Check::Append
        } else {
            Check::OutOfOrder
        }
    }

    /// The entry at `index` is applied. Entries up to the last applied one change nothing, so a log
    /// may be replayed onto a checkpoint.
    pub fn apply(&mut self, index: Index, batch: &ProducerBatch, appended: &Appended) {
        if index <= self.index {
            return;
        }
        self.index = index;
        self.newest_ms = self.newest_ms.max(appended.append_ms);
        // A new leader's clock may be behind: who has just appended is as young as anyone.
        let append_ms = self.newest_ms;
        let id = batch.producer_id;
        let producer = self.producers.entry(id).or_insert_with(|| Producer {
            epoch: batch.epoch,
            append_ms,
            batches: VecDeque::new(),
        });
        self.by_append.remove(&(producer.append_ms, id));
        if producer.epoch != batch.epoch {
            producer.epoch = batch.epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == BATCHES_REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Batch {
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: appended.base_offset,
            timestamp: appended.timestamp,
        });
        producer.append_ms = append_ms;
        self.by_append.insert((append_ms, id));
        self.expire();
    }

    /// The last batch applied: entries up to it need not be replayed.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index
    }

    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Equal bytes on all replicas that applied the same entries:
    /// `version u8 = 1, index, newest_ms, producers (id, epoch, append_ms, batches)`.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        w.u8(VERSION).u64(self.index).i64(self.newest_ms);
        w.list(self.producers.iter(), |w, (id, producer)| {
            let Producer { epoch, append_ms, batches } = producer;
            w.i64(*id).i16(*epoch).i64(*append_ms).list(batches.iter(), |w, batch| {
                let Batch { base_sequence, last_sequence, base_offset, timestamp } = batch;
                w.i32(*base_sequence).i32(*last_sequence).i64(*base_offset).i64(*timestamp);
            });
        });
        w.finish()
    }

    /// What [`Producers::encode`] wrote.
    pub fn decode(buf: Bytes) -> Result<Producers, CodecError> {
        let mut r = Reader::new(buf);
        let version = r.u8("producers version")?;
        if version != VERSION {
            return Err(CodecError::Unknown { what: "producers version", value: version.into() });
        }
        let mut all = Producers { index: r.u64("index")?, ..Producers::default() };
        all.newest_ms = r.i64("append time")?;
        for (id, producer) in r.list("producers", get_producer)? {
            all.by_append.insert((producer.append_ms, id));
            all.producers.insert(id, producer);
        }
        r.end()?;
        Ok(all)
    }

    fn expire(&mut self) {
        let horizon = self.newest_ms.saturating_sub(EXPIRATION_MS);
        while let Some(&(append_ms, id)) = self.by_append.first() {
            if append_ms >= horizon {
                break;
            }
            self.by_append.pop_first();
            self.producers.remove(&id);
        }
    }
}

fn get_producer(r: &mut Reader) -> Result<(i64, Producer), CodecError> {
    let id = r.i64("producer id")?;
    let (epoch, append_ms) = (r.i16("epoch")?, r.i64("append time")?);
    let batches = r.list("batches", |r| {
        Ok(Batch {
            base_sequence: r.i32("sequence")?,
            last_sequence: r.i32("sequence")?,
            base_offset: r.i64("offset")?,
            timestamp: r.i64("timestamp")?,
        })
    })?;
    let batches = VecDeque::from(batches);
    if batches.is_empty() || batches.len() > BATCHES_REMEMBERED {
        let value = batches.len() as u64;
        return Err(CodecError::Unknown { what: "number of batches", value });
    }
    Ok((id, Producer { epoch, append_ms, batches }))
}

/// What the leader proposed in its term and has not applied.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    /// Per producer, oldest first; never empty.
    producers: BTreeMap<i64, VecDeque<Proposed>>,
    /// Whose batch an entry is.
    owners: BTreeMap<Index, i64>,
}

#[derive(Debug, Clone, Copy)]
struct Proposed {
    index: Index,
    epoch: i16,
    base_sequence: i32,
    last_sequence: i32,
}

impl InFlight {
    /// A batch that [`Producers::check`] let pass is proposed at `index`, above all earlier ones.
    pub fn append(&mut self, index: Index, batch: &ProducerBatch) {
        self.owners.insert(index, batch.producer_id);
        self.producers.entry(batch.producer_id).or_default().push_back(Proposed {
            index,
            epoch: batch.epoch,
            base_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
        });
    }

    /// Entries up to `index` are applied, by [`Producers::apply`].
    pub fn applied(&mut self, index: Index) {
        while let Some(entry) = self.owners.first_entry() {
            if *entry.key() > index {
                break;
            }
            let owner = entry.remove();
            if let Some(batches) = self.producers.get_mut(&owner) {
                batches.pop_front();
                if batches.is_empty() {
                    self.producers.remove(&owner);
                }
            }
        }
    }

    /// The leader leads no more, or a new term begins: what is in flight may never be applied.
    pub fn clear(&mut self) {
        self.producers.clear();
        self.owners.clear();
    }

    /// How many batches are in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether nothing is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

impl ProducerBatch {
    /// The sequence number of the last record; numbers go on at 0 after the largest.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + i64::from(self.count) - 1;
        let wrapped = last.rem_euclid(i64::from(i32::MAX) + 1);
        i32::try_from(wrapped).expect("a remainder by 2^31 fits into 31 bits")
    }
}

fn next_sequence(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
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
        check(&Producers::default(), batch(0, 0, 1), Check::Append);
        check(&Producers::default(), batch(3, 41, 1), Check::Append);
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
            let expected =
                Check::Duplicate { base_offset: i64::from(i), timestamp: T0 + i64::from(i) };
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
        flying.append(10, &batch(0, 1, 2));
        flying.append(11, &batch(0, 3, 1));
        assert_eq!(producers.check(&batch(0, 4, 1), &flying), Check::Append);
        assert_eq!(producers.check(&batch(0, 1, 1), &flying), Check::OutOfOrder);
        let repeat = Check::DuplicateInFlight { index: 10 };
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
        flying.append(10, &batch(2, 0, 1));
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
}

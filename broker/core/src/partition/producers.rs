//! Idempotent producers of one partition: which batch may be appended next, and which is a repeat.
//!
//! [`Producers`] is what the applied log says: equal on all replicas, kept in checkpoints. [`InFlight`]
//! is what the leader has proposed in its term and not applied yet; it starts empty, because a
//! leader takes produce requests only after its no-op, and with it all earlier entries, is applied.
//! A batch is checked against both. The rules are those of Kafka 4.1 (KIP-360): an unknown
//! producer may start anywhere, a new epoch starts at 0, five batches are remembered.
//!
//! Who hands producer ids out, and who waits for a batch in flight, is elsewhere.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{Index, Offset};
use crate::mutant::{self, Mutant};

/// As many batches as a client may have in flight (`max.in.flight.requests.per.connection`).
pub const BATCHES_REMEMBERED: usize = 5;
/// A producer that appended nothing for so long is forgotten (`producer.id.expiration.ms`).
///
/// Not a setting: replicas would apply a change of it at different entries, and differ.
pub const EXPIRATION_MS: i64 = 86_400_000;
/// How many sequence numbers there are; they go on at 0 after the largest.
pub(super) const SEQUENCE_NUMBERS: i64 = 1 << 31;
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
    /// Append it: it is what comes next.
    Append,
    /// Append it: nothing is known of its producer, so nothing says that anything is missing.
    AppendFirst,
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
        /// Where its first record will be.
        base_offset: Offset,
        /// Its timestamp.
        timestamp: i64,
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
        let last = last_proposed.map(|p| (p.batch.epoch, p.batch.last_sequence())).or(last_applied);
        let Some((current, last_sequence)) = last else { return Check::AppendFirst };
        if epoch < current {
            return Check::InvalidEpoch;
        }
        if epoch > current {
            return if base_sequence == 0 { Check::Append } else { Check::OutOfOrder };
        }
        let range = (base_sequence, batch.last_sequence());
        if let Some(p) = proposed.into_iter().flatten().find(|p| p.batch == *batch) {
            let Proposed { index, base_offset, timestamp, .. } = *p;
            return Check::DuplicateInFlight { index, base_offset, timestamp };
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
    batch: ProducerBatch,
    /// Kept here, as the log gets the entry only at the end of the round.
    base_offset: Offset,
    timestamp: i64,
}

impl InFlight {
    /// A batch that [`Producers::check`] let pass is proposed at `index`, above all earlier ones.
    pub fn append(&mut self, index: Index, batch: &ProducerBatch, appended: &Appended) {
        self.owners.insert(index, batch.producer_id);
        self.producers.entry(batch.producer_id).or_default().push_back(Proposed {
            index,
            batch: *batch,
            base_offset: appended.base_offset,
            timestamp: appended.timestamp,
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

    /// The oldest batch of each producer.
    pub fn oldest(&self) -> impl Iterator<Item = ProducerBatch> + '_ {
        self.producers.values().filter_map(|batches| Some(batches.front()?.batch))
    }

    /// The leader leads no more, or a new term begins: what is in flight may never be applied.
    pub fn clear(&mut self) {
        if mutant::is(Mutant::KeepInFlight) {
            return;
        }
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
        let wrapped = last.rem_euclid(SEQUENCE_NUMBERS);
        i32::try_from(wrapped).expect("a remainder by 2^31 fits into 31 bits")
    }
}

fn next_sequence(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}

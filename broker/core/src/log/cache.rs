//! Recently flushed entries of all groups of a shard, so that tailing readers and followers find
//! them in memory. First in, first out: what was read again gains nothing by it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::ids::Index;
use crate::log::row::Row;

/// One life of one group's log, in the cache's keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slot(u64);

/// What the groups of a shard share: the cache, and sums over all of them.
#[derive(Debug, Clone)]
pub struct Shared {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Mutex<Cache>,
    flushable: AtomicU64,
    reclaimable: AtomicU64,
}

#[derive(Debug, Default)]
struct Cache {
    bytes_max: u64,
    bytes: u64,
    next_slot: u64,
    order: VecDeque<(Slot, Index)>,
    entries: BTreeMap<(Slot, Index), (Row, Bytes)>,
}

/// What an entry costs beside its bytes.
const ENTRY_BYTES: u64 = 160;

impl Shared {
    /// An empty cache of this size.
    #[must_use]
    pub fn new(bytes_max: u64) -> Shared {
        let cache = Mutex::new(Cache { bytes_max, ..Cache::default() });
        let (flushable, reclaimable) = (AtomicU64::new(0), AtomicU64::new(0));
        Shared { inner: Arc::new(Inner { cache, flushable, reclaimable }) }
    }

    /// Keys for a log that starts anew.
    #[must_use]
    pub fn slot(&self) -> Slot {
        let mut cache = self.cache();
        cache.next_slot += 1;
        Slot(cache.next_slot)
    }

    /// Keeps an entry, and drops the oldest ones beyond the limit.
    pub fn put(&self, slot: Slot, row: Row, bytes: Bytes) {
        let mut cache = self.cache();
        cache.bytes += ENTRY_BYTES + u64::from(row.len);
        cache.order.push_back((slot, row.index));
        cache.entries.insert((slot, row.index), (row, bytes));
        while cache.bytes > cache.bytes_max {
            let Some(oldest) = cache.order.pop_front() else { break };
            if let Some((row, _)) = cache.entries.remove(&oldest) {
                cache.bytes -= ENTRY_BYTES + u64::from(row.len);
            }
        }
    }

    /// An entry, if it is still there.
    #[must_use]
    pub fn get(&self, slot: Slot, index: Index) -> Option<(Row, Bytes)> {
        self.cache().entries.get(&(slot, index)).cloned()
    }

    /// How many bytes are held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.cache().bytes
    }

    /// Applied bytes that are not in segments yet.
    #[must_use]
    pub fn flushable(&self) -> u64 {
        self.inner.flushable.load(Ordering::Relaxed)
    }

    /// Bytes in segments that a checkpoint would drop.
    #[must_use]
    pub fn reclaimable(&self) -> u64 {
        self.inner.reclaimable.load(Ordering::Relaxed)
    }

    pub(super) fn count_flushable(&self, before: u64, after: u64) {
        replace(&self.inner.flushable, before, after);
    }

    pub(super) fn count_reclaimable(&self, before: u64, after: u64) {
        replace(&self.inner.reclaimable, before, after);
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A panic elsewhere leaves the cache whole: each change is finished before anything can fail.
        self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replace(sum: &AtomicU64, before: u64, after: u64) {
    sum.fetch_add(after, Ordering::Relaxed);
    sum.fetch_sub(before, Ordering::Relaxed);
}

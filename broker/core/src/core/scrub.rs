//! Damage that nobody reads: what lies in segments is read now and then, slowly, and checked.
//!
//! A replica that is found damaged serves on, for it still has its vote and most of its records, and
//! a group that lost two of them at once could not rebuild either. It is named, and the cluster gives
//! its place to a new life of it when the others can do without (`reconcile`). The replica of
//! `__meta` is not replaced: its state is in memory, and is written anew.

use std::ops::Bound;

use super::config::TICK;
use super::{Core, with_causes};
use crate::ids::{Index, Micros, PartitionId, PeerId};
use crate::log::disk::Disk;

/// While a sync is under way the disk is left alone, but not for longer than so many ticks.
const PUT_OFF_MAX: u32 = 9;
/// Replicas that are looked at in one tick; most have little to read.
const REPLICAS_A_TICK_MAX: usize = 64;
const TICKS_A_SECOND: u64 = 1_000_000 / TICK.0;

/// Where the look at all segments is.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    /// The replica and the entry to go on with; none between two looks.
    at: Option<(PartitionId, Index)>,
    /// When the last look began.
    began: Option<Micros>,
    /// What can be read now; below zero, what was read too much.
    credit: i64,
    put_off: u32,
}

/// A replica in service whose files are damaged.
#[derive(Debug)]
pub(super) struct Damaged {
    pub(super) peer: PeerId,
    pub(super) reason: String,
}

impl<D: Disk> Core<D> {
    pub(super) fn tick_scrub(&mut self) {
        let a_tick = (self.config.limits.scrub_bytes_per_second / TICKS_A_SECOND).cast_signed();
        if a_tick == 0 {
            return;
        }
        if self.syncs.under_way() && self.scrub.put_off < PUT_OFF_MAX {
            self.scrub.put_off += 1;
            return;
        }
        self.scrub.put_off = 0;
        self.scrub.credit = self.scrub.credit.saturating_add(a_tick).min(a_tick);
        for _ in 0..REPLICAS_A_TICK_MAX {
            if self.scrub.credit <= 0 {
                return;
            }
            let Some((id, from)) = self.next_to_scrub() else {
                self.scrub.at = None;
                return;
            };
            self.scrub_replica(id, from);
        }
    }

    fn next_to_scrub(&mut self) -> Option<(PartitionId, Index)> {
        let after = match self.scrub.at {
            Some((id, from)) if from < Index::MAX && self.replicas.contains_key(&id) => {
                return Some((id, from));
            }
            Some((id, _)) => Bound::Excluded(id),
            None => {
                let interval = self.config.limits.scrub_interval;
                let now = self.now.mono;
                if self.scrub.began.is_some_and(|began| now.since(began) < interval) {
                    return None;
                }
                self.scrub.began = Some(now);
                Bound::Unbounded
            }
        };
        let (id, _) = self.replicas.range((after, Bound::Unbounded)).next()?;
        Some((*id, 0))
    }

    fn scrub_replica(&mut self, id: PartitionId, from: Index) {
        let Some(replica) = self.replicas.get(&id) else { return };
        let (log, peer) = (replica.group.log(), replica.group.peer());
        let next = match log.scrub(from, self.scrub.credit.unsigned_abs()) {
            Ok(scrubbed) => {
                self.counters.scrubbed_bytes += scrubbed.bytes;
                let read = i64::try_from(scrubbed.bytes).unwrap_or(i64::MAX);
                self.scrub.credit = self.scrub.credit.saturating_sub(read);
                scrubbed.next.unwrap_or(Index::MAX)
            }
            Err(error) => {
                self.found_damaged(id, peer, with_causes(&error));
                Index::MAX
            }
        };
        self.scrub.at = Some((id, next));
    }

    fn found_damaged(&mut self, id: PartitionId, peer: PeerId, reason: String) {
        tracing::error!(group = %id, %peer, %reason, "a replica is damaged where nobody has read it");
        if id == PartitionId::META {
            return self.write_meta_anew();
        }
        self.damaged.insert(id, Damaged { peer, reason });
    }

    /// The image in memory is whole. As the state that a new segment begins with it takes the place
    /// of all that led to it, and the next checkpoint lets that go.
    fn write_meta_anew(&mut self) {
        let Some(replica) = self.replicas.get_mut(&PartitionId::META) else { return };
        let log = replica.group.log_mut();
        log.roll(self.meta.encode());
        log.drop_before(log.applied_index() + 1);
        self.wal.want_checkpoint();
        tracing::warn!("the state of __meta is written anew in the damaged one's place");
    }
}

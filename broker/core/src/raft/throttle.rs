//! How fast a broker sends to replicas that are catching up: a budget of bytes, refilled as time
//! passes. Only learners are slowed; what a quorum waits for never is.

use raft::eraftpb::{Message, MessageType};

use super::group::Group;
use crate::ids::{Micros, PartitionId};
use crate::log::disk::Disk;
use crate::mutant::{self, Mutant};

/// What may be sent at once after a pause, in the time that it would take. More than the pause after
/// a refusal, which ends with a heartbeat's answer, or that pause would cost throughput.
const SAVED_MAX: Micros = Micros::from_millis(1_000);

/// A budget of bytes. Without a rate there is no end to it.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Bytes a second.
    rate: Option<u64>,
    /// Bytes that may be sent; below zero when the last message was larger than what was left.
    left: i64,
    refilled: Micros,
}

impl Throttle {
    /// Time has passed. `rate` is in bytes a second.
    pub fn refill(&mut self, now: Micros, rate: Option<u64>) {
        let passed = now.since(std::mem::replace(&mut self.refilled, now)).min(SAVED_MAX);
        self.rate = rate;
        let Some(rate) = rate else { return self.left = 0 };
        let bytes = |time: Micros| {
            i64::try_from(u128::from(rate) * u128::from(time.0) / 1_000_000).unwrap_or(i64::MAX)
        };
        self.left = self.left.saturating_add(bytes(passed)).min(bytes(SAVED_MAX).max(1));
    }

    /// Whether a message of so many bytes may be sent now. Once one may not, none may until the next
    /// refill: of what goes to one peer, nothing is left out between two that are sent.
    fn take(&mut self, bytes: usize) -> bool {
        if self.rate.is_none() || mutant::is(Mutant::IgnoreCatchUpRate) {
            return true;
        }
        let may = self.left > 0;
        if may {
            self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        may
    }
}

impl<D: Disk> Group<D> {
    /// Whether a message may be sent now, with payloads of so many bytes. If not, raft takes its
    /// entries for not sent, and goes on from there when the peer answers a heartbeat.
    pub(super) fn may_send(&mut self, message: &Message, bytes: usize, by: &mut Throttle) -> bool {
        let catches_up = message.get_msg_type() == MessageType::MsgAppend
            && !message.entries.is_empty()
            && self.id() != PartitionId::META
            && self.raw.raft.prs().conf().learners().contains(&message.to);
        if !catches_up || by.take(bytes) {
            return true;
        }
        if let Some(progress) = self.raw.raft.mut_prs().get_mut(message.to) {
            progress.become_probe();
            progress.pause();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_budget_grows_with_time_and_is_never_saved_for_long() {
        let mut budget = Throttle::default();
        assert!(budget.take(usize::MAX), "no rate, no end");
        budget.refill(Micros(SECOND), Some(1_000));
        assert!(budget.take(1_500), "more than is left, once");
        assert!(!budget.take(1));
        budget.refill(Micros(SECOND + 400_000), Some(1_000));
        assert!(!budget.take(1), "what was too much is owed");
        budget.refill(Micros(SECOND + 600_000), Some(1_000));
        assert!(budget.take(50) && budget.take(50) && !budget.take(1));
        budget.refill(Micros(60 * SECOND), Some(1_000));
        assert!(budget.take(1_000) && !budget.take(1), "a second's worth, however long it was");
        budget.refill(Micros(60 * SECOND), None);
        assert!(budget.take(usize::MAX));
    }

    #[test]
    fn the_smallest_and_the_largest_rate() {
        let mut budget = Throttle::default();
        budget.refill(Micros(SECOND), Some(1));
        assert!(budget.take(10) && !budget.take(1));
        budget.refill(Micros(u64::MAX), Some(u64::MAX));
        assert!(budget.take(usize::MAX) && !budget.take(1));
        budget.refill(Micros(u64::MAX), Some(u64::MAX));
        assert!(!budget.take(1), "no time has passed");
    }
}

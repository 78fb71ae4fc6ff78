//! Election timeouts from a seed. raft-rs draws them from the thread's randomness, which neither a
//! simulator nor a person can repeat; so they are overwritten after every call into a `RawNode`.

use crate::ids::{BrokerId, PartitionId, Term};

/// The base tick is 100 ms: elections start 1.0 to 1.5 s after the last word of a leader. The lease
/// (`ELECTION_TICK`) ends before the first candidate asks, or its question would be ignored.
pub(super) const ELECTION_TICK: usize = 8;
pub(super) const ELECTION_TICK_MIN: usize = 10;
pub(crate) const ELECTION_TICK_MAX: usize = 15;
pub(super) const HEARTBEAT_TICK: usize = 3;

/// The timeout in ticks of the `attempt`th campaign of `node` in `group` at `term`.
pub(super) fn election_timeout(
    seed: u64,
    node: BrokerId,
    group: PartitionId,
    term: Term,
    attempt: u32,
) -> usize {
    let (high, low) = group.topic.as_u64_pair();
    let words =
        [u64::from(node.0), high, low, u64::from(group.partition), term, u64::from(attempt)];
    let hash = words.iter().fold(seed, |hash, word| mix(hash ^ word));
    let spread = (ELECTION_TICK_MAX - ELECTION_TICK_MIN) as u64;
    ELECTION_TICK_MIN + (hash % spread) as usize
}

/// The finalizer of SplitMix64: every bit of the input changes about half of the output's.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_repeat_for_a_seed_and_differ_between_nodes_and_attempts() {
        let of = |node, attempt| {
            (0..64)
                .map(|term| election_timeout(7, BrokerId(node), PartitionId::META, term, attempt))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(1, 0), of(1, 0));
        assert_ne!(of(1, 0), of(2, 0));
        assert_ne!(of(1, 0), of(1, 1));
        assert!(of(3, 0).iter().all(|t| (ELECTION_TICK_MIN..ELECTION_TICK_MAX).contains(t)));
    }
}

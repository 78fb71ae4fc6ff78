//! Chance, from one number. Each concern draws from a stream of its own, so that one more draw by
//! the network does not change what the disks do.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of chance is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Salt {
    /// The shape of the run.
    Options,
    /// When a node gets round to its inputs.
    Schedule,
    /// Delays and breaks of streams.
    Net,
    /// Syncs, and what survives a loss of power.
    Disk,
    /// Clients.
    Workload,
    /// What goes wrong, and when.
    Faults,
    /// The operator's own pace and deaths.
    Operator,
    /// Which clients there are.
    Clients,
    /// New revisions of the brokers, and what else came later.
    Rolls,
    /// The platform under the operator.
    Platform,
    /// Orders on their way to brokers.
    Orders,
    /// What people and former operators do at the wrong moment.
    Hands,
    /// What goes wrong at the worst moment.
    Aims,
}

/// One stream of chance.
#[derive(Debug)]
pub(crate) struct Prng(ChaCha8Rng);

impl Prng {
    /// The stream of `seed` for `salt`.
    #[must_use]
    pub(crate) fn new(seed: u64, salt: Salt) -> Prng {
        let salt = match salt {
            Salt::Options => 1,
            Salt::Schedule => 2,
            Salt::Net => 3,
            Salt::Disk => 4,
            Salt::Workload => 5,
            Salt::Faults => 6,
            Salt::Operator => 7,
            Salt::Clients => 8,
            Salt::Rolls => 9,
            Salt::Platform => 10,
            Salt::Orders => 11,
            Salt::Hands => 12,
            Salt::Aims => 13,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(salt);
        Prng(rng)
    }

    /// Any number.
    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low + self.word() % span.max(1)
    }

    /// Whether something with this many chances in a million happens.
    pub(crate) fn chance(&mut self, per_million: u64) -> bool {
        per_million > 0 && self.word() % 1_000_000 < per_million
    }

    /// One of `items`; none if there are none.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.word() % (items.len() as u64).max(1);
        items.get(usize::try_from(at).unwrap_or(0))
    }

    /// Mostly `low`, sometimes much more, up to `high`: how long real things take.
    pub(crate) fn skewed(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low);
        let shift = self.word() % 6;
        low + self.range(0, span >> shift)
    }
}

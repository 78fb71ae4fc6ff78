//! Which clients a run has, beside its producers and consumers, and how much less than everything
//! they ask for. Drawn from the seed, by a stream of chance of its own.

use crate::prng::{Prng, Salt};

/// Which clients a run has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// Some producers are content with acks=1.
    pub acks_one: bool,
    /// Some idempotent producers have several batches under way.
    pub windows: bool,
    /// The first topic answers acks=all before the sync.
    pub relaxed: bool,
    /// Members of consumer groups.
    pub members: u32,
    /// Groups that they are spread over.
    pub groups: u32,
    /// Clients that make and delete topics all the time.
    pub churners: u32,
    /// Whether somebody changes configs.
    pub tunes: bool,
    /// Whether somebody deletes records.
    pub deletes_records: bool,
    /// Whether somebody sets how fast replicas may catch up, without the operator.
    pub limits: bool,
}

impl Workload {
    /// The clients of the run of `seed`.
    #[must_use]
    pub(crate) fn swarm(seed: u64) -> Workload {
        let rng = &mut Prng::new(seed, Salt::Clients);
        let count = |n: u64| u32::try_from(n).unwrap_or(0);
        Workload {
            acks_one: rng.chance(500_000),
            windows: rng.chance(600_000),
            relaxed: rng.chance(250_000),
            members: count(*rng.pick(&[0, 0, 2, 3, 4]).unwrap_or(&0)),
            groups: count(rng.range(1, 2)),
            churners: count(rng.range(0, 2).saturating_sub(1)),
            tunes: rng.chance(400_000),
            deletes_records: rng.chance(300_000),
            limits: rng.chance(250_000),
        }
    }
}

//! Mistakes that can be put into the plan on purpose, so that the simulator can show that it would
//! notice them. They are compiled in with the feature `mutants` only, which no operator is built
//! with; without it [`is`] is `false`. `chronik-core` has the broker's.

/// A mistake, under the rule that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// A learner catches up before it votes.
    SkipCatchUp,
    /// No voter leaves before its successor votes.
    RemoveFirst,
    /// A broker is forgotten once it holds nothing.
    ForgetMember,
    /// A broker is stopped once it is forgotten.
    StopMember,
    /// A cluster is formed when every broker that exists says that there is none.
    InitializeUnasked,
    /// A broker is restarted only while all others serve.
    HurryRoll,
    /// A volume is deleted whoever stopped its broker.
    ForgetVolume,
    /// A rate that differs is told, whatever there was.
    TellRateOnce,
}

impl Mutant {
    /// All of them.
    pub const ALL: &'static [Mutant] = &[
        Mutant::SkipCatchUp,
        Mutant::RemoveFirst,
        Mutant::ForgetMember,
        Mutant::StopMember,
        Mutant::InitializeUnasked,
        Mutant::HurryRoll,
        Mutant::ForgetVolume,
        Mutant::TellRateOnce,
    ];

    /// Its name, for people and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mutant::SkipCatchUp => "skip-catch-up",
            Mutant::RemoveFirst => "remove-first",
            Mutant::ForgetMember => "forget-member",
            Mutant::StopMember => "stop-member",
            Mutant::InitializeUnasked => "initialize-unasked",
            Mutant::HurryRoll => "hurry-roll",
            Mutant::ForgetVolume => "forget-volume",
            Mutant::TellRateOnce => "tell-rate-once",
        }
    }

    /// The rule that it breaks.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Mutant::SkipCatchUp => "a learner catches up before it votes",
            Mutant::RemoveFirst => "no voter leaves before its successor votes",
            Mutant::ForgetMember => "a broker is forgotten once it holds nothing",
            Mutant::StopMember => "a broker is stopped once it is forgotten",
            Mutant::InitializeUnasked => "a cluster is formed when all say that there is none",
            Mutant::HurryRoll => "a broker is restarted only while all others serve",
            Mutant::ForgetVolume => "a volume is deleted whoever stopped its broker",
            Mutant::TellRateOnce => "a rate that differs is told, whatever there was",
        }
    }
}

#[cfg(feature = "mutants")]
std::thread_local! {
    /// The mistake of this thread: a simulated cluster lives in one.
    static PUT_IN: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether `mutant` is put in.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    PUT_IN.get() == Some(mutant)
}

/// Whether `mutant` is put in: never, here.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}

/// Puts a mistake in, for all that runs on this thread, or takes the last one out.
#[cfg(feature = "mutants")]
pub fn put_in(mutant: Option<Mutant>) {
    PUT_IN.set(mutant);
}

/// There are no mistakes here that could be put in.
#[cfg(not(feature = "mutants"))]
pub const fn put_in(_: Option<Mutant>) {}

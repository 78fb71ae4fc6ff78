//! Mistakes that can be put into this crate on purpose, one at a time, so that the simulator can
//! show that it would notice them. They are compiled in with the feature `mutants` only, which no
//! broker is built with; without it [`is`] is `false` and its callers cost nothing.
//!
//! Each mistake is one line where the rule is kept. What notices it is the simulator's.

macro_rules! mutants {
    ($($variant:ident, $name:literal, $rule:literal;)+) => {
        /// A mistake, under the rule that it breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(#[doc = $rule] $variant,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Mutant] = &[$(Mutant::$variant,)+];

            /// Its name, for people and files.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $name,)+
                }
            }

            /// The rule that it breaks.
            #[must_use]
            pub fn rule(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $rule,)+
                }
            }
        }
    };
}

mutants! {
    // The Ready loop and the sync.
    SayBeforeSync, "say-before-sync", "what waits for a sync is said after it";
    CountUnsynced, "count-unsynced", "raft is told of entries as persisted after their sync";
    SpeakInUnsyncedTerm, "speak-in-unsynced-term", "a term is spoken in once it is synced";
    SyncCoversLater, "sync-covers-later", "a sync covers what was written before it began";
    TrustPageCache, "trust-page-cache", "what was read back at a start is synced before it counts";
    VoteWithoutSync, "vote-without-sync", "a vote is synced";
    // Raft.
    ForgetVote, "forget-vote", "a vote is remembered over restarts";
    VoteForAnyone, "vote-for-anyone", "a vote goes to a log that is not shorter only";
    CommitOldTerm, "commit-old-term", "a leader counts copies of entries of its own term only";
    // The log.
    CheckpointForgetsVote, "checkpoint-forgets-vote", "a checkpoint has the vote of an idle group";
    RecycleBeforeCheckpoint, "recycle-before-checkpoint", "log files are used again after the checkpoint is synced";
    CheckpointSkipsSegments, "checkpoint-skips-segments", "a checkpoint names synced segments only";
    ForgetDirectorySync, "forget-directory-sync", "a new file's directory is synced with it";
    ClaimSynced, "claim-synced", "a batch says what was synced when it was written";
    FlushUncommitted, "flush-uncommitted", "segments get committed entries only";
    ReplayKeepsReplaced, "replay-keeps-replaced", "recovery lets the later entry win";
    // Identity and membership.
    ReusePeerId, "reuse-peer-id", "a lost disk comes back as a new peer";
    ForgetTombstone, "forget-tombstone", "a destroyed replica never comes back";
    TakeOthersMessages, "take-others-messages", "a message for another life is not stepped";
    ReapplyChanges, "reapply-changes", "a membership change is applied once";
    SnapshotForgetsConfIndex, "snapshot-forgets-conf-index", "a snapshot says which change made its members";
    SnapshotForgetsLearners, "snapshot-forgets-learners", "a snapshot has the members of now";
    SkipJoint, "skip-joint", "voters are exchanged through a joint state";
    SkipCatchUp, "skip-catch-up", "a learner catches up before it votes";
    ForgetLostSnapshot, "forget-lost-snapshot", "a lost snapshot is reported and sent again";
    ForgetMember, "forget-member", "a broker is forgotten once it holds nothing";
    IgnoreCatchUpRate, "ignore-catch-up-rate", "who catches up gets no more than the rate";
    ImageForgetsProducerIds, "image-forgets-producer-ids", "a snapshot of __meta is all of it";
    // Records.
    AnswerOnAppend, "answer-on-append", "acks=all waits for a quorum";
    ServeUncommitted, "serve-uncommitted", "consumers read committed records";
    FetchOffByOne, "fetch-off-by-one", "a fetch begins at the batch that has the offset";
    FetchBeforeNoop, "fetch-before-noop", "a leader serves reads once it knows what is committed";
    ProduceBeforeNoop, "produce-before-noop", "a leader takes records once it has applied its term's first entry";
    ForgetInFlight, "forget-in-flight", "sequences are checked against what is in flight";
    ForgetRefused, "forget-refused", "what is behind a refused batch is refused until that one comes again";
    KeepInFlight, "keep-in-flight", "what was in flight ends with its term";
    ForgetProducers, "forget-producers", "a segment begins with the producers so far";
    OffsetsFromCounter, "offsets-from-counter", "the next offset comes from the log";
}

/// Whether mistakes are compiled in.
pub const COMPILED: bool = cfg!(feature = "mutants");

#[cfg(feature = "mutants")]
std::thread_local! {
    /// The mistake of this thread: a simulated cluster lives in one.
    static PUT_IN: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether `mutant` is put in.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is(mutant: Mutant) -> bool {
    PUT_IN.get() == Some(mutant)
}

/// Whether `mutant` is put in: never, here.
#[cfg(not(feature = "mutants"))]
#[must_use]
#[inline(always)]
pub const fn is(_: Mutant) -> bool {
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

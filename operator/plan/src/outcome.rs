//! What planning comes to: steps, what is waited for, what is refused. Rendering for status and for
//! `chronik-operator plan` is their `Display`.

use std::fmt;

use crate::observed::BrokerId;
use crate::step::Step;

/// The result of one pass of planning. Converged: all of it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do now, in order.
    pub steps: Vec<Step>,
    /// What the next steps wait for.
    pub waiting: Vec<Wait>,
    /// What is not done, and why not.
    pub refused: Vec<Refusal>,
    /// What all of this is for.
    pub operation: Option<Operation>,
    /// Any one broker could stop now without harm: others may take one down (a drained node).
    pub spare: bool,
}

impl Plan {
    /// All that it waits for is time that the manifest asks to let pass.
    #[must_use]
    pub fn only_settles(&self) -> bool {
        let settles = |wait: &Wait| matches!(wait, Wait::Settle { .. });
        self.steps.is_empty() && !self.waiting.is_empty() && self.waiting.iter().all(settles)
    }

    /// Nothing to do, nothing to wait for, nothing refused.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty() && self.waiting.is_empty() && self.refused.is_empty()
    }
}

/// A wish that is not carried out. The user's manifest is never rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field, or the thing seen, that asks for it.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Why not, with numbers.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.field, self.value, self.reason)
    }
}

/// What a cluster is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The first brokers form the cluster.
    Form,
    /// A broker joins.
    Add(BrokerId),
    /// A broker leaves.
    Remove(BrokerId),
    /// A broker that lost its disk takes its old place.
    Replace(BrokerId),
    /// Replicas move to their targets.
    Move,
    /// Brokers are restarted, one after the other, as what the manifest asks for now.
    Roll {
        /// Brokers that have been.
        done: u32,
        /// All of them.
        of: u32,
        /// The manifest says to go no further.
        paused: bool,
    },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Form => f.write_str("forming the cluster"),
            Operation::Add(id) => write!(f, "adding broker {id}"),
            Operation::Remove(id) => write!(f, "removing broker {id}"),
            Operation::Replace(id) => write!(f, "replacing the lost disk of broker {id}"),
            Operation::Move => f.write_str("moving replicas"),
            Operation::Roll { done, of, paused } => {
                let paused = if *paused { " (paused)" } else { "" };
                write!(f, "rolling change{paused}: {done} of {of} brokers are up to date")
            }
        }
    }
}

/// What the next steps wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant says what its numbers mean")]
pub enum Wait {
    /// Brokers that run, or should, and do not answer yet.
    Answer { brokers: Vec<BrokerId> },
    /// Brokers that answer and are not registered yet.
    Registration { brokers: Vec<BrokerId> },
    /// No answering broker leads `__meta`; `missing` of the `members` do not answer.
    MetaLeader { members: u32, missing: Vec<BrokerId> },
    /// A replica of a group is not near its leader yet.
    CatchUp { group: String, broker: BrokerId, percent: u32 },
    /// A replica cannot be made, or take over, while its broker is down.
    BrokerDown { group: String, broker: BrokerId },
    /// Groups that are not where they should be yet, and how many of them are moving.
    Moves { off_target: u32, moving: u32 },
    /// Replicas that a leaving broker still holds.
    Draining { broker: BrokerId, replicas: u32 },
    /// Brokers that would remain are down, so none is taken away now.
    Remaining { down: Vec<BrokerId>, of: u32 },
    /// A broker is not restarted yet.
    Roll { broker: BrokerId, why: String },
    /// A broker is not restarted yet, because the manifest wants others to have been ready for longer.
    Settle { broker: BrokerId, other: BrokerId, seconds: u32 },
    /// The volume of a broker is not given up yet.
    Replace { broker: BrokerId, why: String },
    /// A broker, or the cluster, has no address for clients outside the platform yet.
    Address { of: String },
    /// A step was held back by a safety rule.
    Held { rule: &'static str, step: String, why: String },
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Answer { brokers } => write!(f, "broker {} to answer", list(brokers)),
            Wait::Registration { brokers } => write!(f, "broker {} to register", list(brokers)),
            Wait::MetaLeader { members, missing } if missing.is_empty() => {
                write!(f, "the {members} brokers to elect a leader of __meta")
            }
            Wait::MetaLeader { members, missing } => write!(
                f,
                "a leader of __meta: {} of {members} brokers answer, broker {} does not",
                *members as usize - missing.len().min(*members as usize),
                list(missing)
            ),
            Wait::CatchUp { group, broker, percent } => {
                write!(f, "broker {broker} to catch up in {group} ({percent} %)")
            }
            Wait::BrokerDown { group, broker } => {
                write!(f, "broker {broker}, which is down and is needed in {group}")
            }
            Wait::Moves { off_target, moving } => {
                write!(f, "{off_target} groups to reach their target, {moving} of them moving")
            }
            Wait::Draining { broker, replicas } => {
                write!(f, "{replicas} replicas to leave broker {broker}")
            }
            Wait::Remaining { down, of } => {
                write!(f, "broker {} to be up: it is one of the {of} that would remain", list(down))
            }
            Wait::Roll { broker, why } => write!(f, "restarting broker {broker}: {why}"),
            Wait::Settle { broker, other, seconds } => write!(
                f,
                "restarting broker {broker}: broker {other} has not been ready for {seconds} s yet"
            ),
            Wait::Replace { broker, why } => {
                write!(f, "giving up the volume of broker {broker}: {why}")
            }
            Wait::Address { of } => write!(f, "an address of {of}"),
            Wait::Held { rule, step, why } => write!(f, "{why} (rule {rule} holds back: {step})"),
        }
    }
}

/// Ten ids and a count.
pub(crate) fn list(ids: &[BrokerId]) -> String {
    let mut text = ids.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if ids.len() > 10 {
        text.push_str(&format!(" and {} more", ids.len() - 10));
    }
    text
}

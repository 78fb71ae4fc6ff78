//! One `ChronikTopic`: what is wanted and what is seen in; steps, what is waited for, or refusals
//! out. As `crate::plan` it remembers nothing, and a pass that ends after any step costs only time.
//!
//! Whose a topic is can be read off the topic itself: the id of one that was made for a
//! `ChronikTopic` begins with the first half of that object's uid ([`is_made_for`]). So neither a
//! lost answer nor a lost status makes it a stranger. What the brokers refuse (an invalid config,
//! more replicas than brokers) is not judged here a second time; their words are passed on.
//!
//! ```text
//!            absent, not deleted                             present and ours
//!  [absent] --------------------> Hold?, Claim?, Create --> Grow?, Configure?   (refused: shrinking,
//!  present, another's, no adopt --> refused                                      other replication)
//!  deleted: Delete? (ours, policy Delete, the cluster stays), then Release
//! ```

mod adoption;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::outcome::Refusal;

/// What becomes of the topic when its `ChronikTopic` is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicPolicy {
    /// It stays.
    Retain,
    /// It goes, with its records.
    Delete,
}

/// What one `ChronikTopic` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicWanted {
    /// The topic's name.
    pub name: String,
    /// The object's uid.
    pub owner: String,
    /// Partitions; the cluster's own default for a new topic if none are named.
    pub partitions: Option<u32>,
    /// Replicas of each partition; the same.
    pub replicas: Option<u32>,
    /// Configs.
    pub configs: BTreeMap<String, String>,
    /// What becomes of it in the end.
    pub policy: TopicPolicy,
    /// A topic that was made by somebody else is taken over.
    pub adopt: bool,
    /// The object is being deleted.
    pub is_deleted: bool,
    /// The object has our finalizer.
    pub is_held: bool,
    /// Configs that were set, or may have been: they go back to their default when they are not
    /// asked for any more.
    pub claimed: BTreeSet<String>,
    /// An older object that asks for the same topic.
    pub older: Option<String>,
}

/// The topic as the brokers have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicSeen {
    /// Its id.
    pub id: String,
    /// Its partitions.
    pub partitions: u32,
    /// Replicas of each partition.
    pub replicas: u32,
    /// Configs that are set on it.
    pub configs: BTreeMap<String, String>,
    /// It is the cluster's own.
    pub is_internal: bool,
}

/// What was seen of the cluster in this pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterSeen {
    /// There is none, or it is on its way out, alone or with its namespace: nothing is left to delete.
    Gone(String),
    /// It cannot be asked, or must not be changed, now; why.
    Silent(String),
    /// It answers: the topic, if there is one.
    Answers(Option<TopicSeen>),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant says what its fields mean")]
pub enum TopicStep {
    /// Put our finalizer on the object.
    Hold,
    /// Take it off.
    Release,
    /// Write down which configs are, or are about to be, set by this object.
    Claim(BTreeSet<String>),
    /// Make the topic.
    Create { partitions: Option<u32>, replicas: Option<u32>, configs: BTreeMap<String, String> },
    /// Give this topic more partitions.
    Grow { id: String, from: u32, to: u32 },
    /// Set configs of this topic, or put them back to their default.
    Configure { id: String, changes: BTreeMap<String, Option<String>> },
    /// Delete this topic.
    Delete { id: String },
}

impl TopicStep {
    /// One word for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            TopicStep::Hold => "TopicHold",
            TopicStep::Release => "TopicRelease",
            TopicStep::Claim(_) => "TopicClaim",
            TopicStep::Create { .. } => "TopicCreate",
            TopicStep::Grow { .. } => "TopicGrow",
            TopicStep::Configure { .. } => "TopicConfigure",
            TopicStep::Delete { .. } => "TopicDelete",
        }
    }

    /// What comes after this step waits for its success.
    #[must_use]
    pub fn bars(&self) -> bool {
        match self {
            TopicStep::Hold
            | TopicStep::Release
            | TopicStep::Claim(_)
            | TopicStep::Create { .. }
            | TopicStep::Delete { .. } => true,
            TopicStep::Grow { .. } | TopicStep::Configure { .. } => false,
        }
    }
}

impl fmt::Display for TopicStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicStep::Hold => f.write_str("put the finalizer on"),
            TopicStep::Release => f.write_str("take the finalizer off"),
            TopicStep::Claim(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                write!(f, "claim configs {}", names.join(", "))
            }
            TopicStep::Create { .. } => f.write_str("create the topic"),
            TopicStep::Grow { from, to, .. } => write!(f, "grow from {from} to {to} partitions"),
            TopicStep::Configure { changes, .. } => {
                let change = |(name, value): (&String, &Option<String>)| match value {
                    Some(value) => format!("{name}={value}"),
                    None => format!("{name} back to its default"),
                };
                write!(f, "set {}", changes.iter().map(change).collect::<Vec<_>>().join(", "))
            }
            TopicStep::Delete { id } => write!(f, "delete topic {id}"),
        }
    }
}

/// What a pass comes to. Converged: all of it is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicPlan {
    /// What to do now, in order.
    pub steps: Vec<TopicStep>,
    /// What the next steps wait for.
    pub waiting: Option<String>,
    /// What is not done, and why not.
    pub refused: Vec<Refusal>,
    /// The topic is this object's to look after.
    pub is_ours: bool,
}

/// Whether a topic of this id was made for the object with this uid: both begin the same way. The
/// other half is new for every topic, so that no id ever comes twice.
#[must_use]
pub fn is_made_for(id: &str, owner: &str) -> bool {
    // 8 of 16 bytes, as they are written: 00000000-0000-0000-....
    const HALF: usize = 18;
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    matches!((id.get(..HALF), owner.get(..HALF)), (Some(a), Some(b)) if same(a, b))
}

/// What to do next for one `ChronikTopic`.
#[must_use]
pub fn plan(wanted: &TopicWanted, cluster: &ClusterSeen) -> TopicPlan {
    if wanted.is_deleted {
        return end(wanted, cluster);
    }
    let mut plan = TopicPlan::default();
    if wanted.policy == TopicPolicy::Retain && wanted.is_held {
        plan.steps.push(TopicStep::Release);
    }
    if let Some(older) = &wanted.older {
        let reason = format!("ChronikTopic {older} is older and asks for the same topic");
        plan.refused.push(refusal("spec.topicName", &wanted.name, reason));
        return plan;
    }
    let seen = match cluster {
        ClusterSeen::Gone(why) | ClusterSeen::Silent(why) => {
            plan.waiting = Some(why.clone());
            return plan;
        }
        ClusterSeen::Answers(seen) => seen,
    };
    if let Some(seen) = seen
        && let Some(refusal) = adoption::refusal(wanted, seen)
    {
        plan.refused.push(refusal);
        return plan;
    }
    if wanted.policy == TopicPolicy::Delete && !wanted.is_held {
        plan.steps.push(TopicStep::Hold);
    }
    plan.steps.extend(claim(wanted, seen.as_ref()));
    match seen {
        None => plan.steps.push(TopicStep::Create {
            partitions: wanted.partitions,
            replicas: wanted.replicas,
            configs: wanted.configs.clone(),
        }),
        Some(seen) => {
            plan.is_ours = true;
            tend(wanted, seen, &mut plan);
        }
    }
    plan
}

/// The object is being deleted: what it held back is done, or given up, and it goes.
fn end(wanted: &TopicWanted, cluster: &ClusterSeen) -> TopicPlan {
    let mut plan = TopicPlan::default();
    if !wanted.is_held {
        return plan;
    }
    if wanted.policy == TopicPolicy::Delete && wanted.older.is_none() {
        match cluster {
            ClusterSeen::Gone(_) | ClusterSeen::Answers(None) => {}
            ClusterSeen::Silent(why) => {
                plan.waiting = Some(format!("the topic is to be deleted first: {why}"));
                return plan;
            }
            ClusterSeen::Answers(Some(seen)) if adoption::refusal(wanted, seen).is_none() => {
                plan.is_ours = true;
                plan.steps.push(TopicStep::Delete { id: seen.id.clone() });
            }
            // Somebody else's; it was never this object's to delete.
            ClusterSeen::Answers(Some(_)) => {}
        }
    }
    plan.steps.push(TopicStep::Release);
    plan
}

/// Configs are claimed before they are set, and given up after they are back at their default.
fn claim(wanted: &TopicWanted, seen: Option<&TopicSeen>) -> Option<TopicStep> {
    let set = |name: &&String| seen.is_some_and(|seen| seen.configs.contains_key(*name));
    let left = wanted.claimed.iter().filter(set);
    let claimed: BTreeSet<String> = wanted.configs.keys().chain(left).cloned().collect();
    (claimed != wanted.claimed).then_some(TopicStep::Claim(claimed))
}

/// A topic that is this object's: what differs is put right, as far as it can be.
fn tend(wanted: &TopicWanted, seen: &TopicSeen, plan: &mut TopicPlan) {
    if let Some(replicas) = wanted.replicas.filter(|replicas| *replicas != seen.replicas) {
        let reason = format!(
            "the topic has {} replicas a partition, and that cannot be changed",
            seen.replicas
        );
        plan.refused.push(refusal("spec.replicas", &replicas.to_string(), reason));
    }
    match wanted.partitions {
        Some(to) if to < seen.partitions => {
            let reason = format!(
                "the topic has {} partitions, and Kafka cannot take partitions away",
                seen.partitions
            );
            plan.refused.push(refusal("spec.partitions", &to.to_string(), reason));
        }
        Some(to) if to > seen.partitions => {
            plan.steps.push(TopicStep::Grow { id: seen.id.clone(), from: seen.partitions, to });
        }
        Some(_) | None => {}
    }
    let changes = changes(wanted, seen);
    if !changes.is_empty() {
        plan.steps.push(TopicStep::Configure { id: seen.id.clone(), changes });
    }
}

/// Configs that are asked for and are otherwise, and those that are not asked for any more.
fn changes(wanted: &TopicWanted, seen: &TopicSeen) -> BTreeMap<String, Option<String>> {
    let is_so = |name: &str, value: &str| {
        // Brokers keep values without the blanks around them.
        seen.configs.get(name).is_some_and(|found| found.trim() == value.trim())
    };
    let set = wanted.configs.iter().filter(|(name, value)| !is_so(name, value));
    let set = set.map(|(name, value)| (name.clone(), Some(value.clone())));
    let dropped = wanted
        .claimed
        .iter()
        .filter(|name| !wanted.configs.contains_key(*name) && seen.configs.contains_key(*name));
    set.chain(dropped.map(|name| (name.clone(), None))).collect()
}

fn refusal(field: &str, value: &str, reason: String) -> Refusal {
    Refusal { field: field.to_owned(), value: value.to_owned(), reason }
}

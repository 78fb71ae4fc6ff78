//! Pure: from the certificates that there are, and who was seen to use which, to what is written
//! next. Time is an argument.
//!
//! ```text
//!                 asked for, or old enough, or its Secret is gone
//!   Settled ────────────────────────────────────────────────────────> Spreading
//!      ^                                                                  │ every broker accepts
//!      │ every broker shows a certificate of the new one:                 │ a caller of the next one:
//!      │ the old one is dropped                                           v it signs from now on
//!      └───────────────────────────────────────────────────────────── Reissuing
//! ```
//!
//! While an authority is replaced, everybody trusts both, so that the order in which brokers take
//! over what is new does not matter. Nothing is concluded from silence: a broker that does not answer
//! holds the change up. One certificate is replaced at a time, and seen in use before the next.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::BrokerId;

/// How long an authority is valid.
pub const AUTHORITY_S: i64 = 5 * 365 * DAY_S;
/// How long a certificate is valid.
pub const CERTIFICATE_S: i64 = 90 * DAY_S;
/// Before now, for clocks that are late.
pub const EARLIER_S: i64 = 3600;
const DAY_S: i64 = 24 * 3600;

/// A certificate, by its bytes.
pub type Der = Vec<u8>;

/// Whose certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The operator's.
    Operator,
    /// A broker's.
    Broker(BrokerId),
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Holder::Operator => f.write_str("the operator"),
            Holder::Broker(id) => write!(f, "broker {id}"),
        }
    }
}

/// From when to when, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From then.
    pub from: i64,
    /// Until then.
    pub until: i64,
}

impl Span {
    /// Two thirds have passed: time for the next one.
    fn is_due(self, now: i64) -> bool {
        now >= self.from + (self.until - self.from) / 3 * 2
    }

    /// Nine tenths have: it cannot wait for others.
    fn is_urgent(self, now: i64) -> bool {
        now >= self.from + (self.until - self.from) / 10 * 9
    }
}

/// One authority whose key there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Its certificate.
    pub certificate: Der,
    /// How long it is valid.
    pub span: Span,
}

/// What is known of the cluster's authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authority {
    /// Signs certificates; none while the one that did is lost.
    pub signing: Option<Signer>,
    /// Signs as soon as everybody trusts it.
    pub next: Option<Signer>,
    /// Trusted still.
    pub old: BTreeSet<Der>,
    /// The last request to replace it that was taken up.
    pub rotated_for: Option<String>,
}

impl Authority {
    /// Whom everybody is to trust.
    #[must_use]
    pub fn trusted(&self) -> BTreeSet<Der> {
        let signers = self.signing.iter().chain(&self.next);
        signers.map(|signer| signer.certificate.clone()).chain(self.old.iter().cloned()).collect()
    }

    /// Who signs now: the next one only if there is no other.
    fn signer(&self) -> Option<&Signer> {
        self.signing.as_ref().or(self.next.as_ref())
    }
}

/// What is known of one holder's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its bytes.
    pub certificate: Der,
    /// Which trusted authority has signed it, if one has.
    pub signer: Option<Der>,
    /// How long it is valid.
    pub span: Span,
    /// Whom its holder is told to trust.
    pub trusts: BTreeSet<Der>,
}

/// All that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The authority, if it can be read.
    pub authority: Option<Authority>,
    /// Certificates that can be read, and are whose they should be.
    pub leaves: BTreeMap<Holder, Leaf>,
    /// Brokers that should have one.
    pub wanted: BTreeSet<BrokerId>,
    /// Those of them that exist already.
    pub there: BTreeSet<BrokerId>,
    /// The certificates that brokers showed to a caller of the newest authority and let in.
    pub shown: BTreeMap<BrokerId, Der>,
    /// The request to replace the authority, as the manifest has it.
    pub rotate: Option<String>,
}

/// Something to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make the first authority; or, if others are trusted whose keys are lost, one to follow them.
    MakeAuthority {
        /// Those.
        trusting: BTreeSet<Der>,
    },
    /// Make the authority that is to follow.
    Begin,
    /// It signs from now on.
    Switch,
    /// Only the one that signs is trusted from now on.
    Drop,
    /// Make a certificate.
    Issue(Holder),
    /// Tell a holder whom to trust.
    Trust(Holder),
    /// Delete the certificate of a broker that is gone.
    Forget(BrokerId),
}

impl Step {
    /// Whether what comes after it has to be decided anew.
    #[must_use]
    pub fn changes_the_authority(&self) -> bool {
        match self {
            Step::MakeAuthority { .. } | Step::Begin | Step::Switch | Step::Drop => true,
            Step::Issue(_) | Step::Trust(_) | Step::Forget(_) => false,
        }
    }
}

/// How far a replacement is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    #[default]
    Settled,
    /// Brokers learn to trust the next authority; these have not been seen to.
    Spreading(Vec<BrokerId>),
    /// Certificates are made anew; these brokers have not been seen with theirs.
    Reissuing(Vec<BrokerId>),
}

/// What to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// In this order.
    pub steps: Vec<Step>,
    /// How far it is.
    pub phase: Phase,
}

/// Whether it matters now what brokers show.
#[must_use]
pub fn wants_a_look(seen: &Seen, now: i64) -> bool {
    let Some(authority) = &seen.authority else { return false };
    let due = |leaf: &Leaf| leaf.span.is_due(now);
    authority.next.is_some() || !authority.old.is_empty() || seen.leaves.values().any(due)
}

/// What to do now.
#[must_use]
pub fn decide(seen: &Seen, now: i64) -> Decision {
    let only = |step| Decision { steps: vec![step], phase: Phase::Settled };
    let Some(authority) = &seen.authority else {
        let trusting = seen.leaves.values().flat_map(|leaf| leaf.trusts.iter().cloned());
        return only(Step::MakeAuthority { trusting: trusting.collect() });
    };
    let settled = authority.next.is_none() && authority.old.is_empty();
    let asked = seen.rotate.is_some() && seen.rotate != authority.rotated_for;
    let aged = authority.signing.as_ref().is_none_or(|signer| signer.span.is_due(now));
    if (settled && (asked || aged)) || authority.signer().is_none() {
        return only(Step::Begin);
    }
    let mut steps = repairs(seen, authority, now);
    if authority.next.is_some() {
        let deaf = seen.there.iter().filter(|id| !seen.shown.contains_key(id)).copied();
        let deaf: Vec<BrokerId> = deaf.collect();
        if deaf.is_empty() && steps.is_empty() {
            steps.push(Step::Switch);
        }
        return Decision { steps, phase: Phase::Spreading(deaf) };
    }
    let due = due(seen, authority, now);
    let mut behind = due.clone();
    behind.extend(seen.there.iter().map(|id| Holder::Broker(*id)).filter(|h| !uses(seen, *h)));
    behind.sort_unstable();
    behind.dedup();
    if steps.is_empty() {
        // The operator shows its own to all brokers, and nobody waits for it.
        let waits = seen.there.iter().any(|id| !uses(seen, Holder::Broker(*id)));
        let next = due.first().filter(|holder| **holder == Holder::Operator || !waits);
        steps.extend(next.map(|holder| Step::Issue(*holder)));
    }
    if settled {
        return Decision { steps, phase: Phase::Settled };
    }
    if behind.is_empty() && steps.is_empty() {
        steps.push(Step::Drop);
    }
    let behind = behind.into_iter().filter_map(|holder| match holder {
        Holder::Broker(id) => Some(id),
        Holder::Operator => None,
    });
    Decision { steps, phase: Phase::Reissuing(behind.collect()) }
}

/// What cannot wait, and what nobody notices.
fn repairs(seen: &Seen, authority: &Authority, now: i64) -> Vec<Step> {
    let trusted = authority.trusted();
    let mut steps = Vec::new();
    for holder in holders(seen) {
        match seen.leaves.get(&holder) {
            Some(leaf) if leaf.signer.is_some() && !leaf.span.is_urgent(now) => {
                if leaf.trusts != trusted {
                    steps.push(Step::Trust(holder));
                }
            }
            Some(_) | None => steps.push(Step::Issue(holder)),
        }
    }
    for holder in seen.leaves.keys() {
        if let Holder::Broker(id) = holder
            && !seen.wanted.contains(id)
        {
            steps.push(Step::Forget(*id));
        }
    }
    steps
}

/// Those whose certificate is to be replaced when it is their turn.
fn due(seen: &Seen, authority: &Authority, now: i64) -> Vec<Holder> {
    let signer = authority.signer().map(|signer| &signer.certificate);
    let is_due = |leaf: &Leaf| leaf.signer.as_ref() != signer || leaf.span.is_due(now);
    holders(seen).filter(|holder| seen.leaves.get(holder).is_some_and(is_due)).collect()
}

/// Whether a holder was seen with the certificate that it has been given.
fn uses(seen: &Seen, holder: Holder) -> bool {
    let Holder::Broker(id) = holder else { return true };
    let given = seen.leaves.get(&holder).map(|leaf| &leaf.certificate);
    given.is_some() && seen.shown.get(&id) == given
}

fn holders(seen: &Seen) -> impl Iterator<Item = Holder> + '_ {
    [Holder::Operator].into_iter().chain(seen.wanted.iter().map(|id| Holder::Broker(*id)))
}

#[cfg(test)]
mod tests;

//! Pure: what a `ChronikTopic` says after a pass, and what of it is worth an Event.

use chronik_plan::topic::{TopicPlan, TopicSeen, TopicStep, TopicWanted, is_made_for};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::api::topic::TopicStatus;
use crate::controller::news::News;

/// Longer messages are refused by the API server, or shorten an Event.
const TEXT_MAX: usize = 1000;

/// What a pass came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The plan after everything that was done.
    pub(super) plan: TopicPlan,
    /// The topic as it was last seen, if it was.
    pub(super) seen: Option<TopicSeen>,
    /// The cluster answered.
    pub(super) was_asked: bool,
    /// What was done.
    pub(super) done: Vec<TopicStep>,
    /// What brokers refused, with the field that asks for it.
    pub(super) refused: Vec<String>,
    /// What did not work this time.
    pub(super) later: Option<String>,
}

impl Outcome {
    /// The topic is there and as the manifest says.
    #[must_use]
    pub(super) fn is_ready(&self) -> bool {
        let plan = &self.plan;
        let rests = plan.steps.is_empty() && plan.refused.is_empty() && plan.waiting.is_none();
        rests && plan.is_ours && self.refused.is_empty() && self.later.is_none()
    }

    /// Something will have to happen elsewhere first.
    #[must_use]
    pub(super) fn is_waiting(&self) -> bool {
        self.later.is_some() || self.plan.waiting.is_some()
    }

    fn refused(&self) -> Vec<String> {
        let planned = self.plan.refused.iter().map(ToString::to_string);
        planned.chain(self.refused.iter().cloned()).map(|text| shortened(&text)).collect()
    }

    fn waiting(&self) -> Option<String> {
        self.later.as_ref().or(self.plan.waiting.as_ref()).map(|text| shortened(text))
    }
}

/// The status after a pass.
#[must_use]
pub(super) fn of(
    before: &TopicStatus,
    wanted: &TopicWanted,
    outcome: &Outcome,
    generation: Option<i64>,
    now: Timestamp,
) -> TopicStatus {
    let mut after = TopicStatus {
        observed_generation: generation,
        topic_name: wanted.name.clone(),
        claimed_configs: wanted.claimed.iter().cloned().collect(),
        waiting: outcome.waiting(),
        refused: outcome.refused(),
        ..before.clone()
    };
    if outcome.was_asked {
        let ours = outcome.seen.as_ref().filter(|_| outcome.plan.is_ours);
        after.topic_id = ours.map(|topic| topic.id.clone());
        after.partitions = ours.map(|topic| topic.partitions);
        after.replicas = ours.map(|topic| topic.replicas);
    }
    after.conditions = conditions(&after, outcome.is_ready(), &before.conditions, now);
    after
}

/// What is said of an object that cannot be read.
#[must_use]
pub(super) fn unreadable(error: &str) -> String {
    shortened(&format!("this operator cannot read the object: {error}"))
}

fn conditions(
    status: &TopicStatus,
    is_ready: bool,
    before: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let refused = status.refused.join("; ");
    let (reason, message) = match (&status.waiting, is_ready) {
        (_, true) => ("AsAsked", "the topic is as the manifest says".to_owned()),
        _ if !refused.is_empty() => ("Refused", refused.clone()),
        (Some(waiting), false) => ("Waiting", waiting.clone()),
        (None, false) => ("Working", String::new()),
    };
    let degraded = if refused.is_empty() { ("Well", String::new()) } else { ("Refused", refused) };
    let all =
        [("Ready", is_ready, (reason, message)), ("Degraded", degraded.0 == "Refused", degraded)];
    let condition = |(kind, holds, (reason, message)): (&str, bool, (&str, String))| {
        let status_now = if holds { "True" } else { "False" };
        let same = before.iter().find(|old| old.type_ == kind && old.status == status_now);
        Condition {
            type_: kind.into(),
            status: status_now.into(),
            reason: reason.into(),
            message: shortened(&message),
            observed_generation: status.observed_generation,
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    all.into_iter().map(condition).collect()
}

/// What is new: what was done, and what is refused that was not before.
#[must_use]
pub(super) fn news(
    before: &TopicStatus,
    after: &TopicStatus,
    wanted: &TopicWanted,
    outcome: &Outcome,
) -> Vec<News> {
    let name = &wanted.name;
    let mut news = Vec::new();
    let mut tell = |warning, reason, note: String| {
        news.push(News { warning, reason, note: shortened(&note) });
    };
    if let Some(id) = after.topic_id.as_ref().filter(|_| before.topic_id.is_none())
        && !is_made_for(id, &wanted.owner)
    {
        let note = format!("topic {name} existed, and is looked after from now on; its id is {id}");
        tell(false, "TopicAdopted", note);
    }
    for step in &outcome.done {
        match step {
            TopicStep::Create { .. } => {
                tell(false, "TopicCreated", format!("topic {name} is made"))
            }
            TopicStep::Grow { from, to, .. } => {
                let note = format!("topic {name} has {to} partitions now, after {from}");
                tell(false, "TopicGrown", note);
            }
            TopicStep::Configure { .. } => {
                tell(false, "TopicConfigured", format!("topic {name}: {step}"));
            }
            TopicStep::Delete { .. } => {
                tell(false, "TopicDeleted", format!("topic {name} is deleted, with its records"));
            }
            TopicStep::Hold | TopicStep::Release | TopicStep::Claim(_) => {}
        }
    }
    let about = |text: &str| text.split(": ").next().unwrap_or_default().to_owned();
    for refused in &after.refused {
        if !before.refused.iter().any(|old| about(old) == about(refused)) {
            tell(true, "Refused", refused.clone());
        }
    }
    news
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chronik_plan::topic::TopicPolicy;

    use super::*;

    const OWNER: &str = "0123abcd-4567-489a-8bcd-ef0123456789";
    const OURS: &str = "0123abcd-4567-489a-9000-000000000001";

    fn wanted() -> TopicWanted {
        TopicWanted {
            name: "t".into(),
            owner: OWNER.into(),
            partitions: Some(1),
            replicas: None,
            configs: BTreeMap::new(),
            policy: TopicPolicy::Retain,
            adopt: false,
            is_deleted: false,
            is_held: false,
            claimed: BTreeSet::new(),
            older: None,
        }
    }

    fn outcome(id: &str) -> Outcome {
        let seen = TopicSeen { id: id.into(), partitions: 1, replicas: 3, ..TopicSeen::default() };
        let plan = TopicPlan { is_ours: true, ..TopicPlan::default() };
        Outcome { plan, seen: Some(seen), was_asked: true, ..Outcome::default() }
    }

    fn status(before: &TopicStatus, outcome: &Outcome) -> TopicStatus {
        of(before, &wanted(), outcome, Some(4), Timestamp::UNIX_EPOCH)
    }

    fn check(outcome: &Outcome, expected: [&str; 2]) {
        let found = status(&TopicStatus::default(), outcome);
        let found: Vec<String> = found
            .conditions
            .iter()
            .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn conditions_tell_ready_from_waiting_from_refused() {
        check(&outcome(OURS), ["Ready=True AsAsked", "Degraded=False Well"]);
        let refused = vec!["spec.configs: flush.ms cannot be \"soon\"".to_owned()];
        let refused = Outcome { refused, ..outcome(OURS) };
        check(&refused, ["Ready=False Refused", "Degraded=True Refused"]);
        let plan = TopicPlan { waiting: Some("no cluster".into()), ..TopicPlan::default() };
        let waits = Outcome { plan, ..Outcome::default() };
        check(&waits, ["Ready=False Waiting", "Degraded=False Well"]);
        let later = Outcome { later: Some("no leader".into()), ..outcome(OURS) };
        check(&later, ["Ready=False Waiting", "Degraded=False Well"]);
    }

    #[test]
    fn a_silent_cluster_takes_nothing_from_what_is_known() {
        let known = status(&TopicStatus::default(), &outcome(OURS));
        assert_eq!(known, status(&known, &outcome(OURS)), "nothing to write");
        let plan = TopicPlan { waiting: Some("no leader".into()), ..TopicPlan::default() };
        let silent = status(&known, &Outcome { plan, ..Outcome::default() });
        assert_eq!((silent.partitions, silent.topic_id.as_deref()), (Some(1), Some(OURS)));
        let others = TopicPlan { is_ours: false, ..TopicPlan::default() };
        let lost = status(&known, &Outcome { plan: others, ..outcome("ffff") });
        assert_eq!((lost.partitions, lost.topic_id), (None, None));
    }

    #[test]
    fn only_what_was_done_or_is_newly_refused_is_news() {
        let reasons = |before: &TopicStatus, outcome: &Outcome| {
            let after = status(before, outcome);
            let news = news(before, &after, &wanted(), outcome);
            news.into_iter().map(|news| news.reason).collect::<Vec<_>>()
        };
        let made = TopicStep::Create { partitions: None, replicas: None, configs: BTreeMap::new() };
        let first = Outcome { done: vec![made], ..outcome(OURS) };
        assert_eq!(reasons(&TopicStatus::default(), &first), ["TopicCreated"]);
        let adopted = outcome("ffff0000-4567-489a-9000-000000000001");
        assert_eq!(reasons(&TopicStatus::default(), &adopted), ["TopicAdopted"]);
        let known = status(&TopicStatus::default(), &outcome(OURS));
        assert_eq!(reasons(&known, &outcome(OURS)), [""; 0]);
        let with = |text: &str| Outcome { refused: vec![text.into()], ..outcome(OURS) };
        assert_eq!(reasons(&known, &with("spec.partitions 1: it has 2")), ["Refused"]);
        let told = status(&known, &with("spec.partitions 1: it has 2"));
        assert_eq!(reasons(&told, &with("spec.partitions 1: it has 3")), [""; 0]);
    }
}

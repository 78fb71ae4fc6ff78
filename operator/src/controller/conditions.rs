//! Pure: conditions of a `ChronikCluster` after a pass.

use chronik_plan::{Operation, Plan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::{certificates, stall};
use crate::api::status::ClusterStatus;

/// What the conditions are made from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The plan of the pass.
    pub plan: &'a Plan,
    /// What the pass came to.
    pub status: &'a ClusterStatus,
    /// Clients are served.
    pub serves: bool,
    /// The manifest says to change nothing.
    pub paused: bool,
    /// Nothing has got anywhere for too long.
    pub stalled: bool,
}

/// The conditions now. One whose status is what it was keeps its time.
#[must_use]
pub fn of(
    facts: &Facts<'_>,
    generation: Option<i64>,
    before: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let Facts { plan, status, serves, paused, stalled } = facts;
    let quiet = plan.is_converged() && status.errors.is_empty() && status.troubles.is_empty();
    let rotation = status.certificates.as_ref().filter(|c| certificates::is_rotating(c));
    let quiet = quiet && rotation.is_none() && (status.phase == "Ready" || *paused);
    let first = |lists: &[&Vec<String>]| lists.iter().find_map(|list| list.first()).cloned();
    let ready = if *serves {
        (true, "Serving", "clients are served".to_owned())
    } else {
        (false, "NotServing", first(&[&status.waiting, &status.refused]).unwrap_or_default())
    };
    let progressing = if *paused {
        (false, "Paused", "spec.paused is set: nothing is changed".to_owned())
    } else if let Some(roll @ Operation::Roll { paused: true, .. }) = plan.operation
        && plan.steps.is_empty()
    {
        (false, "RollPaused", roll.to_string())
    } else if plan.operation.is_some() || !plan.steps.is_empty() || !plan.waiting.is_empty() {
        let doing = status.operation.iter().chain(&status.waiting).cloned();
        (true, "Working", doing.collect::<Vec<_>>().join("; "))
    } else {
        (false, "Idle", String::new())
    };
    let degraded = if let Some(refused) = status.refused.first() {
        (true, "Refused", refused.clone())
    } else if let Some(trouble) = status.troubles.first() {
        (true, "BrokerTrouble", trouble.clone())
    } else if status.phase == "Degraded" {
        (true, "NoQuorum", first(&[&status.waiting]).unwrap_or_default())
    } else if *stalled {
        let about = first(&[&status.waiting, &status.errors]).unwrap_or_default();
        let minutes = stall::AFTER.as_secs() / 60;
        (true, "Stalled", format!("nothing has changed for {minutes} minutes: {about}"))
    } else {
        (false, "Well", String::new())
    };
    let quiesced = if quiet {
        (true, "Quiesced", "there is nothing left to do".to_owned())
    } else {
        let why = [&status.waiting, &status.refused, &status.troubles, &status.errors];
        let rotates = || rotation.map(|c| format!("certificates: {} {}", c.phase, c.message));
        (false, "Busy", first(&why).or_else(rotates).unwrap_or_default())
    };
    let all = [
        ("Ready", ready),
        ("Progressing", progressing),
        ("Degraded", degraded),
        ("Quiesced", quiesced),
    ];
    let conditions = all.into_iter().map(|(name, (holds, reason, message))| {
        let status = if holds { "True" } else { "False" };
        let same = before.iter().find(|old| old.type_ == name && old.status == status);
        Condition {
            type_: name.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.chars().take(1000).collect(),
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    });
    conditions.collect()
}

#[cfg(test)]
mod tests {
    use chronik_plan::{Refusal, Wait};

    use super::*;

    fn check(plan: &Plan, serves: bool, expected: [&str; 4]) {
        let lines = |items: &[Wait]| items.iter().map(ToString::to_string).collect();
        let status = ClusterStatus {
            phase: if plan.is_converged() { "Ready".into() } else { "Working".into() },
            operation: plan.operation.map(|o| o.to_string()),
            waiting: lines(&plan.waiting),
            refused: plan.refused.iter().map(ToString::to_string).collect(),
            ..ClusterStatus::default()
        };
        let facts = Facts { plan, status: &status, serves, paused: false, stalled: false };
        let found = of(&facts, Some(1), &[], Timestamp::UNIX_EPOCH);
        let found: Vec<String> =
            found.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn conditions_tell_quiet_from_work_and_work_from_trouble() {
        check(
            &Plan::default(),
            true,
            [
                "Ready=True Serving",
                "Progressing=False Idle",
                "Degraded=False Well",
                "Quiesced=True Quiesced",
            ],
        );
        let adding = Plan {
            operation: Some(Operation::Add(4)),
            waiting: vec![Wait::Answer { brokers: vec![4] }],
            ..Plan::default()
        };
        check(
            &adding,
            true,
            [
                "Ready=True Serving",
                "Progressing=True Working",
                "Degraded=False Well",
                "Quiesced=False Busy",
            ],
        );
        let refusal =
            Refusal { field: "spec.replicas".into(), value: "1".into(), reason: "no".into() };
        let refused = Plan { refused: vec![refusal], ..Plan::default() };
        check(
            &refused,
            true,
            [
                "Ready=True Serving",
                "Progressing=False Idle",
                "Degraded=True Refused",
                "Quiesced=False Busy",
            ],
        );
        check(
            &adding,
            false,
            [
                "Ready=False NotServing",
                "Progressing=True Working",
                "Degraded=False Well",
                "Quiesced=False Busy",
            ],
        );
    }

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let plan = Plan::default();
        let status = ClusterStatus { phase: "Ready".into(), ..ClusterStatus::default() };
        let facts =
            |serves| Facts { plan: &plan, status: &status, serves, paused: false, stalled: false };
        let at = |s| Timestamp::from_second(s).unwrap();
        let first = of(&facts(true), Some(1), &[], at(10));
        let later = of(&facts(true), Some(1), &first, at(20));
        assert_eq!(first, later);
        let lost = of(&facts(false), Some(1), &later, at(30));
        assert_eq!(lost[0].last_transition_time, Time(at(30)));
        assert_eq!(lost[3].last_transition_time, Time(at(10)));
    }

    #[test]
    fn what_stands_still_is_degraded_and_says_at_what() {
        let plan = Plan { waiting: vec![Wait::Answer { brokers: vec![4] }], ..Plan::default() };
        let status = ClusterStatus {
            waiting: vec!["broker 4 to answer".into()],
            ..ClusterStatus::default()
        };
        let facts =
            Facts { plan: &plan, status: &status, serves: true, paused: false, stalled: true };
        let found = of(&facts, Some(1), &[], Timestamp::UNIX_EPOCH);
        assert_eq!((found[2].status.as_str(), found[2].reason.as_str()), ("True", "Stalled"));
        assert_eq!(found[2].message, "nothing has changed for 5 minutes: broker 4 to answer");
    }
}

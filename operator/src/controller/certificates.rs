//! Pure: what people are told about certificates, in status and in Events.

use k8s_openapi::jiff::Timestamp;

use super::news::News;
use crate::api::status::{CertificatesStatus, ClusterStatus};
use crate::platform::kube::certificates::Report;
use crate::platform::kube::certificates::rotation::Phase;

const SETTLED: &str = "Settled";

/// What status says; nothing before the first certificate is made.
#[must_use]
pub fn status(report: &Report) -> Option<CertificatesStatus> {
    let first = *report.until.values().min()?;
    let waits_for = |what: &str, brokers: &[u32]| {
        let ten: Vec<String> = brokers.iter().take(10).map(ToString::to_string).collect();
        match brokers.len() {
            0 => String::new(),
            1..=10 => format!("brokers {} {what}", ten.join(", ")),
            all => format!("brokers {} and {} more {what}", ten.join(", "), all - 10),
        }
    };
    let (phase, message) = match &report.phase {
        Phase::Settled => (SETTLED, String::new()),
        Phase::Spreading(deaf) => {
            ("Spreading", waits_for("have not been seen to trust the next authority", deaf))
        }
        Phase::Reissuing(behind) => {
            ("Reissuing", waits_for("have not been seen with a certificate of it", behind))
        }
    };
    Some(CertificatesStatus {
        phase: phase.into(),
        message,
        authority: report.authority_serial.clone(),
        authority_expires: report.authority_until.map(time).unwrap_or_default(),
        first_expires: time(first),
    })
}

/// Whether the authority is being replaced.
#[must_use]
pub fn is_rotating(status: &CertificatesStatus) -> bool {
    status.phase != SETTLED
}

/// What is new.
#[must_use]
pub fn news(before: &ClusterStatus, after: &ClusterStatus) -> Option<News> {
    let (old, new) = (before.certificates.as_ref()?, after.certificates.as_ref()?);
    let replaced = !old.authority.is_empty() && old.authority != new.authority;
    if old.phase == SETTLED && new.phase == SETTLED && replaced {
        let note = "all Secrets with certificates were gone: brokers that run do not know each other \
                    until every one of them has taken over its new certificate";
        return Some(News { warning: true, reason: "AuthorityReplaced", note: note.into() });
    }
    if old.phase == new.phase {
        return None;
    }
    let lost = new.phase == "Spreading" && new.authority.is_empty();
    // One reason each: what is published under the same one is only counted.
    let (reason, note) = match new.phase.as_str() {
        "Spreading" if lost => (
            "AuthorityLost",
            "the key of the authority is lost: brokers learn to trust the next one",
        ),
        "Spreading" => {
            ("AuthoritySpreading", "the authority is replaced: brokers learn to trust the next one")
        }
        "Reissuing" => (
            "AuthorityReissuing",
            "every broker trusts the next authority: certificates are made anew",
        ),
        _ => (
            "AuthorityRotated",
            "every certificate is of the new authority: the one of before is dropped",
        ),
    };
    Some(News { warning: lost, reason, note: note.into() })
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(phase: Phase, serial: &str) -> ClusterStatus {
        let report = Report {
            phase,
            authority_until: Some(1_000_000),
            authority_serial: serial.into(),
            until: [("operator".into(), 9), ("broker-1".into(), 7)].into(),
        };
        ClusterStatus { certificates: status(&report), ..ClusterStatus::default() }
    }

    #[test]
    fn status_says_whom_a_rotation_waits_for_and_what_expires_first() {
        let told = of(Phase::Spreading(vec![2, 3]), "a").certificates.unwrap();
        assert!(is_rotating(&told));
        assert_eq!(told.message, "brokers 2, 3 have not been seen to trust the next authority");
        assert_eq!(told.first_expires, "1970-01-01T00:00:07Z");
        let many = of(Phase::Reissuing((1..=12).collect()), "a").certificates.unwrap();
        assert!(many.message.starts_with("brokers 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"));
        assert_eq!(status(&Report::default()), None);
    }

    #[test]
    fn every_phase_is_news_once() {
        let settled = of(Phase::Settled, "a");
        let reason = |before: &_, after: &_| news(before, after).map(|news| news.reason);
        assert_eq!(reason(&ClusterStatus::default(), &settled), None);
        assert_eq!(reason(&settled, &settled), None);
        let spreading = of(Phase::Spreading(vec![1]), "a");
        assert_eq!(reason(&settled, &spreading), Some("AuthoritySpreading"));
        assert_eq!(reason(&spreading, &of(Phase::Spreading(vec![]), "a")), None);
        assert_eq!(
            reason(&spreading, &of(Phase::Reissuing(vec![1]), "b")),
            Some("AuthorityReissuing")
        );
        assert_eq!(reason(&of(Phase::Reissuing(vec![1]), "b"), &settled), Some("AuthorityRotated"));
        assert_eq!(reason(&settled, &of(Phase::Spreading(vec![1]), "")), Some("AuthorityLost"));
        assert_eq!(reason(&settled, &of(Phase::Settled, "b")), Some("AuthorityReplaced"));
    }
}

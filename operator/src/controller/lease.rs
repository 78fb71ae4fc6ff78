//! Which of several operators acts: a Lease, taken and renewed with the version that was read, so
//! that two can never both succeed. That a lease has run out is judged by when this operator saw
//! its record change, not by anybody's clock. Acting on it is left to the fence.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};

use crate::fence::Fence;
use crate::platform::kube::error::KubeError;
use crate::platform::kube::objects::call;

/// The name of the lease.
pub const NAME: &str = "chronik-operator";
/// Nobody else takes a lease that was renewed within this time.
const DURATION: Duration = Duration::from_secs(15);
/// Whoever could not renew for this long stops acting: well before anybody else starts.
const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked at.
pub const EVERY: Duration = Duration::from_secs(2);

/// One operator's view of the lease.
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    fence: Fence,
    record: Record,
    leads_until: Option<Instant>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// What was last seen of the lease, and since when it has been so.
#[derive(Debug, Default)]
struct Record {
    holder: String,
    renewed: Option<MicroTime>,
    since: Option<Instant>,
}

impl Record {
    /// Whether nobody holds the lease, or its holder has been silent for too long.
    fn is_free(&mut self, spec: &LeaseSpec, identity: &str, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if self.since.is_none() || self.holder != holder || self.renewed != spec.renew_time {
            (self.holder, self.renewed, self.since) = (holder, spec.renew_time.clone(), Some(now));
        }
        let silent = self.since.is_some_and(|since| now.duration_since(since) >= DURATION);
        self.holder.is_empty() || self.holder == identity || silent
    }
}

impl Candidate {
    /// A candidate in the operator's own namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String, fence: Fence) -> Candidate {
        let api = Api::namespaced(client, namespace);
        Candidate { api, identity, fence, record: Record::default(), leads_until: None }
    }

    /// Waits until this operator leads.
    pub async fn win(&mut self) {
        loop {
            match self.try_once().await {
                Ok(true) => return,
                Ok(false) | Err(KubeError::Changed { .. }) => {}
                Err(error) => {
                    tracing::warn!(error = %crate::reconcile::describe(&error), "no lease yet");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Keeps the lease; returns when it is lost.
    pub async fn keep(&mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let left =
                self.leads_until.map(|until| until.saturating_duration_since(Instant::now()));
            let Some(left) = left.filter(|left| !left.is_zero()) else { break };
            match tokio::time::timeout(left, self.try_once()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => break,
                Ok(Err(error)) => {
                    tracing::warn!(error = %crate::reconcile::describe(&error), "the lease is not renewed");
                }
                Err(_) => break,
            }
        }
        self.fence.close();
    }

    /// Lets go of the lease, so that the next operator need not wait for it to run out.
    pub async fn release(&mut self) {
        self.fence.close();
        if self.leads_until.take().is_none() {
            return;
        }
        let Ok(Some(mut lease)) = call(|| "read the lease".into(), self.api.get_opt(NAME)).await
        else {
            return;
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() == Some(&self.identity) {
            spec.holder_identity = Some(String::new());
            let params = PostParams::default();
            let _ =
                call(|| "release the lease".into(), self.api.replace(NAME, &params, &lease)).await;
        }
    }

    /// Takes or renews the lease if that is possible; true if this operator leads now.
    async fn try_once(&mut self) -> Result<bool, KubeError> {
        let began = Instant::now();
        let params = PostParams::default();
        match call(|| "read the lease".into(), self.api.get_opt(NAME)).await? {
            None => {
                let lease = Lease {
                    metadata: ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() },
                    spec: Some(self.renewed(&LeaseSpec::default())),
                };
                call(|| "make the lease".into(), self.api.create(&params, &lease)).await?;
            }
            Some(mut lease) => {
                let spec = lease.spec.clone().unwrap_or_default();
                if !self.record.is_free(&spec, &self.identity, began) {
                    tracing::debug!(holder = self.record.holder, "another operator leads");
                    return Ok(false);
                }
                lease.spec = Some(self.renewed(&spec));
                // It names the version that was read: if another was quicker, this is refused.
                debug_assert!(lease.resource_version().is_some());
                let what = || "renew the lease".to_owned();
                call(what, self.api.replace(NAME, &params, &lease)).await?;
            }
        }
        let until = began + RENEW_WITHIN;
        self.leads_until = Some(until);
        self.fence.extend(until);
        Ok(true)
    }

    fn renewed(&self, spec: &LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(now()));
        let is_mine = spec.holder_identity.as_ref() == Some(&self.identity);
        let transitions = spec.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if is_mine { spec.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(if is_mine { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

/// The time, for people: nothing is decided by it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or_default();
    Timestamp::from_microsecond(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(holder: &str, renewed_s: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Timestamp::from_second(renewed_s).ok().map(MicroTime),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_free_only_when_its_record_stood_still_for_its_duration() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut record = Record::default();
        // Its clock is far behind ours, and that means nothing.
        assert!(!record.is_free(&spec("other", 0), "me", at(0)));
        assert!(!record.is_free(&spec("other", 0), "me", at(14)));
        assert!(!record.is_free(&spec("other", 1), "me", at(15)), "it was renewed");
        assert!(!record.is_free(&spec("other", 1), "me", at(29)));
        assert!(record.is_free(&spec("other", 1), "me", at(30)));
    }

    #[test]
    fn a_lease_of_nobody_or_of_my_own_is_free() {
        let now = Instant::now();
        assert!(Record::default().is_free(&spec("", 5), "me", now));
        assert!(Record::default().is_free(&spec("me", 5), "me", now));
    }

    #[test]
    fn the_leader_stops_before_another_begins() {
        assert!(RENEW_WITHIN + EVERY < DURATION);
    }
}

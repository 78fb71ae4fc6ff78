//! The volume of a broker that will not come back. That it is lost is said on the claim itself, so that
//! what is said goes with the volume and is never believed of the next one. What is given up was seen
//! to be so twice, half a minute apart.

use std::time::{Duration, Instant};

use chronik_plan::BrokerId;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::Kube;
use super::error::KubeError;
use crate::platform::Outcome;

/// The annotation of a claim by which somebody says that its volume will not come back.
pub const LOST: &str = "chronik.io/lost";
/// How long it has to be so.
const SEEN_FOR: Duration = Duration::from_secs(30);

/// Whether somebody says so.
#[must_use]
pub fn is_said_lost(claim: &PersistentVolumeClaim) -> bool {
    let notes = claim.metadata.annotations.as_ref();
    notes.and_then(|notes| notes.get(LOST)).is_some_and(|value| value == "true")
}

/// Whether this very volume was seen in the same state for long enough.
#[must_use]
pub fn is_due(doomed: &mut Option<(String, Instant)>, uid: &str, now: Instant) -> bool {
    match doomed {
        Some((known, since)) if known == uid => now.duration_since(*since) >= SEEN_FOR,
        _ => {
            *doomed = Some((uid.to_owned(), now));
            false
        }
    }
}

impl Kube {
    /// Deletes the claim, then the pod that waits for it; the set makes both anew.
    pub(super) async fn replace(&mut self, id: BrokerId) -> Result<Outcome, KubeError> {
        let Some(workload) = self.seen.get(&id) else { return Ok(Outcome::Done) };
        let Some(claim) = &workload.claim else { return Ok(Outcome::Done) };
        let name = claim.metadata.name.clone().unwrap_or_default();
        let uid = claim.metadata.uid.clone().unwrap_or_default();
        if !is_due(&mut self.doomed, &uid, Instant::now()) {
            let seconds = SEEN_FOR.as_secs();
            let why = format!("volume {name} is given up once it has been lost for {seconds} s");
            return Ok(Outcome::Later(why));
        }
        if claim.metadata.deletion_timestamp.is_none() {
            self.objects.delete::<PersistentVolumeClaim>(&claim.metadata).await?;
        }
        let pod = workload.pod.as_ref();
        match pod.filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            Some(pod) => {
                self.objects.delete::<Pod>(&pod.metadata).await?;
                Ok(Outcome::Done)
            }
            None => Ok(Outcome::Later(format!("volume {name} is being deleted"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_given_up_only_after_it_was_seen_lost_for_a_while() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut doomed = None;
        assert!(!is_due(&mut doomed, "a", at(0)));
        assert!(!is_due(&mut doomed, "a", at(29)));
        assert!(is_due(&mut doomed, "a", at(30)));
        assert!(!is_due(&mut doomed, "b", at(31)), "another volume");
        doomed = None;
        assert!(!is_due(&mut doomed, "a", at(32)), "it was not so meanwhile");
    }
}

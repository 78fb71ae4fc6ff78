//! The pipeline, one line a step: observe, plan, execute, status. One pass never waits for progress;
//! whatever it started is seen by the next.

use std::collections::BTreeMap;

use chronik_plan::{BrokerId, Plan, Step, plan};

use crate::admin::grpc;
use crate::api::status::ClusterStatus;
use crate::observe::{Sight, observe};
use crate::platform::{Outcome, Platform, Tended};
use crate::side_effects::SideEffects;
use crate::status;
use crate::validate::Wanted;

/// What a pass came to.
#[derive(Debug)]
pub struct Pass {
    /// What was planned.
    pub plan: Plan,
    /// What was done, in words.
    pub done: Vec<String>,
    /// What people are told.
    pub status: ClusterStatus,
    /// Clients are served.
    pub serves: bool,
    /// How far replicas that are being filled have come.
    pub copied: u64,
}

/// Carries plans out on one platform.
#[derive(Debug)]
pub struct Reconciler<P> {
    /// Where the brokers run.
    pub platform: P,
    admin: grpc::Admin,
    rebalanced_at: Option<BTreeMap<BrokerId, u32>>,
    side_effects: SideEffects,
}

impl<P: Platform> Reconciler<P> {
    /// Begins with no memory: whatever matters is seen.
    pub fn new(platform: P, side_effects: SideEffects) -> Self {
        Reconciler { platform, admin: grpc::Admin::default(), rebalanced_at: None, side_effects }
    }

    /// One pass.
    pub async fn pass(&mut self, wanted: &Wanted) -> Result<Pass, P::Error> {
        self.platform.configure(wanted);
        let cluster_id = self.platform.cluster_id()?;
        let mut sight = self.observe().await?;
        let mut plan = plan(&wanted.desired(&cluster_id), &sight.observed);
        let Tended { mut done, refused, waiting } = self.platform.tend(&plan).await?;
        plan.refused.extend(refused);
        plan.waiting.extend(waiting);
        done.extend(self.execute(&plan, &mut sight).await);
        let status = status::of(wanted, &sight, &plan, |id| self.platform.addresses(id).kafka);
        let (serves, copied) = (status::serves(&sight), status::copied(&sight));
        Ok(Pass { plan, done, status, serves, copied })
    }

    /// What would be done now, and what is seen.
    pub async fn look(&mut self, wanted: &Wanted) -> Result<Pass, P::Error> {
        self.platform.configure(wanted);
        let cluster_id = self.platform.cluster_id()?;
        let sight = self.observe().await?;
        let plan = plan(&wanted.desired(&cluster_id), &sight.observed);
        let status = status::of(wanted, &sight, &plan, |id| self.platform.addresses(id).kafka);
        let (serves, copied) = (status::serves(&sight), status::copied(&sight));
        Ok(Pass { plan, done: Vec::new(), status, serves, copied })
    }

    async fn observe(&mut self) -> Result<Sight, P::Error> {
        let mut sight =
            observe(&mut self.platform, &mut self.admin, self.rebalanced_at.as_ref()).await?;
        self.rebalanced_at = sight.observed.still_rebalanced_at();
        sight.troubles = self.platform.troubles();
        Ok(sight)
    }

    async fn execute(&mut self, plan: &Plan, sight: &mut Sight) -> Vec<String> {
        let mut done = Vec::new();
        for step in &plan.steps {
            match self.perform(step).await {
                Ok(Outcome::Done) => {
                    tracing::info!(%step, "done");
                    done.push(step.to_string());
                    self.remember(step, sight);
                    self.side_effects.count();
                }
                Ok(Outcome::Later(why)) => sight.errors.push(why),
                Err(why) => {
                    tracing::warn!(%step, %why, "not done");
                    sight.errors.push(format!("{step}: {why}"));
                }
            }
        }
        done
    }

    async fn perform(&mut self, step: &Step) -> Result<Outcome, String> {
        let to = match step {
            Step::Start(_)
            | Step::Stop(_)
            | Step::Update(_)
            | Step::DeleteVolume(_)
            | Step::Replace(_) => {
                return self.platform.execute(step).await.map_err(|e| describe(&e));
            }
            Step::Initialize { to, .. }
            | Step::ChangeMembership { to, .. }
            | Step::TransferLeadership { to, .. }
            | Step::Cordon { to, .. }
            | Step::Uncordon { to, .. }
            | Step::Drain { to, .. }
            | Step::Rebalance { to }
            | Step::SetRack { to, .. }
            | Step::SetAdvertised { to, .. }
            | Step::SetCatchUpRate { to, .. }
            | Step::RemoveBroker { to, .. }
            | Step::Wipe { to, .. } => *to,
        };
        if !self.platform.may_act() {
            return Err("this operator does not lead any more".into());
        }
        let Some(address) = self.platform.admin_address(to) else {
            return Ok(Outcome::Later(format!("broker {to} has no address now")));
        };
        let client = self.admin.client(to, &address).map_err(|e| describe(&e))?;
        let call = grpc::perform(client, to, step);
        match tokio::time::timeout(grpc::RPC_DEADLINE, call).await {
            Ok(answer) => answer.map(|()| Outcome::Done).map_err(|e| describe(&e)),
            Err(_) => Err(format!("broker {to} did not answer within 5 s; it may still happen")),
        }
    }

    fn remember(&mut self, step: &Step, sight: &Sight) {
        if matches!(step, Step::Rebalance { .. }) {
            self.rebalanced_at = sight.observed.replica_counts();
        }
    }
}

/// An error and its causes on one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

//! Where brokers run. A platform starts, stops and forgets; it decides nothing.

pub mod kube;
pub mod local;

use std::collections::BTreeMap;
use std::future::Future;

use chronik_plan::{BrokerId, Plan, Process, Refusal, Step, Wait};

use crate::admin::grpc::Credentials;
use crate::validate::Wanted;

/// How one broker is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// For Kafka clients.
    pub kafka: String,
    /// For its peers and for the operator.
    pub peer: String,
    /// Metrics and health.
    pub http: String,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// It changed nothing: it is under way already, or it is too early.
    Later(String),
}

/// What was done beside the brokers themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tended {
    /// What was changed, in words.
    pub done: Vec<String>,
    /// What the platform would not do.
    pub refused: Vec<Refusal>,
    /// What the platform waits for, beside the plan.
    pub waiting: Vec<Wait>,
}

/// A place where brokers run.
pub trait Platform {
    /// Why something could not be done.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What exists, by broker id.
    fn observe(
        &mut self,
    ) -> impl Future<Output = Result<BTreeMap<BrokerId, Process>, Self::Error>> + Send;
    /// How a broker is, or would be, reached.
    fn addresses(&self, broker: BrokerId) -> Addresses;
    /// Where a broker answers the operator; none while it surely cannot.
    fn admin_address(&self, broker: BrokerId) -> Option<String> {
        Some(self.addresses(broker).peer)
    }
    /// Who the operator is to brokers.
    fn credentials(&self) -> Credentials {
        Credentials::Plain
    }

    /// Where brokers stand, as far as it was seen; only if the manifest asks for it.
    fn racks(&self) -> BTreeMap<BrokerId, String> {
        BTreeMap::new()
    }
    /// Where clients outside find brokers, as far as it was seen; only if the manifest asks for it.
    fn advertised(&self) -> BTreeMap<BrokerId, String> {
        BTreeMap::new()
    }
    /// Brokers that do not come up, in the platform's own words.
    fn troubles(&self) -> Vec<String> {
        Vec::new()
    }
    /// Whether this operator may still change anything.
    fn may_act(&self) -> bool {
        true
    }
    /// Sees to all that a cluster has beside its brokers, before any step of this plan is taken.
    fn tend(&mut self, _plan: &Plan) -> impl Future<Output = Result<Tended, Self::Error>> + Send {
        async { Ok(Tended::default()) }
    }
    /// Takes over what a new manifest says.
    fn configure(&mut self, wanted: &Wanted);
    /// Carries out a step that is the platform's.
    fn execute(&mut self, step: &Step)
    -> impl Future<Output = Result<Outcome, Self::Error>> + Send;
    /// The id of this cluster, the same at every call.
    fn cluster_id(&mut self) -> Result<String, Self::Error>;
    /// Whether the cluster was ever seen formed.
    fn formed(&self) -> bool;
    /// Remembers that it was.
    fn set_formed(&mut self, cluster_id: &str) -> Result<(), Self::Error>;
}

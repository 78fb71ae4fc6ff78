//! Where brokers run. A platform starts, stops and forgets; it decides nothing.

pub mod local;

use std::collections::BTreeMap;
use std::future::Future;

use chronik_plan::{BrokerId, Process, Step};

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

/// A place where brokers run.
pub trait Platform {
    /// Why something could not be done.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What exists, by broker id.
    fn observe(&mut self) -> Result<BTreeMap<BrokerId, Process>, Self::Error>;
    /// How a broker is, or would be, reached.
    fn addresses(&self, broker: BrokerId) -> Addresses;
    /// Takes over what a new manifest says.
    fn configure(&mut self, wanted: &Wanted);
    /// Carries out a step that is the platform's.
    fn execute(&mut self, step: &Step) -> Result<Outcome, Self::Error>;
    /// Stops everything cleanly; data stays.
    fn shutdown(&mut self) -> impl Future<Output = Result<(), Self::Error>>;
    /// The id of this cluster, the same at every call.
    fn cluster_id(&mut self) -> Result<String, Self::Error>;
    /// Whether the cluster was ever seen formed.
    fn formed(&self) -> bool;
    /// Remembers that it was.
    fn set_formed(&mut self, cluster_id: &str) -> Result<(), Self::Error>;
}

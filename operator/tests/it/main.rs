//! The operator against real gRPC, real processes and real files, without real brokers.

#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

mod api_server;
mod certificates;
mod crd;
mod external;
mod fleet;
mod kube;
mod local;
mod manifests;
#[path = "../../plan/tests/it/model.rs"]
mod model;
#[path = "../../plan/tests/it/model_rolls.rs"]
mod model_rolls;
#[path = "../../plan/tests/it/model_steps.rs"]
mod model_steps;
mod nodes;
mod policy;
mod reconcile;
mod topics;

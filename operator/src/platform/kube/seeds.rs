//! Whom a broker asks for its cluster when it knows nobody yet. It is read when a container starts,
//! so a cluster that grows does not restart the brokers that it has.

use std::collections::BTreeSet;

use chronik_plan::BrokerId;
use k8s_openapi::api::core::v1::ConfigMap;

use super::inputs::{Inputs, Port};

/// The variable that the broker reads.
pub const VARIABLE: &str = "CHRONIK_SEED_BROKERS";

/// The map of all brokers that exist or should.
#[must_use]
pub fn build(inputs: &Inputs, brokers: &BTreeSet<BrokerId>) -> ConfigMap {
    let names = &inputs.names;
    let port = inputs.port(Port::Peer);
    let seed = |id: &BrokerId| format!("{id}={}:{port}", names.host(*id));
    let seeds: Vec<String> = brokers.iter().map(seed).collect();
    ConfigMap {
        metadata: names.meta(names.seeds(), names.labels()),
        data: Some([(VARIABLE.to_owned(), seeds.join(","))].into()),
        ..ConfigMap::default()
    }
}

//! From a manifest to what is wanted. The rules are those of the CRD; what only the running cluster
//! can tell is left to the plan.

use chronik_plan::{BrokerId, Desired, Refusal, Rolling, VolumePolicy};
use kube::ResourceExt as _;

use crate::api::cluster::ChronikCluster;
use crate::api::external::ExternalListener;
use crate::api::policy;
use crate::api::storage::{Storage, WhenGone};

/// The port for clients outside is so many above the Kafka port, if the manifest names none.
const EXTERNAL_PORT_AFTER: u16 = 3;

/// A manifest that passed: newtypes and numbers, nothing raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The cluster's name.
    pub name: String,
    /// How many brokers.
    pub brokers: u32,
    /// What becomes of removed brokers' volumes.
    pub when_scaled: VolumePolicy,
    /// The Kafka port (on one machine, of broker 1). The next two are for peers and for metrics.
    pub port: u16,
    /// The port for clients outside, if there is to be one.
    pub external_port: Option<u16>,
    /// Settings of brokers that are not left at their defaults, by flag.
    pub settings: Vec<(&'static str, u64)>,
    /// Racks, in turn.
    pub racks: Vec<String>,
    /// The label of nodes that names the rack instead.
    pub rack_label: Option<String>,
    /// Nothing is to be changed.
    pub paused: bool,
    /// How brokers are restarted for a change.
    pub rolling: Rolling,
    /// Bytes a second that each broker sends at most to replicas that are catching up, if that is said.
    pub catch_up_rate: Option<u64>,
}

impl Wanted {
    /// What the plan needs of it.
    #[must_use]
    pub fn desired(&self, cluster_id: &str) -> Desired {
        Desired {
            cluster_id: cluster_id.into(),
            brokers: self.brokers,
            when_scaled: self.when_scaled,
            rolling: self.rolling,
            platform_racks: self.rack_label.is_some(),
            platform_addresses: self.external_port.is_some(),
            catch_up_rate: self.catch_up_rate,
        }
    }

    /// The rack of a broker, if there are any.
    #[must_use]
    pub fn rack(&self, broker: BrokerId) -> Option<&str> {
        let at = (broker as usize).checked_sub(1)?.checked_rem(self.racks.len())?;
        self.racks.get(at).map(String::as_str)
    }

    /// Every broker of this machine has ports of its own, so there can be too many of them.
    pub fn fits_one_machine(&self) -> Result<(), Vec<Refusal>> {
        let highest = u32::from(self.port) + self.brokers * 10;
        if highest <= u32::from(u16::MAX) {
            return Ok(());
        }
        Err(vec![Refusal {
            field: "spec.listeners.kafka.port".into(),
            value: self.port.to_string(),
            reason: format!("{} brokers need ports up to {highest}, past 65535", self.brokers),
        }])
    }
}

/// Fields that are set and mean something on Kubernetes only. They are no mistake: the same manifest
/// serves both.
#[must_use]
pub fn without_effect_here(cluster: &ChronikCluster) -> Vec<&'static str> {
    let spec = &cluster.spec;
    let plain = Storage::default();
    let set = [
        ("spec.listeners.kafka.tls", spec.listeners.kafka.tls.is_some()),
        ("spec.listeners.external", spec.listeners.external.is_some()),
        ("spec.image", spec.image.is_some()),
        ("spec.imagePullPolicy", spec.image_pull_policy.is_some()),
        ("spec.storage.size", spec.storage.size != plain.size),
        ("spec.storage.class", spec.storage.class.is_some()),
        ("spec.storage.whenDeleted", spec.storage.when_deleted != plain.when_deleted),
        ("spec.resources", spec.resources.is_some()),
        ("spec.podTemplate", spec.pod_template.is_some()),
        ("spec.rolling", spec.rolling.is_some()),
        ("spec.disruptionBudget", spec.disruption_budget.is_some()),
        ("spec.metrics", spec.metrics.is_some()),
        ("spec.rack", spec.rack.is_some()),
        ("spec.networkPolicy", spec.network_policy.is_some()),
    ];
    set.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| field).collect()
}

/// Checks a manifest, against the one accepted before if there is one. Every broken rule is named.
pub fn validate(
    cluster: &ChronikCluster,
    before: Option<&ChronikCluster>,
) -> Result<Wanted, Vec<Refusal>> {
    let checked = match before {
        Some(old) => cluster.validate_cel_update(old),
        None => cluster.validate_cel(),
    };
    let mut refusals = Vec::new();
    if let Err(errors) = checked {
        let json = serde_json::to_value(cluster).unwrap_or_default();
        for error in errors.into_vec() {
            let value = value_at(&json, &error.field_path);
            let field = error.field_path;
            refusals.push(Refusal { field, value, reason: error.message });
        }
    }
    let spec = &cluster.spec;
    refusals.extend(spec.listeners.external.as_ref().and_then(twice));
    let (Ok(brokers), Ok(port)) =
        (u32::try_from(spec.replicas), u16::try_from(spec.listeners.kafka.port))
    else {
        return Err(refusals);
    };
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let segment_bytes = spec.storage.segment_bytes.and_then(|b| u64::try_from(b).ok());
    let mut settings = spec.broker.flags();
    settings.extend(segment_bytes.map(|bytes| ("--segment-bytes", bytes)));
    Ok(Wanted {
        name: cluster.name_any(),
        brokers,
        when_scaled: match spec.storage.when_scaled {
            WhenGone::Retain => VolumePolicy::Retain,
            WhenGone::Delete => VolumePolicy::Delete,
        },
        port,
        external_port: spec.listeners.external.as_ref().map(|external| {
            // Both are bounded: a Kafka port is at most 55000.
            let given = external.port.and_then(|port| u16::try_from(port).ok());
            given.unwrap_or(port + EXTERNAL_PORT_AFTER)
        }),
        settings,
        racks: spec.racks.clone(),
        rack_label: spec.rack.as_ref().map(|rack| rack.topology_key.clone()),
        paused: spec.paused,
        rolling: spec.rolling.as_ref().map(rolling).unwrap_or_default(),
        catch_up_rate: spec.moves.as_ref().and_then(|m| u64::try_from(m.bytes_per_second).ok()),
    })
}

/// The API server refuses this by the type of the list.
fn twice(external: &ExternalListener) -> Option<Refusal> {
    let mut ids: Vec<i32> = external.brokers.iter().map(|broker| broker.id).collect();
    ids.sort_unstable();
    let id = ids.windows(2).find(|pair| pair[0] == pair[1])?[0];
    Some(Refusal {
        field: "spec.listeners.external.brokers".into(),
        value: id.to_string(),
        reason: "a broker is named once".into(),
    })
}

fn rolling(asked: &policy::Rolling) -> Rolling {
    let policy::Rolling { paused, wait_seconds } = *asked;
    Rolling { paused, wait_s: u32::try_from(wait_seconds).unwrap_or(0) }
}

fn value_at(json: &serde_json::Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    match json.pointer(&pointer) {
        Some(value) if !value.is_object() => value.to_string(),
        _ => String::new(),
    }
}

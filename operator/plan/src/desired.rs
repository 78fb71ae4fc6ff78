//! What the user wants, after validation. Parsing and defaults are left to the operator.

/// What becomes of the volume of a broker that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VolumePolicy {
    /// It stays until its id is needed again, and is wiped then.
    #[default]
    Retain,
    /// It is deleted once the broker is forgotten and its process has ended.
    Delete,
}

/// What the user wants of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The id that a new cluster gets; the same at every retry.
    pub cluster_id: String,
    /// How many brokers there should be; at least one.
    pub brokers: u32,
    /// What becomes of volumes when the cluster shrinks.
    pub when_scaled: VolumePolicy,
    /// How brokers are restarted for a change.
    pub rolling: Rolling,
    /// The racks that the platform knows are to be told to the cluster; otherwise brokers' own count.
    pub platform_racks: bool,
    /// Clients outside the platform are served: the cluster is to be told where they find brokers.
    pub platform_addresses: bool,
    /// Bytes a second that each broker sends at most to replicas that are catching up; none to leave
    /// it as the cluster's config has it.
    pub catch_up_rate: Option<u64>,
}

/// How brokers are restarted for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rolling {
    /// Brokers that serve keep what they run.
    pub paused: bool,
    /// For how many seconds every other broker has to have been ready before the next is restarted.
    pub wait_s: u32,
}

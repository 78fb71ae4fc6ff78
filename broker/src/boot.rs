//! The one place that names the real core: opens it, and shows it to the shell as an [`Engine`].

use anyhow::Context;
use chronik_core::admin::NodeState;
use chronik_core::core::input::{Hello, Input};
use chronik_core::core::inspect::{Counters, Inspection as CoreInspection};
use chronik_core::core::output::Output;
use chronik_core::core::{Config as CoreConfig, Core, Limits};
use chronik_core::ids::{BrokerId, Micros, Now, Uuid};

use crate::config::Config;
use crate::node::engine::{Engine, Inspection};
use crate::run::Identity;
use crate::storage::os_disk::OsDisk;
use crate::telemetry;

/// Opens the core on what its disk holds.
pub fn open(
    config: &Config,
    identity: Identity,
    disk: OsDisk,
    now: Now,
) -> anyhow::Result<Core<OsDisk>> {
    let Identity { directory, kafka_address, peer_address } = identity;
    let mut limits = Limits::default();
    limits.log.segment_bytes = config.storage.segment_bytes;
    limits.log.wal_file_bytes = config.storage.wal_file_bytes;
    limits.log.cache_bytes = config.storage.cache_bytes;
    limits.free_bytes_min = config.storage.free_bytes_min;
    let check = u64::try_from(config.storage.retention_check.as_millis()).unwrap_or(u64::MAX);
    limits.retention_check = Micros::from_millis(check);
    // The low half of a random uuid has 62 random bits.
    let (_, seed) = Uuid::new_v4().as_u64_pair();
    let settings = CoreConfig {
        broker: config.broker,
        directory,
        seed,
        kafka_address,
        peer_address,
        rack: config.rack.clone(),
        seeds: config.seeds.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        limits,
        logger: telemetry::raft_logger(),
    };
    let (core, notes) = Core::open(settings, disk, now).context("opening the data directory")?;
    for note in notes {
        tracing::warn!(note, "recovery");
    }
    Ok(core)
}

impl Engine for Core<OsDisk> {
    fn step(&mut self, now: Now, input: Input) {
        Core::step(self, now, input);
    }

    fn flush(&mut self, now: Now) {
        Core::flush(self, now);
    }

    fn outputs(&mut self) -> std::vec::Drain<'_, Output> {
        Core::outputs(self)
    }

    fn next_deadline(&self) -> Option<Micros> {
        Core::next_deadline(self)
    }

    fn serves_clients(&self) -> bool {
        Core::serves_clients(self)
    }

    fn registered(&self, broker: BrokerId) -> Option<Uuid> {
        Core::registered(self, broker)
    }

    fn hello(&self) -> Hello {
        Core::hello(self)
    }

    fn inspect(&self) -> Inspection {
        shown(Core::inspect(self))
    }
}

fn shown(seen: CoreInspection) -> Inspection {
    let CoreInspection {
        state,
        counters,
        roles,
        offline,
        damaged,
        coordinators,
        produces_parked,
        fetches_parked,
        watches,
        uncommitted_bytes,
        meta_applied,
        brokers_fenced,
    } = seen;
    let Counters {
        // The shell counts these where it reads them.
        requests: _,
        records_in,
        bytes_in,
        bytes_out,
        batches_refused,
        bad_frames,
        checkpoints,
        scrubbed_bytes,
        free_bytes,
    } = counters;
    Inspection {
        state,
        ready: state == NodeState::Member && offline == 0,
        roles: roles.into_iter().collect(),
        gauges: vec![
            ("offline_replicas", "Replicas taken offline by damage or a broken invariant", offline),
            ("damaged_replicas", "Replicas in service whose files are damaged", damaged),
            ("coordinators", "Groups of __consumer_offsets led here", coordinators),
            ("waiting_produces", "Produce requests that wait for their commit", produces_parked),
            ("waiting_fetches", "Fetch requests that wait for records", fetches_parked),
            ("fetch_watches", "How often a partition names a fetch that waits for it", watches),
            ("uncommitted_bytes", "Record bytes that wait for their quorum", uncommitted_bytes),
            ("meta_applied_index", "How far this node's image of the cluster is", meta_applied),
            ("brokers_fenced", "Brokers whose session has expired", brokers_fenced),
            ("disk_free_bytes", "Free bytes on the data directory's disk", free_bytes),
        ],
        counters: vec![
            ("produced_records", "Records taken from producers", records_in),
            ("produced_bytes", "Bytes of record batches taken from producers", bytes_in),
            ("fetched_bytes", "Bytes of record batches given to consumers", bytes_out),
            ("refused_batches", "Record batches refused", batches_refused),
            ("peer_bad_frames", "Frames of peers that did not decode", bad_frames),
            ("checkpoints", "Checkpoints of the write-ahead log", checkpoints),
            ("scrubbed_bytes", "Bytes of segments read to look for damage", scrubbed_bytes),
        ],
    }
}

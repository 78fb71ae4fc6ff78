//! More files than a process may have open.

use std::path::Path;

use anyhow::{Context, Result};
use chronik_e2e::cluster::{Broker, Cluster, STALL, dev_binaries};
use chronik_e2e::workload::{Plan, Workload};

use crate::damage::fill_until;
use crate::scenario::ensure;
use crate::size::RATE;
use crate::target::Target;

/// What the system lets each process have.
const DESCRIPTORS_MAX: usize = 300;
/// Each has two files once its records are in a segment.
const PARTITIONS: i32 = 170;

/// Files of all segments.
fn files(dir: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(dir)? {
        // A group may be removed while we look.
        count += std::fs::read_dir(entry?.path()).map_or(0, Iterator::count);
    }
    Ok(count)
}

/// Files of its data directory that a broker has open.
fn open(broker: &Broker) -> Result<usize> {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", broker.pid))?;
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    Ok(targets.filter(|target| target.starts_with(&broker.data)).count())
}

#[test]
fn partitions_may_have_more_files_than_may_be_open() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::prepare(3, dev_binaries()?)?;
        cluster.set_broker_flag("CHRONIK_WAL_BYTES", 4 << 20);
        let script = format!("ulimit -n {DESCRIPTORS_MAX}; exec \"$@\"");
        cluster.launch_with(["sh", "-c", &script, "sh"].map(str::to_owned).to_vec());
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;
        let topic = Target::new(&cluster.bootstrap()).topic("many", PARTITIONS, &[])?;
        let workload = Workload::start(Plan {
            bootstrap: cluster.bootstrap(),
            topic: topic.name,
            partitions: PARTITIONS,
            rate: RATE,
            value_bytes: 200,
        })?;
        workload.wait_for_more(PARTITIONS as usize * 2, STALL)?;
        fill_until(&cluster, "many files", || {
            let counts = cluster.brokers().into_iter();
            let counts = counts.map(|broker| files(&broker.data.join("shard-0/groups")));
            let least = counts.map(|count| count.unwrap_or(0)).min()?;
            (least > DESCRIPTORS_MAX).then_some(())
        })?;
        for broker in cluster.brokers() {
            let open = open(&broker)?;
            println!("  descriptors: broker {} has {open} of its files open", broker.id);
            ensure((1..=DESCRIPTORS_MAX / 2 + 8).contains(&open), format!("{open} open files"))?;
        }
        // A start looks into all of them.
        let victim = cluster.brokers().into_iter().next().context("three brokers")?;
        cluster.kill_broker(victim.id)?;
        workload.wait_for_more(RATE as usize, STALL)?;
        cluster.wait_converged(3)?;
        workload.finish(STALL)?;
        for id in 1..=3 {
            let log = cluster.broker_log(id);
            ensure(!log.contains("Too many open files"), format!("broker {id} ran out of files"))?;
        }
        cluster.check_logs()
    })();
    result.expect("files are opened and closed as needed");
}

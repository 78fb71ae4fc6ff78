//! A broker whose data directory is deleted while it is down comes back as a new incarnation.

use anyhow::{Context, Result};
use chronik_e2e::cluster::{Cluster, STALL};
use chronik_e2e::wait::{self, Look};

use crate::scenario::ensure;
use crate::size::{RATE, load};

/// The directory id that `__meta` knows a broker by.
fn directory(cluster: &Cluster, id: u32) -> Option<String> {
    let described = cluster.describe();
    let mut metas = described.iter().filter_map(|node| node.meta.as_ref());
    metas.find_map(|meta| {
        let broker = meta.brokers.iter().find(|broker| broker.id == id)?;
        Some(broker.directory.clone())
    })
}

#[test]
fn a_lost_data_directory_is_replaced() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(3)?;
        let (_topic, workload) = load(&cluster, "lost-disk")?;
        let victim = cluster.brokers().into_iter().last().context("three brokers")?;
        let before = directory(&cluster, victim.id).context("its directory id")?;
        // Without the operator nobody restarts it between the kill and the loss.
        cluster.kill_operator();
        cluster.kill_broker(victim.id)?;
        wait::until_true("its death", STALL, || cluster.broker(victim.id).is_err())?;
        std::fs::remove_dir_all(&victim.data)?;
        workload.wait_for_more(RATE as usize, STALL)?;
        cluster.start_operator(None)?;
        wait::until("a new incarnation", STALL, || {
            let found = directory(&cluster, victim.id);
            let is_new = found.as_ref().is_some_and(|found| *found != before);
            if is_new { Ok(Look::Done(())) } else { wait::at(found) }
        })?;
        cluster.wait_converged(3)?;
        workload.wait_for_more(RATE as usize, STALL)?;
        // It really carries its share: without another broker there is still a quorum.
        let other = cluster.brokers().into_iter().next().context("three brokers")?;
        cluster.kill_broker(other.id)?;
        workload.wait_for_more(RATE as usize * 3, STALL)?;
        cluster.wait_converged(3)?;
        let summary = workload.finish(STALL)?;
        println!(
            "  disk: {} records acknowledged, longest pause {:.2} s",
            summary.acked,
            summary.longest_pause.as_secs_f64()
        );
        ensure(summary.acked > 0, "nothing was acknowledged")?;
        cluster.check_logs()
    })();
    result.expect("a lost disk is replaced without anyone's help");
}

//! The operator dies after each of its side effects, and the next one ends in the same place.

use std::time::Duration;

use anyhow::{Context, Result};
use chronik_e2e::cluster::{Cluster, STALL};
use chronik_e2e::wait::{self, Look};

use crate::size::load;

/// Lets operators live for one side effect each until the cluster is at rest; how many it took.
fn one_effect_at_a_time(cluster: &mut Cluster, brokers: u32) -> Result<u32> {
    let mut lives = 0;
    loop {
        lives += 1;
        cluster.start_operator(Some(1))?;
        let has_ended = wait::until("one side effect or rest", STALL, || {
            if cluster.operator()?.exited()?.is_some() {
                return Ok(Look::Done(true));
            }
            if is_at_rest(cluster, brokers) {
                return Ok(Look::Done(false));
            }
            wait::at(
                cluster
                    .describe()
                    .iter()
                    .map(|node| node.meta.clone().map(|meta| meta.applied))
                    .collect::<Vec<_>>(),
            )
        })?;
        if !has_ended {
            cluster.kill_operator();
            return Ok(lives);
        }
    }
}

/// The same as `wait_converged`, once and without waiting.
fn is_at_rest(cluster: &Cluster, brokers: u32) -> bool {
    let described = cluster.describe();
    let voters = cluster.meta_members().map(|members| members.voters.len());
    described.len() == brokers as usize
        && cluster.brokers().len() == brokers as usize
        && voters.is_ok_and(|voters| voters == chronik_e2e::cluster::meta_voters(brokers))
        && described.iter().all(|node| {
            node.meta.as_ref().is_some_and(|meta| {
                meta.open
                    && meta.off_target == 0
                    && meta.brokers.len() == brokers as usize
                    && meta.brokers.iter().all(|broker| !broker.fenced && !broker.cordoned)
            })
        })
}

/// Every operator is killed after its first side effect, so every step of birth, growth and
/// shrinking is the last thing that some operator did.
#[test]
fn the_operator_is_killed_after_every_side_effect() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::prepare(3, chronik_e2e::cluster::dev_binaries()?)?;
        let lives = one_effect_at_a_time(&mut cluster, 3)?;
        println!("  operator: three brokers after {lives} operators");
        let (_topic, workload) = load(&cluster, "operator")?;
        for size in [5, 3] {
            cluster.manifest().set_replicas(size)?;
            let lives = one_effect_at_a_time(&mut cluster, size)?;
            println!("  operator: {size} brokers after {lives} operators");
        }
        // One that lives on finds nothing to do.
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;
        let summary = workload.finish(STALL)?;
        println!("  operator: {} records acknowledged", summary.acked);
        cluster.check_logs()
    })();
    result.expect("the operator resumes");
}

/// Brokers serve without an operator, and a new one takes the same processes over.
#[test]
fn brokers_outlive_the_operator() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(3)?;
        let (_topic, workload) = load(&cluster, "orphans")?;
        let before = cluster.brokers();
        cluster.kill_operator();
        workload.wait_for_more(1_000, STALL)?;
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;
        crate::scenario::equal("processes", cluster.brokers(), before)?;
        workload.finish(STALL)?;
        cluster.stop().context("a clean stop of adopted brokers")?;
        wait::until_true("all gone", Duration::from_secs(10), || cluster.brokers().is_empty())
    })();
    result.expect("brokers outlive the operator");
}

//! 3 -> 5 -> 3 brokers under load, with brokers killed at every step.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use chronik_e2e::cluster::{Cluster, STALL, meta_voters};
use chronik_e2e::wait::{self, Look};
use chronik_e2e::workload::{Plan, Workload};

use crate::scenario::{ensure, equal};
use crate::target::{Target, Topic};

pub(crate) const RATE: u32 = 500;

/// A topic with six partitions, and a producer and a consumer on it.
pub(crate) fn load(cluster: &Cluster, name: &str) -> Result<(Topic, Workload)> {
    let target = Target::new(&cluster.bootstrap());
    let topic = target.topic(name, 6, &[])?;
    let workload = Workload::start(Plan {
        bootstrap: cluster.bootstrap(),
        topic: topic.name.clone(),
        partitions: 6,
        rate: RATE,
        value_bytes: 200,
    })?;
    workload.wait_for_more(500, STALL)?;
    Ok((topic, workload))
}

/// Which of the running brokers dies next: decided by a seed that is printed, the `__meta` leader
/// every second time.
struct Reaper {
    state: u64,
    kills: u32,
}

impl Reaper {
    fn new() -> Reaper {
        let seed = std::env::var("CHRONIK_E2E_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
        println!("  size: CHRONIK_E2E_SEED={seed}");
        Reaper { state: seed, kills: 0 }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) as usize % below.max(1)
    }

    fn kill(&mut self, cluster: &Cluster) -> Result<()> {
        let brokers = cluster.brokers();
        let leader = cluster.meta_leader().ok().filter(|_| self.kills.is_multiple_of(2));
        let at = self.draw(brokers.len());
        let Some(victim) = leader.or_else(|| brokers.get(at).map(|broker| broker.id)) else {
            return Ok(());
        };
        self.kills += 1;
        println!(
            "  size: kill -9 of broker {victim}{}",
            if leader.is_some() { ", the __meta leader" } else { "" }
        );
        // It may be stopped by the operator in this very moment, which is fine too.
        cluster.kill_broker(victim).or_else(|error| {
            let is_gone = cluster.broker(victim).is_err();
            if is_gone { Ok(()) } else { Err(error) }
        })
    }
}

/// Edits the size and, whenever something has moved, kills a broker, up to `kills` times. Waits
/// until the cluster is at rest with the new size.
fn resize(cluster: &mut Cluster, to: u32, kills: u32, reaper: &mut Reaper) -> Result<()> {
    println!("  size: {to} brokers");
    let start = Instant::now();
    cluster.manifest().set_replicas(to)?;
    let mut seen = BTreeSet::new();
    let until = reaper.kills + kills;
    wait::until("steps of the plan", STALL, || {
        let standing = standing(cluster);
        if reaper.kills < until && seen.insert(standing.clone()) && seen.len() > 1 {
            // The one that was killed before has to be back: two down of three is no quorum.
            if all_answer(cluster) {
                reaper.kill(cluster)?;
            }
        }
        let members = cluster.meta_members().ok();
        let is_done = cluster.brokers().len() == to as usize
            && members.is_some_and(|members| members.voters.len() == meta_voters(to));
        if is_done { Ok(Look::Done(())) } else { wait::at(standing) }
    })?;
    cluster.wait_converged(to)?;
    println!("  size: {to} brokers at rest after {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Where the plan stands, in a text: processes, members of `__meta`, groups off target.
fn standing(cluster: &Cluster) -> String {
    let processes: Vec<u32> = cluster.brokers().iter().map(|broker| broker.id).collect();
    let members = cluster.meta_members().ok();
    let described = cluster.describe();
    let off_target = described.iter().filter_map(|node| Some(node.meta.as_ref()?.off_target)).min();
    format!("{processes:?} {members:?} {off_target:?}")
}

fn all_answer(cluster: &Cluster) -> bool {
    let described = cluster.describe();
    let unfenced = described.iter().all(|node| {
        node.meta.as_ref().is_some_and(|meta| meta.brokers.iter().all(|broker| !broker.fenced))
    });
    described.len() == cluster.brokers().len() && unfenced
}

#[test]
fn three_five_three_under_load_with_kills() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(3)?;
        let (_topic, workload) = load(&cluster, "load")?;
        let mut reaper = Reaper::new();
        reaper.kill(&cluster)?;
        workload.wait_for_more(RATE as usize * 5, STALL)?;
        cluster.wait_converged(3)?;
        resize(&mut cluster, 5, 3, &mut reaper)?;
        workload.wait_for_more(RATE as usize * 2, STALL)?;
        resize(&mut cluster, 3, 3, &mut reaper)?;
        workload.wait_for_more(RATE as usize * 2, STALL)?;
        let summary = workload.finish(STALL)?;
        println!(
            "  size: {} records acknowledged, {} kills, longest pause {:.2} s",
            summary.acked,
            reaper.kills,
            summary.longest_pause.as_secs_f64()
        );
        ensure(reaper.kills >= 4, format!("only {} brokers were killed", reaper.kills))?;
        cluster.check_logs()
    })();
    result.expect("no acknowledged record is lost, none is there twice, order is kept");
}

#[test]
fn one_broker_grows_to_three_and_shrinks_again() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(1)?;
        cluster.manifest().set_replicas(3)?;
        cluster.wait_converged(3)?;
        // Three replicas fit now, and no size below three does any more.
        let (_topic, workload) = load(&cluster, "grown")?;
        workload.wait_for_more(1_000, STALL)?;
        cluster.manifest().set_replicas(1)?;
        wait::until_true("a refusal with numbers", Duration::from_secs(60), || {
            let Ok(operator) = cluster.operator() else { return false };
            let output = operator.output();
            output.contains("replicas") && output.contains("cannot carry")
        })?;
        equal("brokers after the refusal", cluster.brokers().len(), 3)?;
        cluster.manifest().set_replicas(3)?;
        cluster.wait_converged(3)?;
        workload.finish(STALL)?;
        cluster.stop()?;
        // Everything is still there after a clean stop and a start.
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;
        cluster.check_logs()
    })();
    result.expect("a cluster of one grows to three");
}

#[test]
fn an_invalid_edit_changes_nothing() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(1)?;
        let before = cluster.brokers();
        let good = std::fs::read_to_string(cluster.manifest().path())?;
        for (text, expected) in [
            (good.replace("replicas: 1", "replicas: 0"), "replicas"),
            (good.replace("replicas: 1", "replicas: many"), "replicas"),
            (good.replace("spec:\n", "spec:\n  replicaCount: 3\n"), "replicaCount"),
            ("no: yaml: at all:".to_owned(), ""),
        ] {
            let seen = cluster.operator()?.output().len();
            cluster.manifest().write(&text)?;
            wait::until_true("a refusal", Duration::from_secs(30), || {
                let Ok(operator) = cluster.operator() else { return false };
                let output = operator.output();
                output
                    .get(seen..)
                    .is_some_and(|new| new.contains("edit refused") && new.contains(expected))
            })?;
            equal("brokers", cluster.brokers(), before.clone())?;
        }
        cluster.manifest().write(&good)?;
        cluster.wait_converged(1)
    })();
    result.expect("an invalid edit is refused");
}

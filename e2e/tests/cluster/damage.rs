//! Files that are not what they were: damaged records are found, named and rebuilt from the other
//! replicas; a torn end of the write-ahead log is cut.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use chronik_e2e::admin;
use chronik_e2e::cluster::{Broker, Cluster, STALL, dev_binaries};
use chronik_e2e::raw::{Connection, NO_SEQUENCE, batch};
use chronik_e2e::wait::{self, Look};

use crate::scenario::{ensure, equal};
use crate::size::{RATE, load};
use crate::target::{Target, Topic};
use crate::traps::reads::fetch;

const STORAGE_ERROR: i16 = 56;

/// The directory of a broker's replica of partition 0 of a topic, and the replica's peer id.
fn replica(broker: &Broker, topic: &Topic) -> Result<(PathBuf, u64)> {
    let prefix = format!("{}-0-", topic.id);
    for entry in fs::read_dir(broker.data.join("shard-0/groups"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(peer) = name.strip_prefix(&prefix) {
            let peer = u64::from_str_radix(peer, 16)?;
            return Ok((path, peer));
        }
    }
    anyhow::bail!("broker {} has no files of {}-0", broker.id, topic.name)
}

/// The first segment's records.
fn first_segment(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir)?.filter_map(|entry| Some(entry.ok()?.path()));
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.min().with_context(|| format!("no segment in {}", dir.display()))
}

/// Produces to another topic, so that checkpoints are made, until there is what is looked for.
pub(crate) fn fill_until<T>(
    cluster: &Cluster,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let target = Target::new(&cluster.bootstrap());
    let ballast = target.topic(&format!("ballast for {what}").replace(' ', "-"), 1, &[])?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let batch = batch(i64::try_from(now)?, NO_SEQUENCE, &[&[7; 900 << 10]]);
    let mut batches = 0;
    wait::until(what, STALL, || {
        if let Some(found) = look() {
            return Ok(Look::Done(found));
        }
        batches += 1;
        ensure(batches <= 100, format!("100 batches have not brought about {what}"))?;
        let leader = target.leaders(&ballast.name)?.into_iter().next();
        let mut leader = Connection::open(&leader.context("the ballast has a leader")?)?;
        wait::at(ballast.produce(&mut leader, 9, batch.clone())?.base_offset)
    })
}

/// Has a broker's replica lead partition 0 of a topic.
fn lead(cluster: &Cluster, topic: &Topic, broker: &Broker, peer: u64) -> Result<()> {
    let target = Target::new(&cluster.bootstrap());
    wait::until("its leadership", STALL, || {
        let leader = target.leaders(&topic.name)?.first().cloned();
        if leader.as_ref() == Some(&broker.kafka) {
            return Ok(Look::Done(()));
        }
        let leader = cluster.brokers().into_iter().find(|it| Some(&it.kafka) == leader.as_ref());
        let asked = leader
            .map(|leader| admin::transfer_leadership(&leader.peer, &topic.name, 0, Some(peer)));
        // It may lead no more, or be handing over already.
        wait::at(asked.map(|asked| asked.map_err(|error| error.to_string())))
    })
}

/// kill -9, with nobody there who would start it again.
fn kill(cluster: &mut Cluster, broker: &Broker) -> Result<()> {
    cluster.kill_operator();
    cluster.kill_broker(broker.id)?;
    wait::until_true("its death", STALL, || cluster.broker(broker.id).is_err())
}

#[test]
fn damaged_records_are_named_and_rebuilt_from_the_other_replicas() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::prepare(3, dev_binaries()?)?;
        cluster.set_broker_flag("CHRONIK_WAL_BYTES", 4 << 20);
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;
        let (topic, workload) = load(&cluster, "damage")?;
        let victim = cluster.brokers().into_iter().last().context("three brokers")?;
        // Up to a checkpoint, what is in segments is in the write-ahead log too.
        let checkpoint = victim.data.join("shard-0/wal/checkpoint");
        fill_until(&cluster, "a checkpoint", || checkpoint.exists().then_some(()))?;
        let (dir, peer) = replica(&victim, &topic)?;

        kill(&mut cluster, &victim)?;
        let segment = first_segment(&dir)?;
        let file = File::options().read(true).write(true).open(&segment)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, 100)?; // within the first batch's records
        file.write_all_at(&[byte[0] ^ 0x10], 100)?;
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;

        // Nobody has read it yet. A consumer that does is told to try again, and gets it then.
        let victim = cluster.broker(victim.id)?;
        lead(&cluster, &topic, &victim, peer)?;
        let mut connection = Connection::open(&victim.kafka)?;
        let found = wait::until("an answer of the leader", STALL, || {
            match fetch(&topic, &mut connection, 12, 0, 1 << 20)?.error_code {
                // It leads, and has not heard of it yet.
                error @ (6 | 78) => wait::at(error),
                error => Ok(Look::Done(error)),
            }
        })?;
        equal("a fetch of damaged records", found, STORAGE_ERROR)?;
        let named = format!("group={}-0", topic.id);
        wait::until_true("the damage to be named", STALL, || {
            let log = cluster.broker_log(victim.id);
            log.lines().any(|line| line.contains("taken offline") && line.contains(&named))
        })?;
        cluster.wait_converged(3)?;
        let new = fill_until(&cluster, "files of a new replica", || {
            let (_, new) = replica(&victim, &topic).ok()?;
            (new != peer).then_some(new)
        })?;
        ensure(!dir.exists(), "the damaged replica's files are still there")?;
        // What the workload reads in the end, it reads from the new replica.
        lead(&cluster, &topic, &victim, new)?;
        let summary = workload.finish(STALL)?;
        println!("  damage: {} records acknowledged", summary.acked);
        cluster.check_logs()
    })();
    result.expect("a damaged replica is rebuilt");
}

/// Spoils the last bytes that were written to a broker's write-ahead log.
fn tear(broker: &Broker) -> Result<()> {
    let entries = fs::read_dir(broker.data.join("shard-0/wal"))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let last = files.filter(|path| path.extension().is_some_and(|it| it == "wal")).max();
    let path = last.context("a file of the write-ahead log")?;
    let bytes = fs::read(&path)?;
    // Files are preallocated: behind the last record there are zeroes.
    let end = bytes.iter().rposition(|byte| *byte != 0).context("a written file")?;
    let file = File::options().write(true).open(&path)?;
    file.write_all_at(&[0xa5; 40], end as u64 - 24)?;
    Ok(())
}

#[test]
fn a_torn_end_of_the_write_ahead_log_is_cut_and_nothing_is_lost() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(3)?;
        let (_, workload) = load(&cluster, "torn")?;
        let victim = cluster.brokers().into_iter().last().context("three brokers")?;
        kill(&mut cluster, &victim)?;
        tear(&victim)?;
        // What it had acknowledged is on the others before it forgets some of it.
        workload.wait_for_more(RATE as usize, STALL)?;
        cluster.start_operator(None)?;
        wait::until_true("the cut", Duration::from_secs(60), || {
            cluster.broker_log(victim.id).contains("the write-ahead log was cut at byte")
        })?;
        cluster.wait_converged(3)?;
        // It carries its share again: without another broker there is still a quorum.
        let other = cluster.brokers().into_iter().next().context("three brokers")?;
        cluster.kill_broker(other.id)?;
        workload.wait_for_more(RATE as usize * 2, STALL)?;
        cluster.wait_converged(3)?;
        let summary = workload.finish(STALL)?;
        println!("  torn: {} records acknowledged", summary.acked);
        cluster.check_logs()
    })();
    result.expect("a torn end is cut");
}

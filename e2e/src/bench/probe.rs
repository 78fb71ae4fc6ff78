//! What no tool measures: the first acknowledged record, the pause after a leader's death,
//! topics with settings of their own, and what processes use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::bench::system::{Node, System};
use crate::process;

const CALL: Duration = Duration::from_secs(30);

/// When each partition was last acknowledged, and its longest wait since it was first watched.
#[derive(Debug, Default)]
struct Acks(Mutex<BTreeMap<i32, (Instant, Duration)>>);

struct Watch(Arc<Acks>);

impl ClientContext for Watch {}

impl ProducerContext for Watch {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Ok(message) = result else { return };
        let now = Instant::now();
        let mut acks = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = acks.entry(message.partition()).or_insert((now, Duration::ZERO));
        entry.1 = entry.1.max(now - entry.0);
        entry.0 = now;
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("socket.timeout.ms", "5000")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "100")
        .set("topic.metadata.refresh.interval.ms", "500")
        .set("topic.metadata.refresh.fast.interval.ms", "20");
    config
}

/// Produces one record to an existing topic, as soon as anyone takes it.
pub fn first_record(bootstrap: &str, topic: &str, limit: Duration) -> Result<()> {
    let acks = Arc::new(Acks::default());
    let producer: BaseProducer<Watch> =
        // An idempotent librdkafka looks for a broker only every 500 ms before its first record.
        config(bootstrap)
            .set("enable.idempotence", "false")
            .create_with_context(Watch(Arc::clone(&acks)))?;
    let record = BaseRecord::to(topic).key("k").payload("v");
    if let Err((error, _)) = producer.send(record) {
        bail!("the client refused the record: {error}");
    }
    let start = Instant::now();
    loop {
        producer.poll(Duration::from_millis(1));
        if !acks.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        if start.elapsed() > limit {
            bail!("no record was acknowledged within {limit:?}");
        }
    }
}

/// Makes a topic with three replicas, as soon as the cluster takes it.
pub fn create_topic(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    loop {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(3));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(CALL));
        let error = match runtime.block_on(admin.create_topics([&new], &options)) {
            Ok(results) => match results.into_iter().next() {
                Some(Ok(_)) => return Ok(()),
                Some(Err((_, rdkafka::error::RDKafkaErrorCode::TopicAlreadyExists))) => {
                    return Ok(());
                }
                Some(Err((_, code))) => code.to_string(),
                None => "no answer for the topic".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        // A cluster that is only just starting says that it has too few brokers.
        if start.elapsed() > CALL * 2 {
            bail!("topic {topic} was not created: {error}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills the leader of partition 0 under load; the longest time that any partition waited for an
/// acknowledgement afterwards.
pub fn pause_after_leaders_death(system: &mut dyn System, topic: &str) -> Result<Duration> {
    let acks = Arc::new(Acks::default());
    let producer: BaseProducer<Watch> =
        config(&system.bootstrap()).create_with_context(Watch(Arc::clone(&acks)))?;
    let metadata = producer.client().fetch_metadata(Some(topic), CALL)?;
    let partitions = metadata.topics().first().context("the topic is gone")?.partitions();
    let count = i32::try_from(partitions.len())?;
    let leader = partitions.iter().find(|partition| partition.id() == 0);
    let leader = leader.context("partition 0 is gone")?.leader();

    send_for(&producer, topic, count, Duration::from_secs(5))?;
    reset(&acks);
    system.kill(leader)?;
    let mut time = Duration::from_secs(20);
    loop {
        send_for(&producer, topic, count, time)?;
        // Still waiting for the first answer of some partition: longer than we watched.
        let waits = longest_open_wait(&acks);
        if waits < Duration::from_secs(5) || time > Duration::from_secs(90) {
            break;
        }
        time += Duration::from_secs(10);
    }
    producer.flush(Duration::from_secs(60))?;
    let acks = acks.0.lock().unwrap_or_else(PoisonError::into_inner);
    acks.values().map(|(_, longest)| *longest).max().context("nothing was acknowledged")
}

fn reset(acks: &Acks) {
    let mut acks = acks.0.lock().unwrap_or_else(PoisonError::into_inner);
    acks.values_mut().for_each(|(_, longest)| *longest = Duration::ZERO);
}

fn longest_open_wait(acks: &Acks) -> Duration {
    let acks = acks.0.lock().unwrap_or_else(PoisonError::into_inner);
    acks.values().map(|(last, _)| last.elapsed()).max().unwrap_or_default()
}

/// 500 records a second, over all partitions in turn.
fn send_for(
    producer: &BaseProducer<Watch>,
    topic: &str,
    partitions: i32,
    time: Duration,
) -> Result<()> {
    let start = Instant::now();
    let payload = [b'x'; 1024];
    let mut sent: u32 = 0;
    while start.elapsed() < time {
        let due = start.elapsed().as_millis() / 2;
        while u128::from(sent) < due {
            let partition = i32::try_from(sent)? % partitions;
            let record: BaseRecord<'_, (), [u8]> =
                BaseRecord::to(topic).partition(partition).payload(&payload[..]);
            if let Err((error, _)) = producer.send(record) {
                bail!("the client refused a record: {error}");
            }
            sent += 1;
        }
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

/// CPU time of all nodes so far.
pub fn cpu(nodes: &[Node]) -> Duration {
    nodes.iter().filter_map(|node| process::cpu_time(node.pid)).sum()
}

/// Resident memory of the largest node, in MiB.
pub fn memory_mib(nodes: &[Node]) -> f64 {
    let bytes = nodes.iter().filter_map(|node| process::resident_bytes(node.pid)).max();
    bytes.unwrap_or_default() as f64 / f64::from(1 << 20)
}

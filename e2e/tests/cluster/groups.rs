//! Consumer groups: members come and go, and offsets outlive their coordinator.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use chronik_e2e::cluster::{Cluster, STALL};
use chronik_e2e::wait::{self, Look};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::scenario::{self, ensure, equal};
use crate::target::{Target, text};

#[test]
fn groups() {
    scenario::run(
        "groups",
        &[
            ("three members share, one leaves, one joins", rebalance),
            ("the same with the cooperative assignor", rebalance_cooperatively),
            ("a group goes on where it has committed", goes_on),
        ],
    );
}

const PARTITIONS: i32 = 6;

fn member(target: &Target, group: &str, topic: &str, assignor: &str) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", target.bootstrap())
        .set("group.id", group)
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", assignor)
        .create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

/// Polls all members until each has its share: all partitions, none twice, as even as can be.
fn wait_for_shares(members: &[&BaseConsumer]) -> Result<()> {
    wait::until("even shares", STALL, || {
        let mut all = BTreeSet::new();
        let mut shares = Vec::new();
        for member in members {
            // Polling is what takes part in a rebalance; records do not matter here.
            let _ = member.poll(Duration::from_millis(20));
            let assignment = member.assignment()?;
            let share: BTreeSet<i32> =
                assignment.elements().iter().map(|element| element.partition()).collect();
            all.extend(share.iter().copied());
            shares.push(share.len());
        }
        let even = PARTITIONS as usize / members.len();
        let is_even = shares.iter().all(|share| *share == even);
        if is_even && all.len() == PARTITIONS as usize {
            Ok(Look::Done(()))
        } else {
            wait::at(shares)
        }
    })
}

/// Ends a member. librdkafka's close can wait for ever for a rebalance under way; whether the others
/// get its share is what is looked at, so nobody waits for it here.
fn leave(member: BaseConsumer) {
    std::thread::spawn(move || drop(member));
}

fn share_and_leave(target: &Target, assignor: &str) -> Result<()> {
    let topic = target.topic(&format!("shared-{assignor}"), PARTITIONS, &[])?;
    let group = topic.name.clone();
    let join = || member(target, &group, &topic.name, assignor);
    let first = join()?;
    wait_for_shares(&[&first])?;
    let second = join()?;
    wait_for_shares(&[&first, &second])?;
    let third = join()?;
    wait_for_shares(&[&first, &second, &third])?;
    leave(second);
    wait_for_shares(&[&first, &third])?;
    let fourth = join()?;
    wait_for_shares(&[&first, &third, &fourth])?;
    leave(first);
    leave(third);
    wait_for_shares(&[&fourth])
}

fn rebalance(target: &Target) -> Result<()> {
    share_and_leave(target, "range")
}

fn rebalance_cooperatively(target: &Target) -> Result<()> {
    share_and_leave(target, "cooperative-sticky")
}

fn fill(target: &Target, topic: &str, count: usize) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", target.bootstrap())
        .set("acks", "all")
        .create()?;
    for number in 0..count {
        let value = number.to_string();
        let record = BaseRecord::<str, str>::to(topic).payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(60))?)
}

/// Reads this many records as a member of the group, commits, and leaves.
fn read(target: &Target, group: &str, topic: &str, count: usize) -> Result<BTreeSet<(i32, i64)>> {
    use rdkafka::message::Message;
    let consumer = member(target, group, topic, "range")?;
    let mut found = BTreeSet::new();
    wait::until("records of the group", STALL, || {
        while let Some(message) = consumer.poll(Duration::from_millis(50)) {
            let message = message?;
            found.insert((message.partition(), message.offset()));
            consumer.store_offset_from_message(&message).or_else(|error| {
                // With automatic storing the offset is stored already.
                if error.rdkafka_error_code().is_some() { Ok(()) } else { Err(error) }
            })?;
            if found.len() == count {
                return Ok(Look::Done(()));
            }
        }
        wait::at(found.len())
    })?;
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(found)
}

fn goes_on(target: &Target) -> Result<()> {
    let topic = target.topic("goes-on", PARTITIONS, &[])?;
    fill(target, &topic.name, 600)?;
    let first = read(target, &topic.name, &topic.name, 250)?;
    let rest = read(target, &topic.name, &topic.name, 350)?;
    equal("records read twice", first.intersection(&rest).count(), 0)?;
    equal("records read", first.len() + rest.len(), 600)
}

/// The coordinator is killed: another takes over, with everything that was committed.
#[test]
fn offsets_survive_the_death_of_the_coordinator() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(3)?;
        let target = Target::new(&cluster.bootstrap());
        let topic = target.topic("survivors", PARTITIONS, &[])?;
        let group = "survivors";
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", target.bootstrap())
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()?;
        let mut offsets = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let offset = Offset::Offset(i64::from(partition) * 7);
            offsets.add_partition_offset(&topic.name, partition, offset)?;
        }
        wait::until("a commit", STALL, || match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => Ok(Look::Done(())),
            Err(error) => wait::at(error),
        })?;
        let coordinator = coordinator(&target, group)?;
        cluster.kill_broker(coordinator)?;
        let found = wait::until("committed offsets", STALL, || {
            match consumer.committed_offsets(offsets.clone(), Duration::from_secs(5)) {
                Ok(found) => Ok(Look::Done(found)),
                Err(error) => wait::at(error),
            }
        })?;
        for partition in 0..PARTITIONS {
            let found = found.find_partition(&topic.name, partition).context("the partition")?;
            equal("committed", found.offset(), Offset::Offset(i64::from(partition) * 7))?;
        }
        cluster.wait_converged(3)?;
        cluster.check_logs()
    })();
    result.expect("committed offsets survive");
}

fn coordinator(target: &Target, group: &str) -> Result<u32> {
    use kafka_protocol::messages::{ApiKey, FindCoordinatorRequest, FindCoordinatorResponse};
    let request = FindCoordinatorRequest::default().with_key(text(group));
    let answer: FindCoordinatorResponse =
        target.connect()?.call(ApiKey::FindCoordinator, 3, &request)?;
    ensure(answer.error_code == 0, format!("error {}", answer.error_code))?;
    u32::try_from(answer.node_id.0).context("a negative broker id")
}

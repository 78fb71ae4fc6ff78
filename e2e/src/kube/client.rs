//! A producer and a checking consumer on a topic of their own: from outside of pods throughout a
//! scenario, and in a pod, where clients of users are.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;

use crate::kube::cluster::{PACE, STALL};
use crate::wait::{self, Look};
use crate::workload::{Plan, Workload};

/// Records a second.
pub const RATE: u32 = 500;
const PARTITIONS: i32 = 6;

/// Makes the topic and starts both; they run when this returns.
pub fn start(bootstrap: &str, topic: &str, replicas: i32) -> Result<Workload> {
    create_topic(bootstrap, topic, replicas)?;
    let load = Workload::start(Plan {
        bootstrap: bootstrap.to_owned(),
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        rate: RATE,
        value_bytes: 200,
    })?;
    load.wait_for_more(RATE as usize, STALL)?;
    Ok(load)
}

/// All that a client in a pod does: produce, consume, check.
pub fn run(bootstrap: &str, topic: &str) -> Result<usize> {
    let load = start(bootstrap, topic, 3)?;
    load.wait_for_more(RATE as usize * 4, STALL)?;
    let acked = load.finish(STALL)?.acked;
    delete_topic(bootstrap, topic)?;
    Ok(acked)
}

/// Deletes a topic that was made with [`start`]. A cluster that is gone by now has none.
pub fn delete_topic(bootstrap: &str, topic: &str) -> Result<()> {
    let admin: AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().context("no client")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let timeout = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    // What is left of it only makes later scenarios slower.
    let _ = runtime.block_on(admin.delete_topics(&[topic], &timeout));
    Ok(())
}

fn create_topic(bootstrap: &str, topic: &str, replicas: i32) -> Result<()> {
    let admin: AdminClient<_> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().context("no client")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let timeout = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    wait::until_every(PACE, "the topic", STALL, || {
        let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(replicas));
        let answers = match runtime.block_on(admin.create_topics(&[new], &timeout)) {
            Ok(answers) => answers,
            Err(error) => return wait::at(error),
        };
        match answers.into_iter().next() {
            // A first try may have done it although its answer was lost.
            Some(Ok(_) | Err((_, rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists))) => {
                Ok(Look::Done(()))
            }
            Some(Err((_, code))) => wait::at(code),
            None => bail!("no answer for topic {topic}"),
        }
    })
}

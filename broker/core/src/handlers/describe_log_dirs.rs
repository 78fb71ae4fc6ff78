//! DescribeLogDirs: the replicas on this broker and their sizes. A broker has one data directory.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};

use super::{Call, text};
use crate::core::Core;
use crate::ids::PartitionId;
use crate::log::disk::Disk;

/// The core does not know where its disk is; this names the only directory that there is.
const DIRECTORY: &str = "data";

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &DescribeLogDirsRequest) {
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (id, replica) in &core.replicas {
        let Some(topic) = core.meta.topic(id.topic) else { continue };
        if !is_asked(request, &topic.name, *id) {
            continue;
        }
        let size = replica.group.log().size_bytes();
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(i32::try_from(id.partition).unwrap_or(i32::MAX))
            .with_partition_size(i64::try_from(size).unwrap_or(i64::MAX));
        topics.entry(topic.name.clone()).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default().with_name(TopicName(text(name))).with_partitions(partitions)
    });
    let directory = DescribeLogDirsResult::default()
        .with_log_dir(text(DIRECTORY))
        .with_topics(topics.collect())
        .with_usable_bytes(i64::try_from(core.counters.free_bytes).unwrap_or(i64::MAX));
    call.answer(core, DescribeLogDirsResponse::default().with_results(vec![directory]));
}

fn is_asked(request: &DescribeLogDirsRequest, topic: &str, id: PartitionId) -> bool {
    let Some(topics) = &request.topics else { return true };
    let asked = |index: &i32| u32::try_from(*index) == Ok(id.partition);
    topics.iter().any(|t| t.topic.as_str() == topic && t.partitions.iter().any(asked))
}

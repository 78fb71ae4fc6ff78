//! ElectLeaders: hands leaderships to the first-named replicas. It is answered when the transfer
//! is under way; the metadata shows when it has happened.

use std::collections::BTreeMap;

use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};

use super::refusal::Failure;
use super::{Call, text, view};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::PartitionId;
use crate::log::disk::Disk;

const PREFERRED: i8 = 0;

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &ElectLeadersRequest) {
    let mut results: BTreeMap<String, Vec<PartitionResult>> = BTreeMap::new();
    for (topic, index) in asked(core, request) {
        let elected = elect(core, request.election_type, &topic, index);
        let not_needed = |f: &Failure| f.error == KafkaError::ElectionNotNeeded;
        if request.topic_partitions.is_none() && elected.as_ref().is_err_and(not_needed) {
            continue; // Who asks for all partitions wants to hear of those that move.
        }
        let result = PartitionResult::default().with_partition_id(index);
        let result = match elected {
            Ok(()) => result,
            Err(failure) => {
                result.with_error_code(failure.code()).with_error_message(failure.text())
            }
        };
        results.entry(topic).or_default().push(result);
    }
    let results = results.into_iter().map(|(topic, partitions)| {
        ReplicaElectionResult::default()
            .with_topic(TopicName(text(topic)))
            .with_partition_result(partitions)
    });
    let results = results.collect();
    call.answer(core, ElectLeadersResponse::default().with_replica_election_results(results));
}

fn asked<D: Disk>(core: &Core<D>, request: &ElectLeadersRequest) -> Vec<(String, i32)> {
    match &request.topic_partitions {
        Some(topics) => topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(|p| (t.topic.to_string(), *p)))
            .collect(),
        None => core
            .meta
            .topics()
            .flat_map(|t| {
                let count = i32::try_from(t.partitions).unwrap_or(i32::MAX);
                (0..count).map(|p| (t.name.clone(), p))
            })
            .collect(),
    }
}

fn elect<D: Disk>(
    core: &mut Core<D>,
    election_type: i8,
    topic: &str,
    index: i32,
) -> Result<(), Failure> {
    if election_type != PREFERRED {
        let message = "only replicas that have all committed records can be elected";
        return Err(Failure::new(KafkaError::PolicyViolation, message));
    }
    let id: PartitionId = view::find_partition(&core.meta, topic, index)?;
    let preferred = core.meta.partition(id).and_then(|p| p.target_brokers().next());
    let preferred = preferred.ok_or(KafkaError::PreferredLeaderNotAvailable)?;
    let leader = core.leader_of(id).map(|leader| leader.broker);
    if leader == Some(preferred) {
        return Err(KafkaError::ElectionNotNeeded.into());
    }
    if !view::is_live(&core.meta, preferred) {
        return Err(KafkaError::PreferredLeaderNotAvailable.into());
    }
    core.transfer(id, Some(preferred)).map_err(|error| match leader {
        Some(leader) if error == KafkaError::NotLeaderOrFollower => {
            let message = format!("broker {leader} leads the partition; send the request to it");
            Failure::new(error, message)
        }
        Some(_) | None => error.into(),
    })
}

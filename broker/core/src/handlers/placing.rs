//! Making topics: from what a client or the cluster itself wants to the command that makes it.
//! Whether the command is then accepted is `meta`'s.

use std::collections::BTreeMap;

use kafka_protocol::messages as m;

use super::broker_id;
use super::refusal::Failure;
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::{BrokerId, Index, Uuid};
use crate::log::disk::Disk;
use crate::meta::placement::place;
use crate::meta::topics::INTERNAL_REPLICAS_MAX;
use crate::meta::{ClusterConfig, Command, State};

pub(super) use crate::core::OFFSETS_TOPIC;

/// Where a new partition's replicas go, the first one to lead.
pub(super) type Placement = Vec<BrokerId>;

/// How many of something a client wants; -1 leaves it to the cluster's config.
pub(super) fn counted(
    wanted: i32,
    default: u32,
    error: KafkaError,
    what: &str,
) -> Result<u32, Failure> {
    match u32::try_from(wanted) {
        Ok(0) => Err(Failure::new(error, format!("{what} must be at least 1, or -1"))),
        Ok(count) => Ok(count),
        Err(_) if wanted == -1 => Ok(default),
        Err(_) => Err(Failure::new(error, format!("{what} must be at least 1, or -1"))),
    }
}

/// Partitions placed by the cluster.
pub(super) fn place_new(
    state: &State,
    partitions: i32,
    replication: i16,
) -> Result<Vec<Placement>, Failure> {
    let config = ClusterConfig::of(state);
    let partitions = counted(
        partitions,
        config.num_partitions,
        KafkaError::InvalidPartitions,
        "the number of partitions",
    )?;
    let replication = counted(
        replication.into(),
        config.default_replication_factor,
        KafkaError::InvalidReplicationFactor,
        "the replication factor",
    )?;
    place(state, partitions, replication).map_err(|error| Failure::from(&error))
}

/// Partitions placed by the client: numbered from 0 without holes, each with the brokers named.
pub(super) fn place_as_asked(
    assignments: &[(i32, &[m::BrokerId])],
) -> Result<Vec<Placement>, Failure> {
    let refuse = |message: String| Failure::new(KafkaError::InvalidReplicaAssignment, message);
    let mut placed: BTreeMap<i32, Placement> = BTreeMap::new();
    for (partition, brokers) in assignments {
        let ids: Option<Placement> = brokers.iter().map(|id| broker_id(*id)).collect();
        let ids =
            ids.ok_or_else(|| refuse(format!("partition {partition} names a negative broker id")))?;
        if placed.insert(*partition, ids).is_some() {
            return Err(refuse(format!("partition {partition} is assigned twice")));
        }
    }
    if !placed.keys().copied().eq(0..i32::try_from(placed.len()).unwrap_or(i32::MAX)) {
        return Err(refuse("assigned partitions must be numbered from 0 without holes".to_owned()));
    }
    Ok(placed.into_values().collect())
}

/// The command that makes a topic with the cluster's defaults; the groups' topic has its own.
pub(super) fn default_topic(state: &State, name: &str, id: Uuid) -> Result<Command, Failure> {
    let internal = name == OFFSETS_TOPIC;
    let partitions = if internal {
        let partitions = ClusterConfig::of(state).offsets_partitions;
        // Brokers that are away for a moment count: thin coordinators would stay thin.
        let brokers = state.brokers().filter(|broker| !broker.cordoned).count();
        let replication = u32::try_from(brokers.clamp(1, INTERNAL_REPLICAS_MAX)).unwrap_or(1);
        place(state, partitions, replication).map_err(|error| Failure::from(&error))?
    } else {
        place_new(state, -1, -1)?
    };
    let configs = BTreeMap::new();
    Ok(Command::CreateTopic { name: name.to_owned(), id, partitions, configs, internal })
}

/// What a command would come to, tried on a copy of the image.
pub(super) fn try_out(state: &State, command: &Command) -> Result<State, Failure> {
    /// Above every index of a real command, and still within a peer id.
    const SOME_DAY: Index = 1 << 43;
    let mut copy = state.clone();
    match copy.apply(SOME_DAY, command) {
        Ok(_) => Ok(copy),
        Err(refusal) => Err(Failure::from(&refusal)),
    }
}

/// Makes a topic with the cluster's defaults, or finds that somebody else has made it.
pub(super) fn create_default<D: Disk>(
    core: &mut Core<D>,
    name: &str,
    then: impl FnOnce(&mut Core<D>, Result<(), Failure>) + 'static,
) {
    let id = core.new_uuid();
    let command = match default_topic(&core.meta, name, id) {
        Ok(command) => command,
        Err(failure) => return then(core, Err(failure)),
    };
    core.propose_meta(&command, move |core, result| match result {
        Ok(_) => then(core, Ok(())),
        Err(error) => match Failure::from(&error) {
            failure if failure.error == KafkaError::TopicAlreadyExists => then(core, Ok(())),
            failure => then(core, Err(failure)),
        },
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[i32]) -> Vec<m::BrokerId> {
        ids.iter().map(|id| m::BrokerId(*id)).collect()
    }

    #[test]
    fn assignments_are_put_in_order_and_checked() {
        let (a, b) = (ids(&[1, 2]), ids(&[2, 1]));
        let placed = place_as_asked(&[(1, &b), (0, &a)]).unwrap();
        assert_eq!(placed, [[BrokerId(1), BrokerId(2)], [BrokerId(2), BrokerId(1)]]);
        let bad = ids(&[-1]);
        for wrong in [vec![(0, &a[..]), (0, &b)], vec![(0, &a), (2, &b)], vec![(0, &bad)]] {
            let error = place_as_asked(&wrong).unwrap_err().error;
            assert_eq!(error, KafkaError::InvalidReplicaAssignment);
        }
    }

    #[test]
    fn minus_one_is_the_default_and_zero_is_nothing() {
        let count = |wanted| counted(wanted, 7, KafkaError::InvalidPartitions, "it");
        assert_eq!(count(-1), Ok(7));
        assert_eq!(count(2), Ok(2));
        assert_eq!(count(0).unwrap_err().error, KafkaError::InvalidPartitions);
        assert_eq!(count(-2).unwrap_err().error, KafkaError::InvalidPartitions);
    }
}

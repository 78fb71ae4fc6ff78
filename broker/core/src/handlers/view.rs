//! What clients are shown of brokers and partitions: who can be reached, who leads, who is in sync.
//! Every answer that names brokers shows the same cluster.

use kafka_protocol::messages as m;
use kafka_protocol::protocol::StrBytes;

use super::{text, wire_id};
use crate::core::Core;
use crate::error::KafkaError;
use crate::ids::{BrokerId, PartitionId, PeerId};
use crate::log::disk::Disk;
use crate::meta::{Broker, Listener, State};

/// A broker that clients can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) id: m::BrokerId,
    pub(super) host: StrBytes,
    pub(super) port: i32,
    pub(super) rack: Option<StrBytes>,
}

/// Where clients of a listener reach a broker, whether or not it has a session.
pub(super) fn endpoint(broker: &Broker, listener: Listener) -> Option<Endpoint> {
    let (host, port) = broker.kafka_host_port(listener)?;
    Some(Endpoint {
        id: wire_id(broker.id()),
        host: text(host),
        port: i32::from(port),
        rack: broker.rack().map(text),
    })
}

/// Whether clients are told of a broker.
pub(super) fn is_live(state: &State, id: BrokerId) -> bool {
    state.broker(id).is_some_and(|broker| !broker.fenced)
}

/// Whether clients of a listener reach a broker that they are told of.
fn is_reachable(state: &State, id: BrokerId, listener: Listener) -> bool {
    let broker = state.broker(id).filter(|broker| !broker.fenced);
    broker.is_some_and(|broker| broker.kafka_host_port(listener).is_some())
}

/// The brokers that clients of a listener are told of.
pub(super) fn live(state: &State, listener: Listener) -> impl Iterator<Item = Endpoint> + '_ {
    state.brokers().filter(|broker| !broker.fenced).filter_map(move |b| endpoint(b, listener))
}

/// The broker that clients send changes of the cluster to. Every broker takes them; the leader of
/// `__meta` is the shortest way.
pub(super) fn controller<D: Disk>(core: &Core<D>, listener: Listener) -> m::BrokerId {
    let leader = core.leader_of(PartitionId::META).map(|leader| leader.broker);
    let known = leader.filter(|id| is_reachable(&core.meta, *id, listener));
    match known {
        Some(id) => wire_id(id),
        None => live(&core.meta, listener).next().map_or(m::BrokerId(-1), |broker| broker.id),
    }
}

/// A partition as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionView {
    pub(super) error: Option<KafkaError>,
    pub(super) index: i32,
    pub(super) leader: m::BrokerId,
    pub(super) leader_epoch: i32,
    pub(super) replicas: Vec<m::BrokerId>,
    pub(super) in_sync: Vec<m::BrokerId>,
    pub(super) offline: Vec<m::BrokerId>,
}

/// What clients see of a partition; none if there is no such partition.
///
/// Replicas are those that should be, in their order, then those that are still voters. In sync are
/// voters with a session: every one of them can be elected. A broker that clients of this listener
/// cannot reach is offline to them, and a partition that it leads has no leader for them: its error
/// is LISTENER_NOT_FOUND (KIP-103), since the partition itself is well.
pub(super) fn partition<D: Disk>(
    core: &Core<D>,
    id: PartitionId,
    listener: Listener,
) -> Option<PartitionView> {
    let state = &core.meta;
    let partition = state.partition(id)?;
    let mut replicas: Vec<BrokerId> = partition.target_brokers().collect();
    for voter in partition.voters.iter().map(|peer| peer.broker()) {
        if !replicas.contains(&voter) {
            replicas.push(voter);
        }
    }
    let is_voter =
        |id: BrokerId| partition.voters.iter().copied().map(PeerId::broker).any(|v| v == id);
    let all = |keep: &dyn Fn(BrokerId) -> bool| {
        replicas.iter().copied().filter(|id| keep(*id)).map(wire_id).collect::<Vec<_>>()
    };
    let leader = core.leader_of(id);
    let known = leader.map(|leader| leader.broker);
    // A group that never had a leader is about to get its first-named replica: a client that just
    // made the topic is told so, as with Kafka, and is not left with "no leader" in its cache.
    let expected = || replicas.first().copied().filter(|_| partition.leader_term == 0);
    let alive = known.or_else(expected).filter(|broker| is_live(state, *broker));
    let reachable = alive.filter(|broker| is_reachable(state, *broker, listener));
    Some(PartitionView {
        error: match (alive, reachable) {
            (_, Some(_)) => None,
            (Some(_), None) => Some(KafkaError::ListenerNotFound),
            (None, None) => Some(KafkaError::LeaderNotAvailable),
        },
        index: i32::try_from(id.partition).unwrap_or(i32::MAX),
        leader: reachable.map_or(m::BrokerId(-1), wire_id),
        leader_epoch: leader.map_or(-1, |leader| leader.epoch()),
        in_sync: all(&|id| is_voter(id) && is_live(state, id)),
        offline: all(&|id| !is_reachable(state, id, listener)),
        replicas: all(&|_| true),
    })
}

/// The partition of this number of a topic that is known by name.
pub(super) fn find_partition(
    state: &State,
    topic: &str,
    index: i32,
) -> Result<PartitionId, KafkaError> {
    let topic = state.topic_by_name(topic).ok_or(KafkaError::UnknownTopicOrPartition)?;
    match u32::try_from(index) {
        Ok(index) if index < topic.partitions => Ok(PartitionId::new(topic.id, index)),
        Ok(_) | Err(_) => Err(KafkaError::UnknownTopicOrPartition),
    }
}

/// That this broker leads a partition, in the epoch that the client believes in (`-1`: any).
pub(super) fn check_leads<D: Disk>(
    core: &Core<D>,
    id: PartitionId,
    believed_epoch: i32,
) -> Result<(), KafkaError> {
    let Some(replica) = core.replicas.get(&id) else {
        return Err(KafkaError::NotLeaderOrFollower);
    };
    let epoch = crate::core::epoch(replica.group.term());
    if believed_epoch >= 0 && believed_epoch < epoch {
        return Err(KafkaError::FencedLeaderEpoch);
    }
    if believed_epoch > epoch {
        return Err(KafkaError::UnknownLeaderEpoch);
    }
    if replica.group.leads() { Ok(()) } else { Err(KafkaError::NotLeaderOrFollower) }
}

//! Plans for where replicas should be: spread by rack, then by load. Plans are functions of the
//! state's targets, so a plan that was carried out plans nothing more. Topics of users keep their
//! number of replicas; the cluster's own follow the number of brokers. Proposing plans is left to
//! the handlers and to the operator's orders; getting there is left to the operator.

mod board;
mod leaders;
mod load;

use std::collections::BTreeSet;

use self::board::Board;
use super::brokers::Broker;
use super::partitions::REPLICAS_MAX;
use super::state::State;
use super::topics::{INTERNAL_REPLICAS_MAX, TOPIC_PARTITIONS_MAX};
use crate::ids::{BrokerId, PartitionId, Uuid};

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// More replicas than brokers.
    #[error(
        "{replication} replicas a partition need as many brokers, {active} of {registered} can take one (neither fenced nor cordoned)"
    )]
    TooFewBrokers {
        /// The replicas wanted.
        replication: u32,
        /// Brokers that can take one.
        active: usize,
        /// All brokers.
        registered: usize,
    },
    /// No replicas, or more than are allowed.
    #[error("{0} replicas a partition cannot be made; from 1 to {REPLICAS_MAX} can")]
    Replication(u32),
    /// No partitions, or more than are allowed.
    #[error("{0} partitions cannot be made; from 1 to {TOPIC_PARTITIONS_MAX} can")]
    Partitions(u32),
    /// Draining would leave a topic with fewer replicas.
    #[error("topic {topic:?} has {replication} replicas a partition, {remain} brokers remain{}", fenced_text(*.fenced))]
    CannotKeepReplication {
        /// The topic.
        topic: String,
        /// Its replicas a partition.
        replication: usize,
        /// Brokers that are not cordoned, without the one to drain.
        remain: usize,
        /// How many of these are fenced, and so cannot take a replica now.
        fenced: usize,
    },
    /// No such broker.
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
}

fn fenced_text(fenced: usize) -> String {
    if fenced == 0 { String::new() } else { format!(", {fenced} of them without a session") }
}

/// Where a new topic's partitions go; the first of each list is to lead.
pub fn place(
    state: &State,
    partitions: u32,
    replication: u32,
) -> Result<Vec<Vec<BrokerId>>, PlaceError> {
    if replication == 0 || replication as usize > REPLICAS_MAX {
        return Err(PlaceError::Replication(replication));
    }
    if partitions == 0 || partitions > TOPIC_PARTITIONS_MAX {
        return Err(PlaceError::Partitions(partitions));
    }
    let mut board = Board::new(state);
    let active = board.active_count();
    if replication as usize > active {
        let registered = state.brokers().len();
        return Err(PlaceError::TooFewBrokers { replication, active, registered });
    }
    let mut placed = BTreeSet::new();
    for partition in 0..partitions {
        // The nil topic stands for the one to be.
        let id = PartitionId::new(Uuid::nil(), partition);
        let mut brokers = Vec::new();
        for _ in 0..replication {
            brokers.extend(board.best_for(id, &brokers));
        }
        let leader = brokers.iter().copied().min_by_key(|broker| board.leads(*broker));
        board.insert(id, brokers);
        board.lead(id, leader.unwrap_or_default());
        placed.insert(id);
    }
    leaders::balance(&mut board, |id| placed.contains(&id));
    Ok(placed.iter().map(|id| board.target(*id).to_vec()).collect())
}

/// New targets for all groups that should have a replica on this broker, so that none should.
/// Groups that it is only still a member of have such a target already. Where no other broker is
/// left to take a replica, an internal topic has one fewer.
pub fn drain(
    state: &State,
    broker: BrokerId,
) -> Result<Vec<(PartitionId, Vec<BrokerId>)>, PlaceError> {
    if state.broker(broker).is_none() {
        return Err(PlaceError::UnknownBroker(broker));
    }
    let mut board = Board::new(state);
    board.deactivate(broker);
    let on = board.targets().filter(|(_, brokers)| brokers.contains(&broker));
    let ids: BTreeSet<PartitionId> = on.map(|(id, _)| id).collect();
    for id in &ids {
        let others: Vec<BrokerId> =
            board.target(*id).iter().copied().filter(|b| *b != broker).collect();
        if let Some(instead) = board.best_for(*id, &others) {
            board.move_replica(*id, broker, instead);
            continue;
        }
        // A broker that is only away for a moment is waited for.
        let all_there = remaining(state, broker).all(|b| others.contains(&b.id()));
        if !state.is_internal(*id) || others.is_empty() || !all_there {
            return Err(cannot_keep(state, broker, *id));
        }
        board.drop_replica(*id, broker);
    }
    leaders::balance(&mut board, |id| ids.contains(&id));
    Ok(board.changed(state))
}

/// The brokers that are to stay once this one is gone.
fn remaining(state: &State, gone: BrokerId) -> impl Iterator<Item = &Broker> {
    state.brokers().filter(move |b| b.id() != gone && !b.cordoned)
}

fn cannot_keep(state: &State, broker: BrokerId, id: PartitionId) -> PlaceError {
    PlaceError::CannotKeepReplication {
        topic: state.topic(id.topic).map_or_else(String::new, |topic| topic.name.clone()),
        replication: state.partition(id).map_or(0, |partition| partition.target.len()),
        remain: remaining(state, broker).count(),
        fenced: remaining(state, broker).filter(|b| b.fenced).count(),
    }
}

/// New targets for few groups, so that all brokers that take replicas carry their share and lead
/// theirs, and so that internal topics have as many replicas as there are brokers for. Empty when
/// they do.
#[must_use]
pub fn rebalance(state: &State) -> Vec<(PartitionId, Vec<BrokerId>)> {
    let mut board = Board::new(state);
    let ids: Vec<PartitionId> = board.targets().map(|(id, _)| id).collect();
    for id in ids.iter().filter(|id| state.is_internal(**id)) {
        while board.target(*id).len() < INTERNAL_REPLICAS_MAX
            && let Some(to) = board.best_for(*id, board.target(*id))
        {
            board.add_replica(*id, to);
        }
    }
    for id in ids {
        while let Some((from, to)) = board.rack_repair(id) {
            board.move_replica(id, from, to);
        }
    }
    load::balance(&mut board);
    leaders::balance(&mut board, |_| true);
    board.changed(state)
}

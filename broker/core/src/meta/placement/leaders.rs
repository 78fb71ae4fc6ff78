//! Who is to lead: shifts leads along chains of groups, until no broker has two more than one that
//! could take one over. Replicas do not move.

use std::collections::{BTreeMap, VecDeque};

use super::board::Board;
use crate::ids::{BrokerId, PartitionId};

/// Balances the leads of the groups that may be changed over the active brokers.
pub(super) fn balance(board: &mut Board, may_change: impl Fn(PartitionId) -> bool) {
    while let Some(chain) = shortest_chain(board, &may_change) {
        for (id, leader) in chain {
            board.lead(id, leader);
        }
    }
}

/// The changes of leader that take one lead off a broker and give one to a broker with at least two
/// fewer; brokers between them give one and get one.
///
/// Each chain lowers the sum of the squares of the leads, so this ends; and when there is no chain,
/// no other choice of leaders is more even.
fn shortest_chain(
    board: &Board,
    may_change: &impl Fn(PartitionId) -> bool,
) -> Option<Vec<(PartitionId, BrokerId)>> {
    let edges = edges(board, may_change);
    let mut givers: Vec<BrokerId> = edges.keys().copied().collect();
    givers.sort_by_key(|broker| (usize::MAX - board.leads(*broker), *broker));
    givers.into_iter().find_map(|giver| chain_from(board, &edges, giver))
}

/// For each broker, whom it can give a lead to, and of which group.
type Edges = BTreeMap<BrokerId, BTreeMap<BrokerId, PartitionId>>;

fn edges(board: &Board, may_change: &impl Fn(PartitionId) -> bool) -> Edges {
    let mut edges = Edges::new();
    for (id, brokers) in board.targets().filter(|(id, _)| may_change(*id)) {
        let Some((leader, followers)) = brokers.split_first() else { continue };
        if !board.is_active(*leader) {
            continue;
        }
        for follower in followers.iter().filter(|broker| board.is_active(**broker)) {
            edges.entry(*leader).or_default().entry(*follower).or_insert(id);
        }
    }
    edges
}

fn chain_from(
    board: &Board,
    edges: &Edges,
    giver: BrokerId,
) -> Option<Vec<(PartitionId, BrokerId)>> {
    // How each broker was reached: from whom, with which group.
    let mut reached: BTreeMap<BrokerId, Option<(BrokerId, PartitionId)>> = BTreeMap::new();
    reached.insert(giver, None);
    let mut queue = VecDeque::from([giver]);
    while let Some(broker) = queue.pop_front() {
        if board.leads(broker) + 2 <= board.leads(giver) {
            return Some(walk_back(&reached, broker));
        }
        for (next, id) in edges.get(&broker).into_iter().flatten() {
            if !reached.contains_key(next) {
                reached.insert(*next, Some((broker, *id)));
                queue.push_back(*next);
            }
        }
    }
    None
}

fn walk_back(
    reached: &BTreeMap<BrokerId, Option<(BrokerId, PartitionId)>>,
    taker: BrokerId,
) -> Vec<(PartitionId, BrokerId)> {
    let mut chain = Vec::new();
    let mut at = taker;
    while let Some(Some((from, id))) = reached.get(&at) {
        chain.push((*id, at));
        at = *from;
    }
    chain
}

//! Who is to lead: shifts leads along chains of groups, until no broker has two more than one that
//! could take one over. Replicas do not move.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::board::Board;
use crate::ids::{BrokerId, PartitionId};

/// Balances the leads of the groups that may be changed over the active brokers.
pub(super) fn balance(board: &mut Board, may_change: impl Fn(PartitionId) -> bool) {
    let mut edges = Edges::default();
    for (id, brokers) in board.targets().filter(|(id, _)| may_change(*id)) {
        edges.insert(board, id, brokers);
    }
    while let Some(chain) = shortest_chain(board, &edges) {
        for (id, leader) in chain {
            edges.remove(id, board.target(id));
            board.lead(id, leader);
            edges.insert(board, id, board.target(id));
        }
    }
}

/// For each broker, whom it can give a lead to, and of which groups.
#[derive(Debug, Default)]
struct Edges(BTreeMap<BrokerId, BTreeMap<BrokerId, BTreeSet<PartitionId>>>);

impl Edges {
    fn insert(&mut self, board: &Board, id: PartitionId, brokers: &[BrokerId]) {
        let Some((leader, followers)) = brokers.split_first() else { return };
        if !board.is_active(*leader) {
            return;
        }
        let takers = self.0.entry(*leader).or_default();
        for follower in followers.iter().filter(|broker| board.is_active(**broker)) {
            takers.entry(*follower).or_default().insert(id);
        }
    }

    fn remove(&mut self, id: PartitionId, brokers: &[BrokerId]) {
        let Some((leader, followers)) = brokers.split_first() else { return };
        let Some(takers) = self.0.get_mut(leader) else { return };
        for follower in followers {
            if let Some(groups) = takers.get_mut(follower) {
                groups.remove(&id);
            }
        }
    }

    /// Whom a broker can give a lead to, each with a group.
    fn from(&self, giver: BrokerId) -> impl Iterator<Item = (BrokerId, PartitionId)> + '_ {
        let takers = self.0.get(&giver).into_iter().flatten();
        takers.filter_map(|(taker, groups)| Some((*taker, *groups.first()?)))
    }
}

/// The changes of leader that take one lead off a broker and give one to a broker with at least two
/// fewer; brokers between them give one and get one.
///
/// Each chain lowers the sum of the squares of the leads, so this ends; and when there is no chain,
/// no other choice of leaders is more even.
fn shortest_chain(board: &Board, edges: &Edges) -> Option<Vec<(PartitionId, BrokerId)>> {
    let mut givers: Vec<BrokerId> = edges.0.keys().copied().collect();
    givers.sort_by_key(|broker| (usize::MAX - board.leads(*broker), *broker));
    givers.into_iter().find_map(|giver| chain_from(board, edges, giver))
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
        for (next, id) in edges.from(broker) {
            reached.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Some((broker, id))
            });
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

//! Who carries how much: moves replicas from brokers with more to brokers with at least two fewer,
//! until there is no such move. Passes over all groups, each of which gives away one replica at a
//! time, so that the work grows with the groups and not with their square.

use super::board::Board;
use crate::ids::{BrokerId, PartitionId};

/// When a replica may move, by the loads of the brokers and what an even spread has: at least
/// `floor` replicas a broker, at most `ceil`.
#[derive(Debug, Clone, Copy)]
enum Need {
    /// From one above the spread to one below it: a move that any way to it has.
    Both,
    /// One of both is outside of the spread and the other has room.
    One,
    /// Any that makes it more even: racks were in the way of the others.
    Any,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    need: Need,
    floor: usize,
    ceil: usize,
    /// How many more replicas of the group's topic the giver must have: topics are spread first.
    topic_gap: Option<usize>,
}

impl Rule {
    fn allows(&self, from: usize, to: usize) -> bool {
        let (above, below) = (from > self.ceil, to < self.floor);
        match self.need {
            Need::Both => above && below,
            Need::One => (above && to < self.ceil) || (below && from > self.floor),
            Need::Any => from >= to + 2,
        }
    }
}

/// Balances the replicas over the active brokers.
pub(super) fn balance(board: &mut Board) {
    let active = board.active_count().max(1);
    let total: usize = board.active().map(|broker| board.load(broker)).sum();
    let (floor, ceil) = (total / active, total.div_ceil(active));
    let ids: Vec<PartitionId> = board.targets().map(|(id, _)| id).collect();
    for need in [Need::Both, Need::One, Need::Any] {
        for topic_gap in [Some(2), Some(1), None] {
            let rule = Rule { need, floor, ceil, topic_gap };
            while pass(board, &ids, rule) {}
        }
    }
}

/// Lets each group make the best move that it has. Whether there was one.
fn pass(board: &mut Board, ids: &[PartitionId], rule: Rule) -> bool {
    let mut moved = false;
    let mut uneven = is_uneven(board, rule);
    for id in ids {
        if !uneven {
            break;
        }
        if let Some((from, to)) = best_move(board, *id, rule) {
            board.move_replica(*id, from, to);
            moved = true;
            uneven = is_uneven(board, rule);
        }
    }
    moved
}

/// Whether any two brokers are such that the rule allows a move between them.
fn is_uneven(board: &Board, rule: Rule) -> bool {
    let loads = || board.active().map(|broker| board.load(broker));
    // All rules are kept by the widest difference if by any.
    loads().max().zip(loads().min()).is_some_and(|(most, least)| rule.allows(most, least))
}

/// The move that helps the topic most, then the brokers; of a follower rather than the leader.
fn best_move(board: &Board, id: PartitionId, rule: Rule) -> Option<(BrokerId, BrokerId)> {
    let brokers = board.target(id);
    let givers = brokers.iter().copied().filter(|broker| board.is_active(*broker));
    let mut best = None;
    for from in givers {
        let (load, share) = (board.load(from), board.share(id.topic, from));
        for to in board.active().filter(|to| !brokers.contains(to)) {
            let (to_load, to_share) = (board.load(to), board.share(id.topic, to));
            let helps = rule.topic_gap.is_none_or(|gap| share >= to_share + gap);
            if !helps || !rule.allows(load, to_load) || !board.keeps_spread(id, from, to) {
                continue;
            }
            let leads = brokers.first() == Some(&from);
            let rank = (to_share as isize - share as isize, to_load as isize - load as isize);
            let key = (rank, leads, from, to);
            if best.is_none_or(|best| key < best) {
                best = Some(key);
            }
        }
    }
    best.map(|(_, _, from, to)| (from, to))
}

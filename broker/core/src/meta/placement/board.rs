//! The targets while a plan is made, with what each broker would carry. Which moves are made, and
//! when to stop, is left to the plans.

use std::collections::{BTreeMap, BTreeSet};

use super::super::state::State;
use crate::ids::{BrokerId, PartitionId, Uuid};

/// What one broker would carry.
#[derive(Debug, Clone, Default)]
struct Seat {
    rack: Option<String>,
    /// May be given replicas, and have some taken.
    active: bool,
    groups: BTreeSet<PartitionId>,
    leads: usize,
    /// Replicas of each topic.
    topics: BTreeMap<Uuid, usize>,
}

/// All targets and all brokers.
#[derive(Debug)]
pub(super) struct Board {
    targets: BTreeMap<PartitionId, Vec<BrokerId>>,
    seats: BTreeMap<BrokerId, Seat>,
}

impl Board {
    /// The state's targets as they are.
    pub(super) fn new(state: &State) -> Board {
        let seat = |broker: &super::super::Broker| Seat {
            rack: broker.registration.rack.clone(),
            active: broker.is_active(),
            ..Seat::default()
        };
        let seats = state.brokers().map(|broker| (broker.id(), seat(broker))).collect();
        let mut board = Board { targets: BTreeMap::new(), seats };
        for (id, partition) in state.partitions() {
            board.insert(id, partition.target_brokers().collect());
        }
        board
    }

    pub(super) fn active_count(&self) -> usize {
        self.active().count()
    }

    pub(super) fn active(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.seats.iter().filter(|(_, seat)| seat.active).map(|(id, _)| *id)
    }

    pub(super) fn is_active(&self, broker: BrokerId) -> bool {
        self.seats.get(&broker).is_some_and(|seat| seat.active)
    }

    pub(super) fn deactivate(&mut self, broker: BrokerId) {
        if let Some(seat) = self.seats.get_mut(&broker) {
            seat.active = false;
        }
    }

    pub(super) fn target(&self, id: PartitionId) -> &[BrokerId] {
        self.targets.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = (PartitionId, &[BrokerId])> {
        self.targets.iter().map(|(id, brokers)| (*id, brokers.as_slice()))
    }

    pub(super) fn partitions_on(&self, broker: BrokerId) -> impl Iterator<Item = PartitionId> + '_ {
        self.seats.get(&broker).into_iter().flat_map(|seat| seat.groups.iter().copied())
    }

    pub(super) fn leads(&self, broker: BrokerId) -> usize {
        self.seats.get(&broker).map_or(0, |seat| seat.leads)
    }

    /// Takes a group in.
    pub(super) fn insert(&mut self, id: PartitionId, brokers: Vec<BrokerId>) {
        for (position, broker) in brokers.iter().enumerate() {
            let Some(seat) = self.seats.get_mut(broker) else { continue };
            seat.groups.insert(id);
            seat.leads += usize::from(position == 0);
            *seat.topics.entry(id.topic).or_default() += 1;
        }
        self.targets.insert(id, brokers);
    }

    fn remove(&mut self, id: PartitionId) -> Vec<BrokerId> {
        let brokers = self.targets.remove(&id).unwrap_or_default();
        for (position, broker) in brokers.iter().enumerate() {
            let Some(seat) = self.seats.get_mut(broker) else { continue };
            seat.groups.remove(&id);
            seat.leads -= usize::from(position == 0);
            if let Some(count) = seat.topics.get_mut(&id.topic) {
                *count -= 1;
            }
        }
        brokers
    }

    /// Moves a replica. The new one comes last, so that a replica that has the data leads.
    pub(super) fn move_replica(&mut self, id: PartitionId, from: BrokerId, to: BrokerId) {
        let mut brokers = self.remove(id);
        brokers.retain(|broker| *broker != from);
        brokers.push(to);
        self.insert(id, brokers);
    }

    /// Lets a broker of the group lead it.
    pub(super) fn lead(&mut self, id: PartitionId, leader: BrokerId) {
        let mut brokers = self.remove(id);
        if let Some(position) = brokers.iter().position(|broker| *broker == leader) {
            brokers.swap(0, position);
        }
        self.insert(id, brokers);
    }

    /// The active broker to give the next replica of a group to: the one in the rack with the
    /// fewest of its replicas, then with the fewest replicas of all, then of this topic. Among
    /// equals the first place goes round with the partition's number, so that groups that share one
    /// broker do not share all, and the death of one spreads over many.
    pub(super) fn best_for(&self, id: PartitionId, others: &[BrokerId]) -> Option<BrokerId> {
        let racks = self.racks(others.iter().copied());
        let turn = |position: usize| {
            let brokers = self.seats.len().max(1);
            let shift = (id.partition as usize).wrapping_mul(1 + others.len()) % brokers;
            (position + brokers - shift) % brokers
        };
        let candidates = self.seats.iter().enumerate();
        let candidates = candidates.filter(|(_, (b, seat))| seat.active && !others.contains(b));
        let best = candidates.min_by_key(|(position, (_, seat))| {
            let in_rack = racks.get(&seat.rack).copied().unwrap_or(0);
            let of_topic = seat.topics.get(&id.topic).copied().unwrap_or(0);
            (in_rack, seat.groups.len(), of_topic, turn(*position))
        });
        best.map(|(_, (broker, _))| *broker)
    }

    /// A move that spreads a group over racks better than it is.
    pub(super) fn rack_repair(&self, id: PartitionId) -> Option<(BrokerId, BrokerId)> {
        let brokers = self.target(id);
        let racks = self.racks(brokers.iter().copied());
        let in_rack = |broker| racks.get(&self.rack(broker)).copied().unwrap_or(0);
        // From the end: a follower moves rather than the broker that is to lead.
        brokers.iter().rev().filter(|from| self.is_active(**from)).find_map(|from| {
            let others: Vec<BrokerId> = brokers.iter().copied().filter(|b| b != from).collect();
            let to = self.best_for(id, &others)?;
            (to != *from && in_rack(to) + 2 <= in_rack(*from)).then_some((*from, to))
        })
    }

    /// A move from a broker with more replicas to one with at least two fewer, that leaves the
    /// group spread over racks as well as it is; the widest difference first.
    pub(super) fn load_move(&self) -> Option<(PartitionId, BrokerId, BrokerId)> {
        let load = |broker: BrokerId| self.seats.get(&broker).map_or(0, |seat| seat.groups.len());
        let mut pairs: Vec<(usize, BrokerId, BrokerId)> = Vec::new();
        for from in self.active() {
            let less = self.active().filter(|to| load(*to) + 2 <= load(from));
            pairs.extend(less.map(|to| (load(from) - load(to), from, to)));
        }
        pairs.sort_by_key(|(difference, from, to)| (usize::MAX - difference, *from, *to));
        pairs.into_iter().find_map(|(_, from, to)| Some((self.group_to_move(from, to)?, from, to)))
    }

    /// The group to move: of the topic that `from` has the most of before `to`, and rather one that
    /// `from` is not to lead.
    fn group_to_move(&self, from: BrokerId, to: BrokerId) -> Option<PartitionId> {
        let (source, sink) = (self.seats.get(&from)?, self.seats.get(&to)?);
        let of = |seat: &Seat, id: PartitionId| seat.topics.get(&id.topic).copied().unwrap_or(0);
        let movable = source.groups.iter().copied().filter(|id| {
            let brokers = self.target(*id);
            let spread = || {
                let racks = self.racks(brokers.iter().copied());
                let in_rack = |seat: &Seat| racks.get(&seat.rack).copied().unwrap_or(0);
                in_rack(sink) < in_rack(source)
            };
            !brokers.contains(&to) && (source.rack == sink.rack || spread())
        });
        movable.min_by_key(|id| {
            let topic_first = usize::MAX - (of(source, *id) + usize::MAX / 2 - of(sink, *id));
            (topic_first, self.target(*id).first() == Some(&from), *id)
        })
    }

    /// The groups whose target is not the state's.
    pub(super) fn changed(&self, state: &State) -> Vec<(PartitionId, Vec<BrokerId>)> {
        let was = |id| state.partition(id).into_iter().flat_map(|p| p.target_brokers());
        let changed = self.targets.iter().filter(|(id, now)| !was(**id).eq(now.iter().copied()));
        changed.map(|(id, now)| (*id, now.clone())).collect()
    }

    fn rack(&self, broker: BrokerId) -> Option<String> {
        self.seats.get(&broker).and_then(|seat| seat.rack.clone())
    }

    /// How many of these brokers are in each rack.
    fn racks(&self, brokers: impl Iterator<Item = BrokerId>) -> BTreeMap<Option<String>, usize> {
        let mut racks = BTreeMap::new();
        for broker in brokers {
            *racks.entry(self.rack(broker)).or_default() += 1;
        }
        racks
    }
}

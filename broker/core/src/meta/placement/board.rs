//! The targets while a plan is made, with what each broker would carry. Which moves are made, and
//! when to stop, is left to the plans.

use std::collections::{BTreeMap, BTreeSet};

use super::super::state::State;
use crate::ids::{BrokerId, PartitionId, Uuid};

/// What one broker would carry.
#[derive(Debug, Clone)]
struct Seat {
    broker: BrokerId,
    /// Its rack's number; brokers without one share a number.
    rack: usize,
    /// May be given replicas, and have some taken.
    active: bool,
    /// Its replicas.
    load: usize,
    leads: usize,
}

/// All targets and all brokers.
#[derive(Debug)]
pub(super) struct Board {
    targets: BTreeMap<PartitionId, Vec<BrokerId>>,
    /// By broker id.
    seats: Vec<Seat>,
    /// Replicas of each topic, by seat.
    shares: BTreeMap<Uuid, Vec<usize>>,
    /// How many racks there are.
    racks: usize,
}

impl Board {
    /// The state's targets as they are.
    pub(super) fn new(state: &State) -> Board {
        let rack = |broker: &super::super::Broker| broker.rack().map(str::to_owned);
        let names: BTreeSet<Option<String>> = state.brokers().map(rack).collect();
        let names: Vec<Option<String>> = names.into_iter().collect();
        let seat = |broker: &super::super::Broker| Seat {
            broker: broker.id(),
            rack: names.binary_search(&rack(broker)).unwrap_or_default(),
            active: broker.is_active(),
            load: 0,
            leads: 0,
        };
        let seats = state.brokers().map(seat).collect();
        let (targets, shares) = (BTreeMap::new(), BTreeMap::new());
        let mut board = Board { targets, seats, shares, racks: names.len() };
        for (id, partition) in state.partitions() {
            board.insert(id, partition.target_brokers().collect());
        }
        board
    }

    pub(super) fn active_count(&self) -> usize {
        self.active().count()
    }

    pub(super) fn active(&self) -> impl Iterator<Item = BrokerId> + Clone + '_ {
        self.seats.iter().filter(|seat| seat.active).map(|seat| seat.broker)
    }

    pub(super) fn is_active(&self, broker: BrokerId) -> bool {
        self.seat(broker).is_some_and(|seat| seat.active)
    }

    pub(super) fn deactivate(&mut self, broker: BrokerId) {
        if let Some(seat) = self.seat_mut(broker) {
            seat.active = false;
        }
    }

    pub(super) fn target(&self, id: PartitionId) -> &[BrokerId] {
        self.targets.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = (PartitionId, &[BrokerId])> {
        self.targets.iter().map(|(id, brokers)| (*id, brokers.as_slice()))
    }

    /// A broker's replicas.
    pub(super) fn load(&self, broker: BrokerId) -> usize {
        self.seat(broker).map_or(0, |seat| seat.load)
    }

    /// A broker's replicas of one topic.
    pub(super) fn share(&self, topic: Uuid, broker: BrokerId) -> usize {
        let shares = self.shares.get(&topic).zip(self.position(broker));
        shares.and_then(|(shares, at)| shares.get(at)).copied().unwrap_or(0)
    }

    pub(super) fn leads(&self, broker: BrokerId) -> usize {
        self.seat(broker).map_or(0, |seat| seat.leads)
    }

    /// Takes a group in.
    pub(super) fn insert(&mut self, id: PartitionId, brokers: Vec<BrokerId>) {
        let seats = self.seats.len();
        for (place, broker) in brokers.iter().enumerate() {
            let Some(at) = self.position(*broker) else { continue };
            let shares = self.shares.entry(id.topic).or_insert_with(|| vec![0; seats]);
            shares[at] += 1;
            self.seats[at].load += 1;
            self.seats[at].leads += usize::from(place == 0);
        }
        self.targets.insert(id, brokers);
    }

    fn remove(&mut self, id: PartitionId) -> Vec<BrokerId> {
        let brokers = self.targets.remove(&id).unwrap_or_default();
        for (place, broker) in brokers.iter().enumerate() {
            let Some(at) = self.position(*broker) else { continue };
            if let Some(shares) = self.shares.get_mut(&id.topic) {
                shares[at] -= 1;
            }
            self.seats[at].load -= 1;
            self.seats[at].leads -= usize::from(place == 0);
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

    /// Gives the group one more replica.
    pub(super) fn add_replica(&mut self, id: PartitionId, to: BrokerId) {
        let mut brokers = self.remove(id);
        brokers.push(to);
        self.insert(id, brokers);
    }

    /// Leaves the group one replica fewer.
    pub(super) fn drop_replica(&mut self, id: PartitionId, from: BrokerId) {
        let mut brokers = self.remove(id);
        brokers.retain(|broker| *broker != from);
        self.insert(id, brokers);
    }

    /// Lets a broker of the group lead it.
    pub(super) fn lead(&mut self, id: PartitionId, leader: BrokerId) {
        let mut brokers = self.remove(id);
        if let Some(place) = brokers.iter().position(|broker| *broker == leader) {
            brokers.swap(0, place);
        }
        self.insert(id, brokers);
    }

    /// The active broker to give the next replica of a group to: the one in the rack with the
    /// fewest of its replicas, then with the fewest replicas of all, then of this topic. Among
    /// equals the first place goes round with the partition's number, so that groups that share one
    /// broker do not share all, and the death of one spreads over many.
    pub(super) fn best_for(&self, id: PartitionId, others: &[BrokerId]) -> Option<BrokerId> {
        let racks = self.in_racks(others);
        let shares = self.shares.get(&id.topic);
        let turn = |at: usize| {
            let brokers = self.seats.len().max(1);
            let shift = (id.partition as usize).wrapping_mul(1 + others.len()) % brokers;
            (at + brokers - shift) % brokers
        };
        let candidates = self.seats.iter().enumerate();
        let candidates =
            candidates.filter(|(_, seat)| seat.active && !others.contains(&seat.broker));
        let best = candidates.min_by_key(|(at, seat)| {
            let of_topic = shares.and_then(|shares| shares.get(*at)).copied().unwrap_or(0);
            (racks[seat.rack], seat.load, of_topic, turn(*at))
        });
        best.map(|(_, seat)| seat.broker)
    }

    /// A move that spreads a group over racks better than it is.
    pub(super) fn rack_repair(&self, id: PartitionId) -> Option<(BrokerId, BrokerId)> {
        if self.racks < 2 {
            return None;
        }
        let brokers = self.target(id);
        let racks = self.in_racks(brokers);
        let in_rack = |broker| self.seat(broker).map_or(0, |seat| racks[seat.rack]);
        // From the end: a follower moves rather than the broker that is to lead.
        brokers.iter().rev().filter(|from| self.is_active(**from)).find_map(|from| {
            let others: Vec<BrokerId> = brokers.iter().copied().filter(|b| b != from).collect();
            let to = self.best_for(id, &others)?;
            (to != *from && in_rack(to) + 2 <= in_rack(*from)).then_some((*from, to))
        })
    }

    /// Whether a move leaves the group spread over racks as well as it is.
    pub(super) fn keeps_spread(&self, id: PartitionId, from: BrokerId, to: BrokerId) -> bool {
        if self.racks < 2 {
            return true;
        }
        let racks = self.in_racks(self.target(id));
        let (Some(from), Some(to)) = (self.seat(from), self.seat(to)) else { return false };
        from.rack == to.rack || racks[to.rack] < racks[from.rack]
    }

    /// The groups whose target is not the state's.
    pub(super) fn changed(&self, state: &State) -> Vec<(PartitionId, Vec<BrokerId>)> {
        let was = |id| state.partition(id).into_iter().flat_map(|p| p.target_brokers());
        let changed = self.targets.iter().filter(|(id, now)| !was(**id).eq(now.iter().copied()));
        changed.map(|(id, now)| (*id, now.clone())).collect()
    }

    fn position(&self, broker: BrokerId) -> Option<usize> {
        self.seats.binary_search_by_key(&broker, |seat| seat.broker).ok()
    }

    fn seat(&self, broker: BrokerId) -> Option<&Seat> {
        self.seats.get(self.position(broker)?)
    }

    fn seat_mut(&mut self, broker: BrokerId) -> Option<&mut Seat> {
        let at = self.position(broker)?;
        self.seats.get_mut(at)
    }

    /// How many of these brokers are in each rack.
    fn in_racks(&self, brokers: &[BrokerId]) -> Vec<usize> {
        let mut racks = vec![0; self.racks];
        for seat in brokers.iter().filter_map(|broker| self.seat(*broker)) {
            racks[seat.rack] += 1;
        }
        racks
    }
}

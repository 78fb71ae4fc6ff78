//! Plans on random clusters: replicas kept, spread and balanced; a plan carried out plans no more.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::meta::placement::{PlaceError, drain, place, rebalance};

/// A cluster of brokers in racks (none for 0).
fn racked(racks: &[u8]) -> Cluster {
    let mut c = cluster(u32::try_from(racks.len()).unwrap());
    for (id, rack) in (1..).zip(racks) {
        let rack = (*rack > 0).then(|| format!("r{rack}"));
        let again = Registration { rack, directory: directory(id), ..registration(id, 0, 2) };
        c.accept(&Command::RegisterBroker(again));
    }
    c
}

fn make(c: &mut Cluster, topic: u128, partitions: Vec<Vec<BrokerId>>) {
    let name = format!("t{topic}");
    let (id, configs) = (uuid(topic), BTreeMap::new());
    c.accept(&Command::CreateTopic { name, id, partitions, configs, internal: false });
}

fn spread(counts: impl Iterator<Item = usize>) -> usize {
    let counts: Vec<usize> = counts.collect();
    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
}

fn replicas(state: &State, id: BrokerId) -> usize {
    state.partitions().filter(|(_, p)| p.target_brokers().any(|b| b == id)).count()
}

fn leads(state: &State, id: BrokerId) -> usize {
    state.partitions().filter(|(_, p)| p.target_brokers().next() == Some(id)).count()
}

fn spreads(state: &State) -> (usize, usize) {
    let ids: Vec<BrokerId> = state.brokers().filter(|b| b.is_active()).map(Broker::id).collect();
    (spread(ids.iter().map(|b| replicas(state, *b))), spread(ids.iter().map(|b| leads(state, *b))))
}

/// How many racks a group is spread over.
fn racks(state: &State, list: &[BrokerId]) -> usize {
    let rack = |id: &BrokerId| state.broker(*id).unwrap().registration.rack.clone();
    list.iter().map(rack).collect::<BTreeSet<_>>().len()
}

fn cordon(c: &mut Cluster, id: u32) {
    c.accept(&Command::SetCordoned { broker: broker(id), cordoned: true });
}

#[test]
fn refusals_have_numbers() {
    let mut c = cluster(3);
    let refuse = |c: &Cluster, partitions, replication, why: &str| {
        assert_eq!(place(&c.state, partitions, replication).unwrap_err().to_string(), why);
    };
    refuse(
        &c,
        1,
        4,
        "4 replicas a partition need as many brokers, 3 of 3 can take one (neither fenced nor cordoned)",
    );
    refuse(&c, 0, 1, "0 partitions cannot be made; from 1 to 10000 can");
    refuse(&c, 1, 0, "0 replicas a partition cannot be made; from 1 to 15 can");
    make(&mut c, 10, vec![brokers(&[1, 2, 3])]);
    let why = "topic \"t10\" has 3 replicas a partition, 2 brokers remain";
    assert_eq!(drain(&c.state, broker(2)).unwrap_err().to_string(), why);
    assert_eq!(drain(&c.state, broker(9)), Err(PlaceError::UnknownBroker(broker(9))));
    let mut c = cluster(4);
    make(&mut c, 10, vec![brokers(&[1, 2, 3])]);
    c.accept(&Command::SetFenced { broker: broker(4), directory: directory(4), fenced: true });
    let why =
        "topic \"t10\" has 3 replicas a partition, 3 brokers remain, 1 of them without a session";
    assert_eq!(drain(&c.state, broker(2)).unwrap_err().to_string(), why);
}

#[test]
fn six_partitions_on_three_brokers() {
    let c = cluster(3);
    let placed = place(&c.state, 6, 3).unwrap();
    let firsts = placed.iter().map(|list| list[0]);
    let count = |id| firsts.clone().filter(|first| *first == broker(id)).count();
    assert_eq!([count(1), count(2), count(3)], [2, 2, 2]);
}

#[test]
fn new_brokers_get_their_share_with_few_moves() {
    let mut c = cluster(5);
    cordon(&mut c, 4);
    cordon(&mut c, 5);
    let lists = place(&c.state, 10, 3).unwrap();
    make(&mut c, 10, lists);
    assert_eq!(rebalance(&c.state), []);
    for id in [4, 5] {
        c.accept(&Command::SetCordoned { broker: broker(id), cordoned: false });
    }
    let before: Vec<Vec<BrokerId>> =
        c.state.partitions().map(|(_, p)| p.target_brokers().collect()).collect();
    let moves = rebalance(&c.state);
    c.accept(&Command::SetTargets { targets: moves });
    let after = c.state.partitions().map(|(_, p)| p.target_brokers().collect::<Vec<_>>());
    let new: usize = after
        .zip(before)
        .map(|(now, was)| now.iter().filter(|broker| !was.contains(broker)).count())
        .sum();
    assert_eq!(new, 12, "30 replicas over 5 brokers: 6 for each of the two new ones, no others");
    assert_eq!(spreads(&c.state), (0, 0));
}

proptest! {
    #[test]
    fn placing(
        racks_of in proptest::collection::vec(0u8..4, 1..8),
        topics in proptest::collection::vec((1u32..20, 1u32..5), 1..4),
        away in 0u32..8,
    ) {
        let mut c = racked(&racks_of);
        if racks_of.len() > 1 && away as usize <= racks_of.len() && away > 0 {
            cordon(&mut c, away);
        }
        let active: Vec<BrokerId> =
            c.state.brokers().filter(|b| b.is_active()).map(Broker::id).collect();
        for (topic, (partitions, replication)) in (10u128..).zip(topics) {
            let placed = place(&c.state, partitions, replication);
            if replication as usize > active.len() {
                prop_assert!(placed.is_err(), "more replicas than brokers");
                continue;
            }
            let placed = placed.unwrap();
            prop_assert_eq!(placed.len(), partitions as usize);
            let most = racks(&c.state, &active).min(replication as usize);
            for list in &placed {
                prop_assert_eq!(list.len(), replication as usize);
                let distinct: BTreeSet<_> = list.iter().collect();
                prop_assert_eq!(distinct.len(), list.len());
                prop_assert!(list.iter().all(|b| active.contains(b)));
                prop_assert_eq!(racks(&c.state, list), most, "spread over all racks");
            }
            prop_assert_eq!(&place(&c.state, partitions, replication).unwrap(), &placed);
            make(&mut c, topic, placed);
        }
        if racks(&c.state, &active) == 1 {
            prop_assert!(spreads(&c.state).0 <= 1, "{:?}", spreads(&c.state));
        }
    }

    #[test]
    fn rebalancing(
        racks_of in proptest::collection::vec(0u8..3, 2..7),
        lists in proptest::collection::vec(proptest::sample::subsequence((1u32..8).collect::<Vec<_>>(), 1..4), 1..30),
        uniform in any::<bool>(),
        flat in any::<bool>(),
    ) {
        let n = racks_of.len();
        let mut c = racked(&if flat { vec![0; n] } else { racks_of });
        for (topic, list) in (10u128..).zip(lists) {
            let mut list: Vec<u32> =
                list.into_iter().filter(|id| *id as usize <= n).collect();
            if uniform { list.truncate(1) }
            if !list.is_empty() { make(&mut c, topic, vec![brokers(&list)]) }
        }
        let before = c.state.clone();
        let moves = rebalance(&c.state);
        for (id, list) in &moves {
            let was: Vec<BrokerId> = before.partition(*id).unwrap().target_brokers().collect();
            prop_assert_eq!(was.len(), list.len());
            prop_assert!(racks(&before, &was) <= racks(&before, list));
        }
        c.accept(&Command::SetTargets { targets: moves });
        prop_assert_eq!(rebalance(&c.state), vec![], "once is enough");
        if flat {
            let (replicas, leads) = spreads(&c.state);
            prop_assert!(replicas <= 1);
            prop_assert!(!uniform || leads <= 1);
        }
    }

    #[test]
    fn uniform_replication_balances_leads_too(
        n in 3u32..7, partitions in 1u32..40, replication in 1u32..4, gone in 1u32..7,
    ) {
        let mut c = cluster(n);
        cordon(&mut c, n);
        prop_assume!(replication < n);
        let lists = place(&c.state, partitions, replication).unwrap();
        make(&mut c, 10, lists);
        prop_assert!(spreads(&c.state).0 <= 1 && spreads(&c.state).1 <= 1);
        c.accept(&Command::SetCordoned { broker: broker(n), cordoned: false });
        c.accept(&Command::SetTargets { targets: rebalance(&c.state) });
        prop_assert!(spreads(&c.state).0 <= 1 && spreads(&c.state).1 <= 1);

        let gone = 1 + gone % n;
        cordon(&mut c, gone);
        let moves = drain(&c.state, broker(gone)).unwrap();
        for (id, list) in &moves {
            let was: Vec<BrokerId> =
                c.state.partition(*id).unwrap().target_brokers().collect();
            let new = list.iter().filter(|b| !was.contains(b)).count();
            prop_assert_eq!((list.len(), new), (was.len(), 1), "one replica moves, no more");
        }
        c.accept(&Command::SetTargets { targets: moves });
        prop_assert_eq!(replicas(&c.state, broker(gone)), 0);
        prop_assert_eq!(drain(&c.state, broker(gone)), Ok(vec![]));
        c.accept(&Command::SetTargets { targets: rebalance(&c.state) });
        prop_assert!(spreads(&c.state).0 <= 1, "the others share what it had");
        prop_assert_eq!(replicas(&c.state, broker(gone)), 0);
    }
}

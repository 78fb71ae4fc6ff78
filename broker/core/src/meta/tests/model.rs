//! Random sequences of commands: what holds whatever is proposed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A wish; the state at hand makes a command of it, so that many are accepted.
#[derive(Debug, Clone)]
enum Wish {
    Register { id: u32, directory: u128, boot: u64 },
    Fence { id: u32, fenced: bool },
    Cordon { id: u32, cordoned: bool },
    Rack { id: u32, rack: Option<bool> },
    Advertised { id: u32, port: Option<bool> },
    Remove { id: u32 },
    Create { name: u8, topic: u128, lists: Vec<Vec<u32>> },
    Grow { topic: u128, lists: Vec<Vec<u32>> },
    Delete { topic: u128 },
    Config { topic: bool, value: i8 },
    Move { nth: usize, list: Vec<u32> },
    Report { nth: usize, roles: Vec<u8>, newer: u8 },
    Ids,
    Open,
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let id = || 1u32..6;
    let list = || proptest::collection::vec(id(), 1..4);
    let lists = || proptest::collection::vec(list(), 1..4);
    let wish = prop_oneof![
        2 => (id(), 101u128..112, 1u64..4)
            .prop_map(|(id, directory, boot)| Wish::Register { id, directory, boot }),
        2 => (id(), any::<bool>()).prop_map(|(id, fenced)| Wish::Fence { id, fenced }),
        1 => (id(), any::<bool>()).prop_map(|(id, cordoned)| Wish::Cordon { id, cordoned }),
        1 => (id(), any::<Option<bool>>()).prop_map(|(id, rack)| Wish::Rack { id, rack }),
        1 => (id(), any::<Option<bool>>())
            .prop_map(|(id, port)| Wish::Advertised { id, port }),
        1 => id().prop_map(|id| Wish::Remove { id }),
        3 => (0u8..4, 10u128..14, lists())
            .prop_map(|(name, topic, lists)| Wish::Create { name, topic, lists }),
        1 => (10u128..14, lists()).prop_map(|(topic, lists)| Wish::Grow { topic, lists }),
        1 => (10u128..14).prop_map(|topic| Wish::Delete { topic }),
        1 => (any::<bool>(), -2i8..3).prop_map(|(topic, value)| Wish::Config { topic, value }),
        4 => (0usize..20, list()).prop_map(|(nth, list)| Wish::Move { nth, list }),
        5 => (0usize..20, proptest::collection::vec(0u8..6, 8), 0u8..3)
            .prop_map(|(nth, roles, newer)| Wish::Report { nth, roles, newer }),
        1 => Just(Wish::Ids),
        1 => Just(Wish::Open),
    ];
    proptest::collection::vec(wish, 1..60)
}

fn command(wish: &Wish, state: &State) -> Option<Command> {
    let of = |lists: &[Vec<u32>]| lists.iter().map(|list| brokers(list)).collect();
    let directory = |id| state.broker(broker(id)).map(Broker::directory);
    let nth = |nth: usize| state.partitions().nth(nth % state.partitions().count().max(1));
    Some(match wish {
        Wish::Register { id, directory, boot } => {
            Command::RegisterBroker(registration(*id, *directory, *boot))
        }
        Wish::Fence { id, fenced } => {
            Command::SetFenced { broker: broker(*id), directory: directory(*id)?, fenced: *fenced }
        }
        Wish::Cordon { id, cordoned } => {
            Command::SetCordoned { broker: broker(*id), cordoned: *cordoned }
        }
        Wish::Rack { id, rack } => Command::SetRack {
            broker: broker(*id),
            directory: directory(*id)?,
            rack: rack.map(|rack| format!("r{rack}")),
        },
        Wish::Advertised { id, port } => {
            let address = port.map(|port| format!("h:{}", 1 + u8::from(port)));
            Command::SetAdvertised { broker: broker(*id), directory: directory(*id)?, address }
        }
        Wish::Remove { id } => {
            Command::RemoveBroker { broker: broker(*id), directory: directory(*id)? }
        }
        Wish::Create { name, topic, lists } => Command::CreateTopic {
            name: format!("t{name}"),
            id: uuid(*topic),
            partitions: of(lists),
            configs: BTreeMap::new(),
            internal: false,
        },
        Wish::Grow { topic, lists } => Command::CreatePartitions {
            topic: uuid(*topic),
            expected: state.topic(uuid(*topic))?.partitions,
            partitions: of(lists),
        },
        Wish::Delete { topic } => Command::DeleteTopic { id: uuid(*topic) },
        Wish::Config { topic, value } => {
            let (resource, name) = match topic {
                true => (ConfigResource::Topic("t1".into()), "min.insync.replicas"),
                false => (ConfigResource::Broker(Some(broker(1))), "log.retention.ms"),
            };
            let value = (*value != 0).then(|| value.to_string());
            Command::SetConfigs { resource, changes: BTreeMap::from([(name.to_owned(), value)]) }
        }
        Wish::Move { nth: n, list } => {
            Command::SetTargets { targets: vec![(nth(*n)?.0, brokers(list))] }
        }
        Wish::Report { nth: n, roles, newer } => {
            let (id, partition) = nth(*n)?;
            let known: BTreeSet<PeerId> =
                partition.target.iter().copied().chain(partition.members()).collect();
            let mut conf = voters(partition.conf_index + u64::from(*newer), Vec::new());
            for (peer, role) in known.iter().zip(roles) {
                match role {
                    0 | 1 => conf.voters.push(*peer),
                    2 => conf.outgoing.push(*peer),
                    3 => conf.learners.push(*peer),
                    4 => conf.learners_next.push(*peer),
                    _ => {}
                }
            }
            let leader = known.first().map(|p| (*p, partition.leader_term + u64::from(*newer)));
            let from = state.brokers().next()?.id();
            Command::Report { from, rows: vec![GroupReport { id, leader, conf: Some(conf) }] }
        }
        Wish::Ids => Command::AllocateProducerIds { broker: broker(1), count: 10 },
        Wish::Open => Command::Open,
    })
}

/// All peers that a state names for a group.
fn named(state: &State) -> BTreeSet<(PartitionId, PeerId)> {
    let all = state.partitions();
    all.flat_map(|(id, p)| p.target.iter().copied().chain(p.members()).map(move |peer| (id, peer)))
        .collect()
}

fn check_shape(state: &State) -> Result<(), TestCaseError> {
    for topic in state.topics() {
        prop_assert!(topic.partition_ids().all(|id| state.partition(id).is_some()));
        prop_assert_eq!(state.topic_by_name(&topic.name), Some(topic));
    }
    let partitions: usize = state.topics().map(|t| t.partitions as usize).sum();
    prop_assert_eq!(state.partitions().count(), partitions);
    for (id, partition) in state.partitions() {
        let on: BTreeSet<BrokerId> = partition.target_brokers().collect();
        prop_assert_eq!(on.len(), partition.target.len(), "a broker twice in {}", id);
        for peer in &partition.target {
            let replica = state.replica_on(id, peer.broker());
            prop_assert_eq!(replica.map(|r| r.peer), Some(*peer), "what is wanted is held");
        }
    }
    for broker in state.brokers() {
        for (id, replica) in state.replicas_on(broker.id()) {
            prop_assert!(replica.peer.placed_at() >= broker.meta_peer.placed_at(), "{}", id);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_is_proposed(wishes in wishes()) {
        let Cluster { mut state, mut next } = cluster(4);
        let mut twin = state.clone();
        let mut ever = named(&state);
        for wish in &wishes {
            let Some(command) = command(wish, &state) else { continue };
            let before = state.clone();
            let result = state.apply(next, &command);
            match &result {
                Ok(applied) => {
                    let rows = |s: &State, id| s.partition(id).cloned();
                    let ids = before.partitions().chain(state.partitions()).map(|(id, _)| id);
                    for id in ids.collect::<BTreeSet<_>>() {
                        let same = rows(&before, id) == rows(&state, id);
                        prop_assert!(same || applied.touched.contains(&id), "untold: {}", id);
                    }
                    let brokers_same = before.brokers().eq(state.brokers());
                    prop_assert!(brokers_same || applied.brokers_changed);
                    let topics_same = before.topics().len() == state.topics().len();
                    prop_assert!(topics_same || applied.topics_changed);
                }
                Err(_) => prop_assert_eq!(&state, &before, "a refused command changed something"),
            }
            let decoded = Command::decode(command.encode()).expect("a command's own bytes");
            prop_assert_eq!(twin.apply(next, &decoded), result);
            prop_assert_eq!(&twin, &state);
            // The twin restarts from a snapshot after every command.
            twin = State::decode(state.encode()).expect("a state's own bytes");
            prop_assert_eq!(&twin, &state);
            let now = named(&state);
            for new in now.difference(&named(&before)) {
                prop_assert!(ever.insert(*new), "{:?} was used before", new);
            }
            check_shape(&state)?;
            next += 1;
        }
    }
}

//! What each command does, and what it is refused for.

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};

use super::*;
use crate::meta::state::GroupCounts;

fn fence(id: u32, fenced: bool) -> Command {
    Command::SetFenced { broker: broker(id), directory: directory(id), fenced }
}

fn cordon(id: u32, cordoned: bool) -> Command {
    Command::SetCordoned { broker: broker(id), cordoned }
}

fn remove(id: u32) -> Command {
    Command::RemoveBroker { broker: broker(id), directory: directory(id) }
}

fn targets(topic: u128, ids: &[u32]) -> Command {
    Command::SetTargets { targets: vec![(partition_id(topic, 0), brokers(ids))] }
}

#[test]
fn a_cluster_is_born_once() {
    let mut c = Cluster { state: State::new(), next: 3 };
    c.refuse(&Command::Open, "there is no cluster yet; initialize one broker first");
    let genesis = |brokers| Command::Genesis {
        cluster_id: "c".into(),
        brokers,
        first: registration(7, 7, 1),
    };
    c.refuse(&genesis(0), "a cluster needs an id and at least one broker");
    let (_, applied) = c.accept(&genesis(3));
    let meta_peer = peer(1, 7);
    assert_eq!(applied.outcome, Outcome::Registered { meta_peer, new_incarnation: true });
    assert_eq!(c.state.cluster_id(), Some("c"));
    let replica = c.state.replica_on(PartitionId::META, broker(7)).unwrap();
    assert_eq!(replica, Replica { peer: meta_peer, born: true, initial_voters: vec![meta_peer] });
    c.refuse(&genesis(3), "this cluster exists already, with id \"c\"");
}

#[test]
fn meta_opens_at_its_first_size() {
    let mut c = cluster(4);
    assert_eq!(c.state.meta_voters_wanted(), 3);
    assert!(!c.state.can_open());
    let replica = c.state.replica_on(PartitionId::META, broker(3)).unwrap();
    assert_eq!((replica.peer, replica.born), (peer(5, 3), false));
    let grown = vec![peer(1, 1), peer(4, 2), peer(5, 3)];
    let promote = |peers: &[PeerId]| {
        let mut change = ConfChangeV2::default();
        let single = |peer: &PeerId| {
            let mut single = ConfChangeSingle { node_id: peer.0, ..ConfChangeSingle::default() };
            single.set_change_type(ConfChangeType::AddNode);
            single
        };
        change.changes = peers.iter().map(single).collect();
        change
    };
    c.state.apply_meta_change(20, &promote(&grown[1..]));
    assert!(c.state.partition(PartitionId::META).unwrap().is_joint());
    assert!(!c.state.can_open());
    c.state.apply_meta_change(21, &ConfChangeV2::default());
    c.state.apply_meta_change(19, &promote(&[peer(9, 9)]));
    assert_eq!(c.state.partition(PartitionId::META).unwrap().voters, grown);
    assert!(c.state.can_open());
    c.accept(&Command::Open);
    assert!(c.state.open() && !c.state.can_open());
}

#[test]
fn registrations() {
    let mut c = cluster(3);
    let again = Registration { kafka_address: "new:1".into(), ..registration(2, 102, 5) };
    let (_, applied) = c.accept(&Command::RegisterBroker(again));
    let meta_peer = peer(4, 2);
    assert_eq!(applied.outcome, Outcome::Registered { meta_peer, new_incarnation: false });
    assert_eq!(
        c.state.broker(broker(2)).unwrap().kafka_host_port(Listener::Internal),
        Some(("new", 1))
    );
    let mut refuse = |new, why: &str| c.refuse(&Command::RegisterBroker(new), why);
    refuse(
        registration(2, 102, 4),
        "broker 2 is at start 4 of its directory, but start 5 was seen; the volume was restored and counts as lost, wipe it",
    );
    refuse(
        registration(4, 102, 9),
        "directory 00000000-0000-0000-0000-000000000066 belongs to broker 2, broker 4 cannot use it",
    );
    refuse(
        registration(2, 222, 1),
        "broker 2 is alive with directory 00000000-0000-0000-0000-000000000066; stop it before another directory takes its id",
    );
    refuse(
        Registration { peer_address: "nowhere".into(), ..registration(4, 104, 1) },
        "broker 4 registers with the address \"nowhere\"; it must be host:port",
    );
    refuse(registration(1 << 20, 1, 1), "broker id 1048576 is above the largest, 1048575");
}

#[test]
fn a_lost_disk_is_a_new_incarnation() {
    let mut c = cluster(3);
    let (made, _) = c.accept(&create("t", 10, &[&[1, 2, 3]]));
    c.accept(&conf(PartitionId::META, voters(9, vec![peer(1, 1), peer(4, 2), peer(5, 3)])));
    c.accept(&fence(2, true));
    let (lost, applied) = c.accept(&Command::RegisterBroker(registration(2, 222, 1)));
    let meta_peer = peer(lost, 2);
    assert_eq!(applied.outcome, Outcome::Registered { meta_peer, new_incarnation: true });
    assert!(applied.touched.contains(&partition_id(10, 0)));
    assert_eq!(c.target(10, 0), [peer(made, 1), peer(lost, 2), peer(made, 3)]);
    let replica = c.state.replica_on(partition_id(10, 0), broker(2)).unwrap();
    assert_eq!((replica.peer, replica.born), (peer(lost, 2), false));
    assert_eq!(c.state.former_meta_peers().collect::<Vec<_>>(), [peer(4, 2)]);
    assert!(c.state.is_retired(directory(2)) && !c.state.broker(broker(2)).unwrap().fenced);
    c.refuse(
        &Command::RegisterBroker(registration(2, 102, 9)),
        "directory 00000000-0000-0000-0000-000000000066 was retired; wipe broker 2 to let it join again",
    );
    c.refuse(
        &fence(2, true),
        "broker 2 has directory 00000000-0000-0000-0000-0000000000de now, not 00000000-0000-0000-0000-000000000066",
    );
    c.accept(&conf(PartitionId::META, voters(30, vec![peer(1, 1), meta_peer, peer(5, 3)])));
    assert_eq!(c.state.former_meta_peers().count(), 0);
}

#[test]
fn a_dead_member_is_never_a_replica_of_the_next_incarnation() {
    let mut c = cluster(4);
    let (made, _) = c.accept(&create("t", 10, &[&[1, 2, 3]]));
    c.accept(&targets(10, &[1, 4, 3]));
    assert!(c.state.replica_on(partition_id(10, 0), broker(2)).is_some(), "still a voter");
    c.accept(&fence(2, true));
    c.accept(&Command::RegisterBroker(registration(2, 222, 1)));
    assert_eq!(c.state.replica_on(partition_id(10, 0), broker(2)), None);
    let (back, _) = c.accept(&targets(10, &[1, 2, 3]));
    assert_eq!(c.target(10, 0), [peer(made, 1), peer(back, 2), peer(made, 3)]);
}

#[test]
fn a_broker_goes_only_when_it_holds_nothing() {
    let mut c = cluster(4);
    let (made, _) = c.accept(&create("t", 10, &[&[1, 2, 3]]));
    c.refuse(&remove(3), "broker 3 is not cordoned; cordon and drain it before it is removed");
    c.accept(&cordon(3, true));
    let in_meta = vec![peer(1, 1), peer(4, 2), peer(5, 3)];
    c.accept(&conf(PartitionId::META, voters(9, in_meta.clone())));
    let still = |groups, meta| {
        format!(
            "broker 3 still has {groups} data groups and {meta} memberships of __meta; move them away first"
        )
    };
    c.refuse(&remove(3), &still(1, 1));
    let (moved, _) = c.accept(&targets(10, &[1, 2, 4]));
    c.refuse(&remove(3), &still(1, 1));
    let now = vec![peer(made, 1), peer(made, 2), peer(moved, 4)];
    let joint = ConfReport {
        outgoing: peers(made, &[1, 2, 3]),
        learners_next: vec![peer(made, 3)],
        ..voters(40, now.clone())
    };
    c.accept(&conf(partition_id(10, 0), joint));
    c.refuse(&remove(3), &still(1, 1));
    c.accept(&conf(partition_id(10, 0), voters(41, now)));
    c.refuse(&remove(3), &still(0, 1));
    c.accept(&conf(PartitionId::META, voters(50, in_meta[..2].to_vec())));
    let change = BTreeMap::from([("log.retention.ms".to_owned(), Some("5".to_owned()))]);
    let resource = ConfigResource::Broker(Some(broker(3)));
    c.accept(&Command::SetConfigs { resource: resource.clone(), changes: change });
    let (_, applied) = c.accept(&remove(3));
    assert!(applied.brokers_changed && applied.configs_changed.contains(&resource));
    assert_eq!(c.state.broker(broker(3)), None);
    c.accept(&remove(3)); // Again: it was done.
    c.refuse(&cordon(3, false), "broker 3 is not registered");
    let back = Registration { boot: 9, ..registration(3, 103, 9) };
    assert_eq!(
        c.state.apply(99, &Command::RegisterBroker(back)),
        Err(Refusal::Retired { broker: broker(3), directory: directory(3) })
    );
}

#[test]
fn topics_are_made_whole_or_not() {
    let mut c = cluster(3);
    c.accept(&cordon(3, true));
    c.refuse(
        &create("a b", 10, &[&[1]]),
        "topic name \"a b\" has the character ' '; use only letters, digits, '.', '_' and '-'",
    );
    c.refuse(&create("t", 10, &[]), "0 partitions cannot be made at once; from 1 to 10000 can");
    let mut place = |lists: &[&[u32]], why: &str| {
        c.refuse(
            &create("t", 10, lists),
            &format!("partition {} cannot be placed: {why}", lists.len() - 1),
        );
    };
    place(&[&[1], &[]], "no broker is named");
    place(&[&[1, 1]], "broker 1 is named twice");
    place(&[&[9]], "broker 9 is not registered");
    place(&[&[1], &[3]], "broker 3 is cordoned");
    place(&[&[1, 2], &[1]], "1 brokers are named where other partitions have 2");
    place(&[&[1; 16]], "16 brokers are named, 15 are allowed");
    let (made, applied) = c.accept(&create("t.x", 10, &[&[1, 2], &[2, 1]]));
    assert_eq!(applied.touched.len(), 2);
    assert_eq!(c.target(10, 1), peers(made, &[2, 1]));
    let replica = c.state.replica_on(partition_id(10, 1), broker(1)).unwrap();
    let expected =
        Replica { peer: peer(made, 1), born: true, initial_voters: peers(made, &[2, 1]) };
    assert_eq!(replica, expected);
    assert_eq!(c.state.largest_replication(), Some(("t.x", 2)));
    assert_eq!(c.state.off_target().count(), 0);
    c.refuse(&create("t.x", 11, &[&[1]]), "topic \"t.x\" exists already");
    c.refuse(
        &create("t_x", 11, &[&[1]]),
        "topic \"t_x\" collides with \"t.x\": '.' and '_' are the same in metric names",
    );
    for taken in [0, 1, 10] {
        let why = format!("topic id {} is taken or reserved; draw another", uuid(taken));
        c.refuse(&create("u", taken, &[&[1]]), &why);
    }
    let grow = |expected, lists: &[&[u32]]| Command::CreatePartitions {
        topic: uuid(10),
        expected,
        partitions: lists.iter().map(|l| brokers(l)).collect(),
    };
    c.refuse(&grow(1, &[&[1]]), "topic \"t.x\" has 2 partitions, not 1; look again");
    let (grown, _) = c.accept(&grow(2, &[&[2]]));
    assert_eq!(c.target(10, 2), peers(grown, &[2]));
    let (_, applied) = c.accept(&Command::DeleteTopic { id: uuid(10) });
    assert_eq!(applied.touched.len(), 3);
    assert_eq!(c.state.partitions().count() + c.state.topics().len(), 0);
    c.refuse(
        &Command::DeleteTopic { id: uuid(10) },
        &format!("there is no topic with id {}", uuid(10)),
    );
}

#[test]
fn moves_keep_the_peers_that_stay() {
    let mut c = cluster(4);
    let (made, _) = c.accept(&create("t", 10, &[&[1, 2, 3]]));
    let (moved, applied) = c.accept(&targets(10, &[2, 1, 4]));
    assert_eq!(applied.touched.len(), 1);
    assert_eq!(c.target(10, 0), [peer(made, 2), peer(made, 1), peer(moved, 4)]);
    assert_eq!(c.state.off_target().count(), 1);
    // Broker 3 is still a voter: named again, it is the same replica.
    c.accept(&targets(10, &[1, 2, 3]));
    assert_eq!(c.target(10, 0), peers(made, &[1, 2, 3]));
    let (_, applied) = c.accept(&targets(10, &[1, 2, 3]));
    assert_eq!(applied, Applied::default(), "nothing new");
    c.accept(&cordon(3, true));
    c.accept(&cordon(4, true));
    c.accept(&targets(10, &[3, 1]));
    c.refuse(&targets(10, &[4, 1]), "partition 0 cannot be placed: broker 4 is cordoned");
    let meta = Command::SetTargets { targets: vec![(PartitionId::META, brokers(&[1]))] };
    c.refuse(&meta, "partition 0 cannot be placed: the members of __meta are not set by targets");
    let twice = vec![(partition_id(10, 0), brokers(&[1])); 2];
    c.refuse(
        &Command::SetTargets { targets: twice },
        "partition 1 cannot be placed: the partition is named twice",
    );
    c.refuse(&targets(11, &[1]), &format!("there is no partition {}", partition_id(11, 0)));
}

#[test]
fn a_removed_peer_that_is_wanted_again_gets_a_new_life() {
    let mut c = cluster(3);
    let (made, _) = c.accept(&create("t", 10, &[&[1, 2, 3]]));
    let (removed, _) = c.accept(&conf(partition_id(10, 0), voters(7, peers(made, &[1, 2]))));
    assert_eq!(c.target(10, 0), [peer(made, 1), peer(made, 2), peer(removed, 3)]);
}

#[test]
fn only_newer_reports_count() {
    let mut c = cluster(3);
    let (made, _) = c.accept(&create("t", 10, &[&[1, 2]]));
    let id = partition_id(10, 0);
    let leader = |id, leader, term| Command::Report {
        from: broker(2),
        rows: vec![GroupReport { id, leader: Some((leader, term)), conf: None }],
    };
    let (_, applied) = c.accept(&leader(id, peer(made, 2), 3));
    assert!(applied.touched.contains(&id));
    for stale in [2, 3] {
        let (_, applied) = c.accept(&leader(id, peer(made, 1), stale));
        assert!(applied.touched.is_empty());
    }
    let (_, applied) = c.accept(&conf(id, voters(1, peers(made, &[1]))));
    assert!(applied.touched.is_empty(), "not above the birth index");
    let (_, applied) = c.accept(&leader(partition_id(99, 0), peer(made, 1), 9));
    assert!(applied.touched.is_empty(), "deleted meanwhile");
    let row = c.state.partition(id).unwrap();
    assert_eq!((row.leader, row.leader_term, row.conf_index), (Some(peer(made, 2)), 3, 1));
    let counts = c.state.group_counts();
    assert_eq!(counts[&broker(2)], GroupCounts { replicas: 1, leaders: 1 });
    assert_eq!(counts[&broker(3)], GroupCounts::default());
    c.refuse(&Command::Report { from: broker(9), rows: vec![] }, "broker 9 is not registered");
}

#[test]
fn producer_ids_are_handed_out_once() {
    let mut c = cluster(1);
    let allocate = |count| Command::AllocateProducerIds { broker: broker(1), count };
    for first in [0, 1000] {
        let (_, applied) = c.accept(&allocate(1000));
        assert_eq!(applied.outcome, Outcome::ProducerIds { first, count: 1000 });
    }
    c.refuse(&allocate(0), "0 producer ids cannot be reserved at once");
    c.refuse(&allocate(1_000_001), "1000001 producer ids cannot be reserved at once");
}

#[test]
fn a_damaged_replica_is_replaced_when_the_others_are_enough() {
    let mut c = cluster(3);
    let (index, _) = c.accept(&create("t", 7, &[&[1, 2, 3]]));
    let id = partition_id(7, 0);
    let replace = |c: &Cluster, at: usize| Command::ReplaceReplica { id, peer: c.target(7, 0)[at] };
    let why = |id: u32| {
        let peer = peer(index, id);
        format!(
            "partition {} cannot do without its replica {peer} before others are whole",
            partition_id(7, 0)
        )
    };
    c.accept(&fence(3, true));
    let first = replace(&c, 0);
    c.refuse(&first, &why(1));
    c.accept(&fence(3, false));
    let (renewed, applied) = c.accept(&first);
    assert!(applied.touched.contains(&id));
    assert_eq!(c.target(7, 0)[0], peer(renewed, 1));
    // The first one's vote is gone, and its new life has none yet.
    let second = replace(&c, 1);
    c.refuse(&second, &why(2));
    let (again, _) = c.accept(&replace(&c, 0));
    assert_eq!(c.target(7, 0)[0], peer(again, 1), "what has no vote is not needed");
    let members = [vec![peer(again, 1)], peers(index, &[2, 3])].concat();
    c.accept(&conf(id, voters(9, members)));
    c.accept(&second);
    let (_, applied) = c.accept(&second);
    assert!(applied.touched.is_empty(), "done already");
    c.accept(&create("u", 8, &[&[1]]));
    let alone = Command::ReplaceReplica { id: partition_id(8, 0), peer: c.target(8, 0)[0] };
    assert!(c.state.apply(99, &alone).is_err(), "there is nobody to rebuild it from");
}

//! A cluster's birth, its growth, the loss of a leader, and the return of a restarted broker.

use chronik_core::admin::{AdminError, AdminRequest, AdminResponse, NodeState};
use chronik_core::core::Limits;
use chronik_core::core::input::Input;
use chronik_core::core::node::{Membership, NodeRecord};
use chronik_core::ids::{BrokerId, Micros, PartitionId, PeerId};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::log::recover;
use chronik_core::wire::api::ApiKey;
use kafka_protocol::messages;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState};

use crate::cluster::Cluster;
use crate::kafka::{Client, topic_name};
use crate::records::{followers, put, with_topic};

pub(crate) fn change(changes: &[(PeerId, ConfChangeType)]) -> Vec<u8> {
    let mut all = ConfChangeV2::default();
    let singles = changes.iter().map(|(peer, kind)| {
        let mut single = ConfChangeSingle { node_id: peer.0, ..ConfChangeSingle::default() };
        single.set_change_type(*kind);
        single
    });
    all.changes = singles.collect::<Vec<_>>();
    chronik_raft_bridge::encode_conf_change_v2(&all).unwrap()
}

fn meta_conf(cluster: &mut Cluster) -> (BrokerId, ConfState, u64) {
    let controller = cluster.controller();
    let description = cluster.describe(controller);
    let group = description.groups.iter().find(|group| group.topic == "__meta").unwrap();
    let conf = chronik_raft_bridge::decode_conf_state(&group.conf_state).unwrap();
    (controller, conf, group.conf_index)
}

pub(crate) fn change_meta(cluster: &mut Cluster, changes: &[(PeerId, ConfChangeType)]) {
    let (controller, _, expected_conf_index) = meta_conf(cluster);
    let answer = cluster.order(
        controller,
        AdminRequest::ChangeMembership {
            topic: "__meta".into(),
            partition: 0,
            change: change(changes),
            expected_conf_index,
        },
    );
    assert!(matches!(answer, Ok(AdminResponse::MembershipChanged { .. })), "{answer:?}");
}

/// Three brokers, all of them voters of `__meta`.
pub(crate) fn three() -> Cluster {
    grown(Cluster::new(3))
}

/// Three brokers with small files.
pub(crate) fn three_small() -> Cluster {
    grown(Cluster::with(3, small()))
}

/// Small files, and retention is looked at every second.
pub(crate) fn small() -> Limits {
    let log = chronik_core::log::Limits {
        segment_bytes: 4 << 10,
        flush_bytes: 1 << 10,
        unflushed_bytes_max: 64 << 10,
        wal_file_bytes: 64 << 10,
        reclaim_bytes: 8 << 10,
        cache_bytes: 4 << 10,
        ..chronik_core::log::Limits::default()
    };
    let retention_check = Micros::from_millis(1_000);
    Limits { log, free_bytes_min: 0, retention_check, ..Limits::default() }
}

pub(crate) fn grown(mut cluster: Cluster) -> Cluster {
    cluster.run(500);
    assert_eq!(cluster.describe(BrokerId(1)).state, NodeState::Uninitialized);
    let birth = AdminRequest::Initialize { cluster_id: "c".into(), brokers: 3 };
    cluster.order(BrokerId(1), birth.clone()).unwrap();
    cluster.order(BrokerId(1), birth).unwrap();
    cluster.run(2_000);
    let description = cluster.describe(BrokerId(1));
    assert_eq!(description.state, NodeState::Member);
    let meta = description.meta.unwrap();
    assert_eq!(meta.brokers.len(), 3, "all have registered");
    assert!(!meta.open);
    for broker in &meta.brokers[1..] {
        change_meta(&mut cluster, &[(broker.meta_peer, ConfChangeType::AddLearnerNode)]);
        cluster.run(1_000);
        change_meta(&mut cluster, &[(broker.meta_peer, ConfChangeType::AddNode)]);
    }
    cluster.run(1_000);
    for id in 1..=3 {
        let description = cluster.describe(BrokerId(id));
        assert_eq!(description.state, NodeState::Member, "broker {id}");
        assert!(description.meta.unwrap().open, "broker {id}");
    }
    cluster
}

#[test]
fn a_cluster_is_born_with_one_voter_and_grows_to_three() {
    let mut cluster = three();
    let (_, conf, _) = meta_conf(&mut cluster);
    assert_eq!(conf.voters.len(), 3);
    let other = AdminRequest::Initialize { cluster_id: "other".into(), brokers: 3 };
    assert!(cluster.order(BrokerId(2), other).is_err(), "a member is never initialized again");
}

#[test]
fn a_replica_that_is_removed_and_added_again_under_its_id_listens_again() {
    let mut cluster = three();
    let (controller, conf, _) = meta_conf(&mut cluster);
    let other = conf.voters.iter().map(|id| PeerId(*id)).find(|id| id.broker() != controller);
    let other = other.unwrap();
    change_meta(&mut cluster, &[(other, ConfChangeType::RemoveNode)]);
    cluster.run(2_000);
    change_meta(&mut cluster, &[(other, ConfChangeType::AddLearnerNode)]);
    cluster.run(2_000);
    change_meta(&mut cluster, &[(other, ConfChangeType::AddNode)]);
    cluster.run(1_000);
    let applied = |cluster: &mut Cluster, id| cluster.describe(id).meta.unwrap().applied;
    assert_eq!(applied(&mut cluster, other.broker()), applied(&mut cluster, controller));
    assert_eq!(meta_conf(&mut cluster).1.voters.len(), 3);
}

#[test]
fn a_dead_leader_is_replaced_fenced_and_comes_back() {
    let mut cluster = three();
    let leader = cluster.controller();
    let disk = cluster.kill(leader);
    cluster.run(3_000);
    let next = cluster.controller();
    assert_ne!(next, leader);
    cluster.run(8_000);
    let fenced = |cluster: &mut Cluster| {
        let brokers = cluster.describe(next).meta.unwrap().brokers;
        brokers.iter().find(|broker| broker.id == leader).unwrap().fenced
    };
    assert!(fenced(&mut cluster));
    cluster.start(leader, disk);
    cluster.run(3_000);
    assert!(!fenced(&mut cluster));
    let description = cluster.describe(leader);
    assert_eq!((description.state, description.boot), (NodeState::Member, 2));
}

#[test]
fn a_broker_whose_meta_is_damaged_says_so_and_comes_back_with_a_new_directory() {
    let mut cluster = three();
    let broker = BrokerId(3);
    let disk = cluster.kill(broker);
    let wal = disk.paths().into_iter().filter(|path| path.starts_with("wal/"));
    for path in wal {
        // Early enough for much that was synced to follow it.
        disk.flip(&path, 300);
    }
    let error = cluster.start_life(broker, disk, 1).unwrap_err().to_string();
    assert!(error.contains("replica of __meta is damaged"), "{error}");
    assert!(error.contains("remove the data directory"), "{error}");
    // Its session has to end before its id can have another directory.
    cluster.run(12_000);
    cluster.start_life(broker, MemDisk::new(), 2).unwrap();
    cluster.run(5_000);
    let description = cluster.describe(broker);
    assert_eq!(description.state, NodeState::Joining, "waits to be made a member of __meta");
    let meta = cluster.describe(BrokerId(1)).meta.unwrap();
    let known = meta.brokers.iter().find(|known| known.id == broker).unwrap();
    assert_eq!((known.directory, known.fenced), (description.directory, false));
}

/// Takes a broker that holds nothing out of the cluster.
fn remove(cluster: &mut Cluster, broker: BrokerId) {
    let controller = cluster.controller();
    let meta = cluster.describe(controller).meta.unwrap();
    let known = meta.brokers.iter().find(|known| known.id == broker).unwrap().clone();
    change_meta(cluster, &[(known.meta_peer, ConfChangeType::RemoveNode)]);
    let directory = known.directory;
    for order in [AdminRequest::Cordon(broker), AdminRequest::RemoveBroker { broker, directory }] {
        cluster.order(controller, order).unwrap();
    }
}

#[test]
fn a_broker_that_is_removed_while_it_runs_learns_of_it() {
    let mut cluster = three();
    crate::operator::add_fourth(&mut cluster);
    remove(&mut cluster, BrokerId(4));
    cluster.run(4_000);
    assert_eq!(cluster.describe(BrokerId(4)).state, NodeState::Retired);
}

/// What such a broker leads is of topics that are gone: nobody is to wait for it.
#[test]
fn a_broker_that_was_removed_while_it_was_down_leads_nothing_that_counts() {
    let mut cluster = three();
    crate::operator::add_fourth(&mut cluster);
    let mut client = Client::of(cluster, BrokerId(1));
    let place = CreatableReplicaAssignment::default()
        .with_partition_index(0)
        .with_broker_ids(vec![messages::BrokerId(4)]);
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![place]);
    let request = messages::CreateTopicsRequest::default().with_topics(vec![topic]);
    let made: messages::CreateTopicsResponse = client.ask(ApiKey::CreateTopics, 7, &request);
    assert_eq!(made.topics[0].error_code, 0);
    let cluster = &mut client.cluster;
    cluster.run(1_000);
    let controller = cluster.controller();
    let fourth = BrokerId(4);
    for order in [AdminRequest::Cordon(fourth), AdminRequest::Drain(fourth)] {
        cluster.order(controller, order).unwrap();
    }
    cluster.run(1_000);
    let before = cluster.describe(fourth);
    assert_eq!((before.leaders, before.groups.len(), before.needed.len()), (1, 1, 1));

    let disk = cluster.kill(fourth);
    let request = messages::DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    client.ask::<messages::DeleteTopicsResponse>(ApiKey::DeleteTopics, 5, &request);
    let cluster = &mut client.cluster;
    remove(cluster, fourth);

    cluster.start(fourth, disk);
    cluster.run(4_000);
    let after = cluster.describe(fourth);
    assert_eq!((after.state, after.replicas), (NodeState::Retired, 2), "it has not heard of that");
    assert_eq!((after.leaders, after.groups.len(), after.needed.len()), (0, 0, 0));
    assert!(after.quorum_losses.is_empty());
}

#[test]
fn a_crash_in_the_middle_of_joining_is_made_good() {
    let disk = MemDisk::new();
    let mut found = recover::open(disk.clone(), Limits::default().log).unwrap();
    let meta_peer = PeerId::new(1, BrokerId(1));
    let membership = Membership { cluster_id: "c".into(), meta_peer, born_with: Some(1) };
    let node = NodeRecord { boot: 1, membership: Some(membership), retired: false };
    found.wal.set_node(node.encode());
    let job = found.wal.write().unwrap().unwrap();
    disk.sync(&job).unwrap();
    let mut cluster = Cluster::new(0);
    cluster.start(BrokerId(1), disk);
    cluster.run(3_000);
    assert_eq!(cluster.describe(BrokerId(1)).state, NodeState::Member);
}

/// A message that no honest peer sends: raft panics on its commit.
fn poison(topic: &str, conf: &ConfState, to: u64) -> Input {
    let mut message = raft::eraftpb::Message { to, term: 1 << 20, ..Default::default() };
    message.set_msg_type(raft::eraftpb::MessageType::MsgHeartbeat);
    message.from = *conf.voters.iter().find(|id| **id != to).unwrap();
    message.commit = 1 << 40;
    let message = chronik_raft_bridge::encode_raft_message(&message).unwrap().into();
    Input::Step { topic: topic.into(), partition: 0, message, token: 1 }
}

#[test]
fn a_message_that_raft_panics_on_takes_the_replica_offline_and_nothing_else() {
    let mut client = with_topic(three(), &[]);
    let victim = followers(&mut client, "t")[0];
    let cluster = &mut client.cluster;
    let mut views = cluster.nodes[&victim].core.replica_views();
    let view = views.find(|view| view.id != PartitionId::META).unwrap();
    let (conf, to) = (view.conf.clone(), view.peer.0);
    drop(views);
    cluster.input(victim, poison("t", &conf, to));
    assert_eq!(cluster.nodes[&victim].core.inspect().offline, 1);
    assert_eq!(cluster.describe(victim).cluster_id.as_deref(), Some("c"));
    assert_eq!(put(&mut client, "t", b"the others go on").0, 0);
}

#[test]
fn a_broker_whose_replica_of_meta_breaks_ends_and_is_whole_after_a_restart() {
    let mut cluster = three();
    let (controller, conf, _) = meta_conf(&mut cluster);
    let to = conf.voters.iter().copied().find(|id| PeerId(*id).broker() != controller).unwrap();
    let victim = PeerId(to).broker();
    cluster.dying.insert(victim, None);
    cluster.input(victim, poison("__meta", &conf, to));
    let said = cluster.dying[&victim].clone().expect("the process is to end");
    assert!(
        said.contains("replica of __meta") && said.contains("start the broker again"),
        "{said}"
    );
    let disk = cluster.kill(victim);
    cluster.run(3_000);
    assert_ne!(cluster.controller(), victim, "the others go on");
    cluster.start(victim, disk);
    cluster.run(3_000);
    let applied = |cluster: &mut Cluster, id| cluster.describe(id).meta.unwrap().applied;
    let now = cluster.controller();
    assert_eq!(applied(&mut cluster, victim), applied(&mut cluster, now));
    assert_eq!(cluster.nodes[&victim].core.inspect().offline, 0);
}

#[test]
fn a_broker_of_another_cluster_is_not_taken_for_ours() {
    let mut cluster = three();
    let ours = cluster.hello(BrokerId(2), BrokerId(1));
    let mut foreign = ours.clone();
    foreign.cluster_id = Some("another".into());
    foreign.directory = chronik_core::ids::Uuid::from_u128(999);
    foreign.peer_address = "10.0.0.1:1".into();
    let mut restored = ours.clone();
    restored.boot -= 1;
    for stranger in [foreign, restored] {
        cluster.input(BrokerId(1), Input::PeerConnected(stranger));
        assert!(
            cluster.nodes[&BrokerId(1)].peers.contains(&(BrokerId(2), "127.0.0.1:9192".to_owned())),
            "its address is not dialled"
        );
        cluster.run(8_000);
        assert_eq!(cluster.nodes[&BrokerId(1)].core.inspect().brokers_fenced, 1);
        cluster.input(BrokerId(1), Input::PeerConnected(ours.clone()));
        cluster.run(8_000);
        assert_eq!(cluster.nodes[&BrokerId(1)].core.inspect().brokers_fenced, 0);
    }
}

#[test]
fn a_broker_whose_disk_hangs_hands_its_leaderships_over() {
    let mut cluster = three();
    let slow = cluster.controller();
    cluster.hangs = Some(slow);
    // Something to sync.
    let cordon = AdminRequest::Cordon(slow);
    cluster.input(slow, Input::Admin { token: 1 << 40, request: cordon });
    cluster.run(5_000);
    let others: Vec<BrokerId> = (1..=3).map(BrokerId).filter(|id| *id != slow).collect();
    let led = others
        .iter()
        .any(|id| cluster.describe(*id).groups.iter().any(|group| group.topic == "__meta"));
    assert!(led, "another broker leads");
}

#[test]
fn a_joint_state_that_has_to_be_left_by_hand_is_not_entered() {
    let mut cluster = three();
    let (controller, conf, expected_conf_index) = meta_conf(&mut cluster);
    let other = conf.voters.iter().find(|id| PeerId(**id).broker() != controller).unwrap();
    let encoded = change(&[(PeerId(*other), ConfChangeType::AddLearnerNode)]);
    let mut explicit = chronik_raft_bridge::decode_conf_change_v2(&encoded).unwrap();
    explicit.set_transition(raft::eraftpb::ConfChangeTransition::Explicit);
    let request = AdminRequest::ChangeMembership {
        topic: "__meta".into(),
        partition: 0,
        change: chronik_raft_bridge::encode_conf_change_v2(&explicit).unwrap(),
        expected_conf_index,
    };
    let answer = cluster.order(controller, request);
    assert!(matches!(answer, Err(AdminError::Refused(_))), "{answer:?}");
}

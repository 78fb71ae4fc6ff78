//! Replicas that move to another broker: what was committed and who has produced goes with them.

use chronik_core::admin::{AdminError, AdminRequest};
use chronik_core::core::input::Input;
use chronik_core::ids::BrokerId;
use chronik_core::wire::api::ApiKey;
use chronik_core::wire::records::BatchBuilder;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{self as m, GroupId};
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};

use crate::cluster::Cluster;
use crate::kafka::{Client, text, topic_name};
use crate::membership::{change, three_small};
use crate::operator::{add_fourth, empty_first, move_to_a_fourth, operate};
use crate::records::{NOW_MS, Records, assert_holds, leader, partition, produce, put, with_topic};

const OUT_OF_ORDER: i16 = 45;

/// The `n`th batch of an idempotent producer.
pub(crate) fn of_producer(n: i32) -> bytes::Bytes {
    let value = format!("of a producer {n:04} ").repeat(20);
    BatchBuilder::new(NOW_MS).producer(4_711, 0, n).record(None, Some(value.as_bytes())).build()
}

/// That a producer's `n`th batch, at `offset`, is known, and what it must not send is refused.
pub(crate) fn assert_producer_known(client: &mut Client, n: i32, offset: i64) {
    assert_eq!(produce(client, "t", -1, of_producer(n)), (0, offset), "sent again");
    assert_eq!(produce(client, "t", -1, of_producer(n + 2)).0, OUT_OF_ORDER);
}

/// Goes to the coordinator of the group `g`.
fn find(client: &mut Client) {
    let request = m::FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    for _ in 0..100 {
        client.broker = *client.cluster.nodes.keys().next_back().unwrap();
        let found: m::FindCoordinatorResponse = client.ask(ApiKey::FindCoordinator, 6, &request);
        let coordinator = &found.coordinators[0];
        let id = BrokerId(u32::try_from(coordinator.node_id.0).unwrap_or(0));
        if coordinator.error_code == 0 && client.cluster.nodes.contains_key(&id) {
            client.broker = id;
            return;
        }
        client.cluster.run(100);
    }
    panic!("no coordinator");
}

fn commit(client: &mut Client, offset: i64) {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(&"note ".repeat(50))));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = m::OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    for _ in 0..50 {
        find(client);
        let response: m::OffsetCommitResponse = client.ask(ApiKey::OffsetCommit, 9, &request);
        if response.topics[0].partitions[0].error_code == 0 {
            return;
        }
        client.cluster.run(200);
    }
    panic!("an offset is never committed");
}

fn committed(client: &mut Client) -> i64 {
    let one =
        OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g"))).with_topics(None);
    let request = m::OffsetFetchRequest::default().with_groups(vec![one]);
    for _ in 0..50 {
        find(client);
        let response: m::OffsetFetchResponse = client.ask(ApiKey::OffsetFetch, 9, &request);
        if response.groups[0].error_code == 0 {
            return response.groups[0].topics[0].partitions[0].committed_offset;
        }
        client.cluster.run(200);
    }
    panic!("offsets are never served");
}

#[test]
fn offsets_and_producers_survive_a_move_and_each_change_of_leader() {
    let mut client = with_topic(three_small(), &[]);
    let records: Records = (0..20)
        .map(|n| (produce(&mut client, "t", -1, of_producer(n)).1, n))
        .map(|(offset, n)| (offset, format!("of a producer {n:04} ").repeat(20).into()))
        .collect();
    for offset in 0..60 {
        commit(&mut client, offset);
    }
    move_to_a_fourth(&mut client.cluster);
    assert_eq!(client.cluster.describe(BrokerId(1)).replicas, 1, "only that of __meta");
    for away in 2..=4 {
        let disk = client.cluster.kill(BrokerId(away));
        client.cluster.run(3_000);
        assert_eq!(committed(&mut client), 59, "without broker {away}");
        assert_producer_known(&mut client, 19, 19);
        assert_holds(&mut client, "t", &records);
        client.cluster.start(BrokerId(away), disk);
        client.cluster.run(3_000);
    }
    assert_eq!(produce(&mut client, "t", -1, of_producer(20)), (0, 20));
}

#[test]
fn a_removed_replica_that_comes_back_disturbs_nobody() {
    let mut client = with_topic(three_small(), &[]);
    let mut records: Records = (0..10).map(|n| put(&mut client, "t", &[n; 500])).collect();
    add_fourth(&mut client.cluster);
    let disk = client.cluster.kill(BrokerId(1));
    client.cluster.run(3_000);
    empty_first(&mut client.cluster);
    operate(&mut client.cluster);
    let before = partition(&mut client, "t");
    client.cluster.start(BrokerId(1), disk);
    client.cluster.run(10_000);
    let after = partition(&mut client, "t");
    assert_eq!((before.leader_id, before.leader_epoch), (after.leader_id, after.leader_epoch));
    assert_eq!(client.cluster.describe(BrokerId(1)).replicas, 1, "only that of __meta");
    records.push(put(&mut client, "t", b"after"));
    let disk = client.cluster.kill(BrokerId(1));
    client.cluster.start(BrokerId(1), disk);
    client.cluster.run(3_000);
    assert_eq!(client.cluster.describe(BrokerId(1)).replicas, 1);
    assert_holds(&mut client, "t", &records);
}

#[test]
fn a_place_that_was_taken_back_while_the_group_took_it_in_goes_to_another_life() {
    let mut client = with_topic(three_small(), &[]);
    let records: Records = (0..10).map(|n| put(&mut client, "t", &[n; 500])).collect();
    let leader = leader(&mut client, "t");
    let cluster = &mut client.cluster;
    add_fourth(cluster);
    empty_first(cluster);
    let controller = cluster.controller();
    cluster.order(controller, AdminRequest::Uncordon(BrokerId(1))).unwrap();
    let groups = cluster.describe(leader).groups;
    let group = groups.into_iter().find(|group| group.topic != "__meta").unwrap();
    let peer = *group.target.iter().find(|peer| peer.broker() == BrokerId(4)).unwrap();
    assert_eq!(cluster.describe(BrokerId(4)).replicas, 2, "that of __meta, and one that waits");
    // Both at once: the place is taken back before the image hears that the group has it.
    let added = AdminRequest::ChangeMembership {
        topic: group.topic,
        partition: 0,
        change: change(&[(peer, ConfChangeType::AddLearnerNode)]),
        expected_conf_index: group.conf_index,
    };
    for (to, token, request) in
        [(leader, 90_001, added), (controller, 90_002, AdminRequest::Drain(BrokerId(4)))]
    {
        let node = cluster.nodes.get_mut(&to).unwrap();
        node.inbox.push_back(Input::Admin { token, request });
    }
    cluster.settle();
    cluster.run(2_000);
    let is_learner = |cluster: &mut Cluster| {
        let groups = cluster.describe(leader).groups;
        let group = groups.iter().find(|group| group.topic != "__meta").unwrap();
        let conf = chronik_raft_bridge::decode_conf_state(&group.conf_state).unwrap();
        conf.learners == [peer.0]
    };
    assert!(is_learner(cluster));
    assert_eq!(cluster.describe(BrokerId(4)).replicas, 1, "what has ended does not come back");
    empty_first(cluster);
    operate(cluster);
    assert_eq!(cluster.describe(BrokerId(4)).replicas, 2);
    assert_holds(&mut client, "t", &records);
}

#[test]
fn a_joint_state_that_only_its_maker_leaves_is_refused() {
    let mut cluster = three_small();
    let controller = cluster.controller();
    let description = cluster.describe(controller);
    let group = description.groups.iter().find(|group| group.topic == "__meta").unwrap();
    let mut single = ConfChangeSingle { node_id: group.progress[0].peer.0, ..Default::default() };
    single.set_change_type(ConfChangeType::AddLearnerNode);
    let mut change = ConfChangeV2::default();
    change.set_transition(ConfChangeTransition::Explicit);
    change.changes = vec![single];
    let answer = cluster.order(
        controller,
        AdminRequest::ChangeMembership {
            topic: "__meta".into(),
            partition: 0,
            change: chronik_raft_bridge::encode_conf_change_v2(&change).unwrap(),
            expected_conf_index: group.conf_index,
        },
    );
    assert!(
        matches!(&answer, Err(AdminError::Refused(why)) if why.contains("Implicit")),
        "{answer:?}"
    );
}

//! A membership change that its leader has made, and `__meta` has not heard of yet.

use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::ids::{BrokerId, Index, PartitionId, PeerId};
use chronik_core::meta::partitions::Partition;
use raft::eraftpb::ConfChangeType;

use crate::cluster::Cluster;
use crate::kafka::Client;
use crate::membership::{change, three};
use crate::operator::{add_fourth, operate};
use crate::records::{assert_holds, followers, leader, put, with_topic};

/// The membership of the topic's group, as its leader has it: its voters, and the index of it.
fn members(cluster: &Cluster, leader: BrokerId) -> (Vec<PeerId>, Index) {
    let mut views = cluster.nodes[&leader].core.replica_views();
    let view = views.find(|view| view.id != PartitionId::META).unwrap();
    (view.conf.voters.iter().map(|id| PeerId(*id)).collect(), view.conf_index)
}

fn order(
    cluster: &mut Cluster,
    leader: BrokerId,
    changes: &[(PeerId, ConfChangeType)],
) -> Result<AdminResponse, AdminError> {
    let (_, expected_conf_index) = members(cluster, leader);
    let (topic, change) = ("t".into(), change(changes));
    let request =
        AdminRequest::ChangeMembership { topic, partition: 0, change, expected_conf_index };
    cluster.order(leader, request)
}

/// Three brokers: one leads `__meta`, another one the topic's group.
fn two_leaders() -> (Client, BrokerId, BrokerId) {
    let mut client = with_topic(three(), &[]);
    let controller = client.cluster.controller();
    if leader(&mut client, "t") == controller {
        let (topic, partition, to) = ("t".into(), 0, None);
        let order = AdminRequest::TransferLeadership { topic, partition, to };
        client.cluster.order(controller, order).unwrap();
        client.cluster.run(1_000);
    }
    let leader = leader(&mut client, "t");
    assert!(followers(&mut client, "t").contains(&controller));
    (client, controller, leader)
}

/// `__meta` gives the place of a replica that was removed to a new one when it hears of the removal.
/// If the old one were a voter again by then, it would be destroyed as one.
#[test]
fn a_removed_replica_is_not_added_again_before_the_cluster_knows_of_its_removal() {
    let (mut client, controller, leader) = two_leaders();
    let held = vec![put(&mut client, "t", b"before")];
    let cluster = &mut client.cluster;
    let (voters, _) = members(cluster, leader);
    let peer = voters.into_iter().find(|peer| peer.broker() == controller).unwrap();

    // No report gets through.
    cluster.cut(leader, controller);
    let removed = order(cluster, leader, &[(peer, ConfChangeType::RemoveNode)]);
    assert!(matches!(removed, Ok(AdminResponse::MembershipChanged { .. })), "{removed:?}");
    let added = order(cluster, leader, &[(peer, ConfChangeType::AddLearnerNode)]);
    assert!(matches!(added, Err(AdminError::Stale(_))), "{added:?}");
    cluster.mend(leader, controller);
    cluster.run(2_000);

    let added = order(cluster, leader, &[(peer, ConfChangeType::AddLearnerNode)]);
    assert!(matches!(added, Err(AdminError::Stale(_))), "it has ended: {added:?}");
    operate(cluster);
    let (voters, _) = members(cluster, leader);
    let peers: Vec<PeerId> =
        cluster.nodes.values().flat_map(|n| n.core.held_replicas()).map(|(_, peer)| peer).collect();
    assert_eq!(voters.len(), 3);
    assert!(voters.iter().all(|voter| peers.contains(voter)), "{voters:?} of {peers:?}");
    assert_holds(&mut client, "t", &held);
}

/// Takes the replica on `broker` away from it, to the one that is left.
fn drain(cluster: &mut Cluster, controller: BrokerId, broker: BrokerId) {
    cluster.order(controller, AdminRequest::Cordon(broker)).unwrap();
    cluster.order(controller, AdminRequest::Drain(broker)).unwrap();
    cluster.order(controller, AdminRequest::Uncordon(broker)).unwrap();
}

/// The topic's group as the image of `broker` has it.
fn image(cluster: &Cluster, broker: BrokerId) -> &Partition {
    let (_, image) = cluster.nodes[&broker].core.image();
    image.partitions().next().unwrap().1
}

fn held(cluster: &Cluster, broker: BrokerId) -> Option<PeerId> {
    let mut held = cluster.nodes[&broker].core.held_replicas();
    held.find(|(id, _)| *id != PartitionId::META).map(|(_, peer)| peer)
}

/// A fourth broker gets a replica that its group takes in before `__meta` hears of it; its place is
/// taken away and given back `times` times. In the end that replica votes, and its broker, whose
/// image was late, hears of it all.
fn check_a_late_image(times: u32) {
    let (mut client, controller, leader) = two_leaders();
    let records = vec![put(&mut client, "t", b"before")];
    let third = followers(&mut client, "t").into_iter().find(|id| *id != controller).unwrap();
    let fourth = BrokerId(4);
    let cluster = &mut client.cluster;
    add_fourth(cluster);
    assert_eq!(cluster.controller(), controller);
    drain(cluster, controller, third);
    cluster.run(200);
    let peer = held(cluster, fourth).unwrap();
    cluster.cut(controller, fourth);
    cluster.cut(leader, controller);
    let added = order(cluster, leader, &[(peer, ConfChangeType::AddLearnerNode)]);
    assert!(matches!(added, Ok(AdminResponse::MembershipChanged { .. })), "{added:?}");
    for _ in 1..times {
        drain(cluster, controller, fourth);
        drain(cluster, controller, third);
    }
    drain(cluster, controller, fourth);
    cluster.mend(leader, controller);
    // Time to report again.
    cluster.run(1_500);
    drain(cluster, controller, third);
    cluster.run(200);
    assert!(image(cluster, leader).target.contains(&peer), "the name of a member that lives");
    let (voters, _) = members(cluster, leader);
    let out = voters.into_iter().find(|peer| peer.broker() == third).unwrap();
    let changes = [(peer, ConfChangeType::AddNode), (out, ConfChangeType::RemoveNode)];
    let moved = order(cluster, leader, &changes);
    assert!(matches!(moved, Ok(AdminResponse::MembershipChanged { .. })), "{moved:?}");
    cluster.run(500);
    assert_eq!(held(cluster, fourth), Some(peer));

    cluster.mend(controller, fourth);
    cluster.run(2_000);
    assert_eq!(image(cluster, fourth), image(cluster, controller), "it has heard of all");
    assert!(members(cluster, leader).0.contains(&peer));
    assert_eq!(held(cluster, fourth), Some(peer), "a voter is not destroyed");
    // It hears of it all again when it is started.
    let disk = cluster.kill(fourth);
    cluster.start(fourth, disk);
    cluster.run(1_000);
    assert_eq!(held(cluster, fourth), Some(peer), "nor by a start");
    assert_holds(&mut client, "t", &records);
}

#[test]
fn a_voter_whose_place_was_taken_away_and_given_back_is_not_destroyed_by_an_image_that_is_late() {
    check_a_late_image(1);
}

/// The second time the place got another name; the third time that of the member, which was known by
/// then.
#[test]
fn a_voter_whose_place_had_another_name_for_a_while_is_not_destroyed_by_an_image_that_is_late() {
    check_a_late_image(2);
}

/// A fourth broker's place in the topic's group has got another name, before `__meta` heard that the
/// group has a member there under the first one; now it has heard. Returns the third broker, which had
/// the place before, and that member.
fn renamed(sees_member: bool) -> (Client, [BrokerId; 3], PeerId) {
    let (mut client, controller, leader) = two_leaders();
    let third = followers(&mut client, "t").into_iter().find(|id| *id != controller).unwrap();
    let fourth = BrokerId(4);
    let cluster = &mut client.cluster;
    add_fourth(cluster);
    drain(cluster, controller, third);
    cluster.run(200);
    let member = held(cluster, fourth).unwrap();
    cluster.cut(leader, controller);
    if !sees_member {
        cluster.cut(leader, fourth);
    }
    let added = order(cluster, leader, &[(member, ConfChangeType::AddLearnerNode)]);
    assert!(matches!(added, Ok(AdminResponse::MembershipChanged { .. })), "{added:?}");
    drain(cluster, controller, fourth);
    drain(cluster, controller, third);
    cluster.run(200);
    if !sees_member {
        cluster.mend(leader, fourth);
    }
    cluster.mend(leader, controller);
    for _ in 0..50 {
        if image(cluster, fourth).is_member(member) {
            break;
        }
        cluster.run(100);
    }
    assert!(image(cluster, fourth).is_member(member));
    let place = image(cluster, fourth).target.iter().find(|peer| peer.broker() == fourth);
    assert!(*place.unwrap() > member, "another name");
    (client, [controller, leader, third], member)
}

/// The group is whole in the end, with `fourth` as a voter, and that one's name is a later one than
/// `before`.
fn assert_moved(client: &mut Client, leader: BrokerId, before: PeerId) {
    let cluster = &mut client.cluster;
    cluster.run(2_000);
    operate(cluster);
    let (voters, _) = members(cluster, leader);
    let last = held(cluster, before.broker()).unwrap();
    assert!(last > before && voters.contains(&last), "{last} in {voters:?}");
    put(client, "t", b"after");
}

/// The place may get its name back, and its group could not tell that it has ended.
#[test]
fn a_member_whose_place_has_another_name_stays_while_its_group_has_it() {
    let (client, [controller, leader, third], member) = &mut renamed(true);
    let cluster = &mut client.cluster;
    assert_eq!(held(cluster, member.broker()), Some(*member));
    drain(cluster, *controller, member.broker());
    drain(cluster, *controller, *third);
    let (voters, _) = members(cluster, *leader);
    let out = voters.into_iter().find(|peer| peer.broker() == *third).unwrap();
    let changes = [(*member, ConfChangeType::AddNode), (out, ConfChangeType::RemoveNode)];
    let moved = order(cluster, *leader, &changes);
    assert!(matches!(moved, Ok(AdminResponse::MembershipChanged { .. })), "{moved:?}");
    cluster.run(2_000);
    assert_eq!(held(cluster, member.broker()), Some(*member));
    assert!(members(cluster, *leader).0.contains(member));
}

#[test]
fn a_place_with_another_name_is_filled_when_its_group_has_let_the_member_go() {
    let (mut client, [_, leader, _], member) = renamed(true);
    let gone = order(&mut client.cluster, leader, &[(member, ConfChangeType::RemoveNode)]);
    assert!(matches!(gone, Ok(AdminResponse::MembershipChanged { .. })), "{gone:?}");
    assert_moved(&mut client, leader, member);
}

/// The member ended before it was one, and so does the life that had the place in between.
#[test]
fn a_place_that_gets_the_name_of_a_member_that_has_ended_goes_to_another_life() {
    let (mut client, [controller, leader, third], member) = renamed(false);
    let cluster = &mut client.cluster;
    let between = held(cluster, member.broker()).unwrap();
    assert!(between > member);
    drain(cluster, controller, member.broker());
    drain(cluster, controller, third);
    assert!(image(cluster, controller).target.contains(&member), "what the group has there");
    assert_moved(&mut client, leader, between);
}

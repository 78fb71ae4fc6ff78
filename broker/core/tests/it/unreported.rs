//! A membership change that its leader has made, and `__meta` has not heard of yet.

use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::ids::{BrokerId, Index, PartitionId, PeerId};
use raft::eraftpb::ConfChangeType;

use crate::cluster::Cluster;
use crate::membership::{change, three};
use crate::operator::operate;
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
    peer: PeerId,
    kind: ConfChangeType,
) -> Result<AdminResponse, AdminError> {
    let (_, expected_conf_index) = members(cluster, leader);
    let (topic, change) = ("t".into(), change(&[(peer, kind)]));
    let request =
        AdminRequest::ChangeMembership { topic, partition: 0, change, expected_conf_index };
    cluster.order(leader, request)
}

/// `__meta` gives the place of a replica that was removed to a new one when it hears of the removal.
/// If the old one were a voter again by then, it would be destroyed as one.
#[test]
fn a_removed_replica_is_not_added_again_before_the_cluster_knows_of_its_removal() {
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
    let held = vec![put(&mut client, "t", b"before")];
    let cluster = &mut client.cluster;
    let (voters, _) = members(cluster, leader);
    let peer = voters.into_iter().find(|peer| peer.broker() == controller).unwrap();

    // No report gets through.
    cluster.cut(leader, controller);
    let removed = order(cluster, leader, peer, ConfChangeType::RemoveNode);
    assert!(matches!(removed, Ok(AdminResponse::MembershipChanged { .. })), "{removed:?}");
    let added = order(cluster, leader, peer, ConfChangeType::AddLearnerNode);
    assert!(matches!(added, Err(AdminError::Stale(_))), "{added:?}");
    cluster.mend(leader, controller);
    cluster.run(2_000);

    let added = order(cluster, leader, peer, ConfChangeType::AddLearnerNode);
    assert!(matches!(added, Err(AdminError::Stale(_))), "it has ended: {added:?}");
    operate(cluster);
    let (voters, _) = members(cluster, leader);
    let peers: Vec<PeerId> =
        cluster.nodes.values().flat_map(|n| n.core.held_replicas()).map(|(_, peer)| peer).collect();
    assert_eq!(voters.len(), 3);
    assert!(voters.iter().all(|voter| peers.contains(voter)), "{voters:?} of {peers:?}");
    assert_holds(&mut client, "t", &held);
}

//! What a broker knows of, but could still forget: a membership change of a group, and what it is
//! itself. Nobody is told of it.

use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::core::input::Input;
use chronik_core::ids::{BrokerId, Index, PartitionId, PeerId};
use raft::eraftpb::ConfChangeType;

use crate::cluster::Cluster;
use crate::membership::{change, three};
use crate::records::{followers, leader, with_topic};

/// The voters of a group as a broker's image of the cluster has them.
fn reported(cluster: &Cluster, broker: BrokerId, id: PartitionId) -> Vec<PeerId> {
    let (_, image) = cluster.nodes[&broker].core.image();
    image.partition(id).unwrap().voters.clone()
}

/// What a leader's answer to `Describe` has of a group: none if that group is on target.
fn described(cluster: &mut Cluster, broker: BrokerId, id: PartitionId) -> Option<Index> {
    let groups = cluster.describe(broker).groups;
    groups.iter().find(|group| group.id == id).map(|group| group.conf_index)
}

#[test]
fn a_membership_change_is_told_when_its_commit_is_synced() {
    let mut client = with_topic(three(), &[]);
    let leader = leader(&mut client, "t");
    let removed = followers(&mut client, "t")[0];
    let witness = followers(&mut client, "t")[1];
    let cluster = &mut client.cluster;
    let (id, expected_conf_index) = {
        let mut views = cluster.nodes[&leader].core.replica_views();
        let view = views.find(|view| view.id != PartitionId::META).unwrap();
        (view.id, view.conf_index)
    };
    let peer = reported(cluster, witness, id).into_iter().find(|peer| peer.broker() == removed);
    let peer = peer.unwrap();

    for follower in [removed, witness] {
        cluster.hanging.insert(follower, Vec::new());
    }
    let change = change(&[(peer, ConfChangeType::RemoveNode)]);
    let request = AdminRequest::ChangeMembership {
        topic: "t".into(),
        partition: 0,
        change,
        expected_conf_index,
    };
    let token = 1 << 40;
    cluster.input(leader, Input::Admin { token, request });
    // The leader has synced the entry by now, and not yet heard that the others have.
    cluster.hanging.insert(leader, Vec::new());
    for follower in [removed, witness] {
        cluster.unhang(follower);
    }
    let now = |cluster: &Cluster| {
        let mut views = cluster.nodes[&leader].core.replica_views();
        views.find(|view| view.id == id).unwrap().conf_index
    };
    assert!(now(cluster) > expected_conf_index, "a quorum has the change");
    // Time for a report.
    cluster.run(300);
    assert!(!cluster.admin.contains_key(&token), "the operator is not told");
    assert!(reported(cluster, witness, id).contains(&peer), "the cluster is not told");
    assert_eq!(described(cluster, leader, id), None, "still on target, as far as can be said");

    cluster.unhang(leader);
    cluster.run(300);
    let answer = cluster.admin.remove(&token).unwrap();
    assert!(matches!(answer, Ok(AdminResponse::MembershipChanged { .. })), "{answer:?}");
    assert!(!reported(cluster, witness, id).contains(&peer));
    assert_eq!(described(cluster, leader, id), Some(now(cluster)));
}

#[test]
fn what_a_broker_is_is_told_when_that_is_synced() {
    let mut cluster = Cluster::new(1);
    let b = BrokerId(1);
    assert_eq!(cluster.describe(b).cluster_id, None);
    cluster.hanging.insert(b, Vec::new());
    let initialize = AdminRequest::Initialize { cluster_id: "c".into(), brokers: 1 };
    assert!(matches!(cluster.order(b, initialize), Ok(AdminResponse::Done)));
    let ask = |cluster: &mut Cluster, token| {
        let request = AdminRequest::Describe { detail: false };
        cluster.input(b, Input::Admin { token, request });
    };
    // One more than are kept waiting.
    let tokens = 1 << 40..=(1 << 40) + 64;
    tokens.clone().for_each(|token| ask(&mut cluster, token));
    let first = cluster.admin.remove(tokens.start());
    assert!(matches!(first, Some(Err(AdminError::Unknown(_)))), "{first:?}");
    assert!(cluster.admin.is_empty(), "nobody else is told anything yet");

    cluster.unhang(b);
    for token in tokens.skip(1) {
        let answer = cluster.admin.remove(&token);
        let Some(Ok(AdminResponse::Described(answer))) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.cluster_id.as_deref(), Some("c"));
    }
    assert_eq!(cluster.describe(b).cluster_id.as_deref(), Some("c"));
}

/// On a full disk its record cannot be written; the operator is to see the broker all the same.
#[test]
fn a_broker_that_starts_on_a_full_disk_is_seen() {
    let mut cluster = Cluster::new(1);
    let b = BrokerId(1);
    let disk = cluster.kill(b);
    disk.set_capacity(Some(0));
    cluster.start(b, disk);
    assert_eq!(cluster.describe(b).broker, b);
}

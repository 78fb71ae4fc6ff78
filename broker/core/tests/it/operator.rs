//! What the operator does to groups that are off target: a learner, its catching up, then one joint
//! change; the leader's removal after it has handed over.

use chronik_core::admin::{AdminRequest, GroupDescription, NodeState};
use chronik_core::ids::{BrokerId, PeerId};
use chronik_core::log::mem_disk::MemDisk;
use raft::eraftpb::ConfChangeType;

use crate::cluster::Cluster;
use crate::membership::{change, change_meta};

/// Works until every group has the members that it is to have.
pub(crate) fn operate(cluster: &mut Cluster) {
    for _ in 0..300 {
        let mut off = 0;
        let brokers: Vec<BrokerId> = cluster.nodes.keys().copied().collect();
        for broker in brokers {
            let description = cluster.describe(broker);
            off = off.max(description.meta.map_or(0, |meta| meta.off_target));
            for group in description.groups.iter().filter(|group| group.topic != "__meta") {
                off = off.max(1);
                step(cluster, broker, group);
            }
        }
        if off == 0 {
            return;
        }
        cluster.run(200);
    }
    panic!("groups stay off target");
}

/// A fourth broker, which takes over all that the first one holds.
pub(crate) fn move_to_a_fourth(cluster: &mut Cluster) {
    add_fourth(cluster);
    empty_first(cluster);
    operate(cluster);
}

pub(crate) fn add_fourth(cluster: &mut Cluster) {
    cluster.start(BrokerId(4), MemDisk::new());
    cluster.run(3_000);
    let controller = cluster.controller();
    let meta = cluster.describe(controller).meta.unwrap();
    let peer = meta.brokers.iter().find(|broker| broker.id == BrokerId(4)).unwrap().meta_peer;
    change_meta(cluster, &[(peer, ConfChangeType::AddLearnerNode)]);
    cluster.run(3_000);
    assert_eq!(cluster.describe(BrokerId(4)).state, NodeState::Member);
}

/// Gives the first broker's replicas other places.
pub(crate) fn empty_first(cluster: &mut Cluster) {
    for order in [AdminRequest::Cordon(BrokerId(1)), AdminRequest::Drain(BrokerId(1))] {
        cluster.order(BrokerId(2), order).unwrap();
    }
    cluster.run(1_000);
}

fn step(cluster: &mut Cluster, leader: BrokerId, group: &GroupDescription) {
    let conf = chronik_raft_bridge::decode_conf_state(&group.conf_state).unwrap();
    if !conf.voters_outgoing.is_empty() {
        return;
    }
    let missing: Vec<PeerId> =
        group.target.iter().copied().filter(|peer| !conf.voters.contains(&peer.0)).collect();
    let unknown = missing.iter().find(|peer| !conf.learners.contains(&peer.0));
    let changes = match unknown {
        Some(peer) => vec![(*peer, ConfChangeType::AddLearnerNode)],
        None => {
            let ready = |peer: &PeerId| {
                group.progress.iter().any(|known| known.peer == *peer && known.caught_up)
            };
            if !missing.iter().all(ready) {
                return;
            }
            let surplus = conf.voters.iter().chain(&conf.learners).map(|id| PeerId(*id));
            let surplus = surplus.filter(|peer| !group.target.contains(peer));
            let removed = surplus.map(|peer| (peer, ConfChangeType::RemoveNode));
            missing.iter().map(|peer| (*peer, ConfChangeType::AddNode)).chain(removed).collect()
        }
    };
    if changes.is_empty() {
        return;
    }
    // A leader that has lost its role, or is to lose its place, is asked again as things are then.
    let _ = cluster.order(
        leader,
        AdminRequest::ChangeMembership {
            topic: group.topic.clone(),
            partition: group.id.partition,
            change: change(&changes),
            expected_conf_index: group.conf_index,
        },
    );
}

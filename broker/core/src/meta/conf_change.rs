//! The membership of `__meta` after a change of it, as a pure function of the membership before:
//! every image has it exactly at every index, also one that is replayed behind a snapshot whose
//! membership is newer than the snapshot itself.
//!
//! The rules are Raft's (joint consensus, as raft-rs has them); only what the leader may propose
//! (`raft::membership`) comes here.

use raft::eraftpb::{ConfChangeType, ConfChangeV2};

use super::command::ConfReport;
use super::partitions::Partition;
use crate::ids::{Index, PeerId};

/// The membership of `partition` after `change`, which is the entry at `index`.
pub(super) fn after(partition: &Partition, index: Index, change: &ConfChangeV2) -> ConfReport {
    let mut conf = ConfReport {
        conf_index: index,
        voters: partition.voters.clone(),
        outgoing: partition.outgoing.clone(),
        learners: partition.learners.clone(),
        learners_next: partition.learners_next.clone(),
    };
    if change.changes.is_empty() {
        conf.outgoing.clear();
        let next = std::mem::take(&mut conf.learners_next);
        conf.learners.extend(next);
    } else {
        if change.changes.len() > 1 {
            conf.outgoing = conf.voters.clone();
        }
        for single in change.changes.iter() {
            apply(&mut conf, PeerId(single.node_id), single.get_change_type());
        }
    }
    for peers in [&mut conf.voters, &mut conf.outgoing, &mut conf.learners, &mut conf.learners_next]
    {
        peers.sort_unstable();
        peers.dedup();
    }
    conf
}

fn apply(conf: &mut ConfReport, peer: PeerId, kind: ConfChangeType) {
    for peers in [&mut conf.voters, &mut conf.learners, &mut conf.learners_next] {
        peers.retain(|other| *other != peer);
    }
    match kind {
        ConfChangeType::AddNode => conf.voters.push(peer),
        // A voter that becomes a learner stays a voter of the outgoing half until that is left.
        ConfChangeType::AddLearnerNode if conf.outgoing.contains(&peer) => {
            conf.learners_next.push(peer);
        }
        ConfChangeType::AddLearnerNode => conf.learners.push(peer),
        ConfChangeType::RemoveNode => {}
    }
}

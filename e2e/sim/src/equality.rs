//! What every group has to become once nobody writes any more: one state, the same on all of its
//! replicas. On the way there they may be apart; at the end nothing may differ.

use std::collections::{BTreeMap, BTreeSet};

use chronik_core::core::Core;
use chronik_core::core::observe::ReplicaView;
use chronik_core::core::state_hash::StateHash;
use chronik_core::ids::{BrokerId, Index, PartitionId};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::raft::group::Role;

use crate::invariants::Violation;
use crate::world::World;

/// One replica, and who holds it.
struct Held<'a> {
    broker: BrokerId,
    core: &'a Core<MemDisk>,
    view: ReplicaView<'a>,
}

impl World {
    /// What is still missing until all replicas of each group are at the same entry, the last one;
    /// none once they are, and a violation if they are not the same then.
    pub(crate) fn unequal(&self) -> Result<Option<String>, Violation> {
        let mut groups: BTreeMap<PartitionId, Vec<Held<'_>>> = BTreeMap::new();
        for (broker, node) in &self.nodes {
            let Some(core) = &node.core else { continue };
            if let Some(view) = core.dormant_views().next() {
                return Ok(Some(format!("{} on {broker:?} is not in service", view.id)));
            }
            for view in core.replica_views() {
                groups.entry(view.id).or_default().push(Held { broker: *broker, core, view });
            }
        }
        if let Some(apart) = groups.iter().find_map(|(id, held)| apart(*id, held)) {
            return Ok(Some(apart));
        }
        for (id, held) in &groups {
            self.same(*id, held)?;
        }
        Ok(None)
    }

    /// All of `held` are at the same entry; they have to be the same.
    fn same(&self, id: PartitionId, held: &[Held<'_>]) -> Result<(), Violation> {
        let from: Index = held.iter().map(|held| held.view.first).max().unwrap_or(1);
        let mut first: Option<(BrokerId, StateHash)> = None;
        for Held { broker, core, .. } in held {
            // What a damaged disk gives back is no state, and reading it is what finds it out.
            if self.checks.may_be_damaged(*broker) {
                continue;
            }
            let fails = |what: String| Violation { invariant: "replicas are equal", what };
            let hash = match core.state_hash(id, from) {
                Some(Ok(hash)) => hash,
                Some(Err(error)) => {
                    return Err(fails(format!("{id} on {broker:?} cannot be read: {error}")));
                }
                None => continue,
            };
            let (other, known) = *first.get_or_insert((*broker, hash));
            if known != hash {
                let what = format!("{id} on {other:?} is {known:?}, on {broker:?} it is {hash:?}");
                return Err(fails(what));
            }
        }
        Ok(())
    }
}

/// Why the replicas of a group are not at the same entry yet.
fn apart(id: PartitionId, held: &[Held<'_>]) -> Option<String> {
    let Some(leader) = held.iter().find(|held| held.view.role == Role::Leader) else {
        return Some(format!("{id} has no leader"));
    };
    let conf = leader.view.conf;
    let members = [&conf.voters, &conf.voters_outgoing, &conf.learners, &conf.learners_next];
    let members: BTreeSet<u64> = members.into_iter().flatten().copied().collect();
    let here: BTreeSet<u64> = held.iter().map(|held| held.view.peer.0).collect();
    if members != here {
        return Some(format!("{id} has the members {members:?} and the replicas {here:?}"));
    }
    let last = leader.view.last;
    held.iter().find_map(|Held { broker, view, .. }| {
        let ReplicaView { applied, committed, last: end, .. } = *view;
        ((applied, committed, end) != (last, last, last)).then(|| {
            format!("{id} on {broker:?} applied {applied} of {committed} of {end}, its leader has {last}")
        })
    })
}

//! Which of the answers to believe. Who leads `__meta` in the highest term says how its group is; what the
//! cluster knows is told by the newest image, which is a follower's while the leader's own disk hangs or it
//! leads no more and has not heard of it. Without a leader images only say which processes to bring back.

use std::collections::BTreeMap;

use crate::meta_voters;
use crate::observed::{BrokerId, Group, META_TOPIC, Member, Meta, NodeState, Observed, broker_of};
use crate::outcome::Operation;
use crate::size::Size;

/// How much of the cluster can be seen.
pub(crate) enum Sight<'a> {
    /// No broker that answers belongs to a cluster.
    NoCluster,
    /// The cluster exists and nobody who answers leads it.
    NoLeader { image: Option<&'a Meta> },
    /// The leader of `__meta` answered.
    Leader(View<'a>),
}

/// The cluster through the eyes of its leader.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) observed: &'a Observed,
    /// Who leads `__meta`.
    pub(crate) leader: BrokerId,
    pub(crate) meta: &'a Meta,
    pub(crate) group: &'a Group,
}

/// Finds the leader, or the best image.
pub(crate) fn look(observed: &Observed) -> Sight<'_> {
    let leading = observed.nodes.iter().filter_map(|(id, node)| {
        let group = node.groups.iter().find(|g| g.topic == META_TOPIC)?;
        (broker_of(group.leader) == *id && node.state != NodeState::Retired).then_some((
            *id,
            node.meta.as_ref()?,
            group,
        ))
    });
    if let Some((leader, meta, group)) = leading.max_by_key(|(_, _, group)| group.term) {
        let cluster = &observed.nodes[&leader].cluster_id;
        let members = observed.nodes.values().filter(|n| n.cluster_id == *cluster);
        let newer = Meta::newest(members).filter(|newest| newest.applied > meta.applied);
        let meta = newer.unwrap_or(meta);
        return Sight::Leader(View { observed, leader, meta, group });
    }
    let in_cluster = observed.nodes.values().any(|n| n.cluster_id.is_some());
    if !in_cluster {
        return Sight::NoCluster;
    }
    let images = observed.nodes.values().filter(|n| n.state != NodeState::Retired);
    Sight::NoLeader { image: Meta::newest(images) }
}

impl<'a> View<'a> {
    /// The data groups that were described, each by the leader of the highest term.
    pub(crate) fn data_groups(&self) -> BTreeMap<(&'a str, u32), (BrokerId, &'a Group)> {
        let mut groups: BTreeMap<(&str, u32), (BrokerId, &Group)> = BTreeMap::new();
        for (id, node) in &self.observed.nodes {
            for group in node.groups.iter().filter(|g| g.topic != META_TOPIC) {
                let place = groups.entry((&group.topic, group.partition)).or_insert((*id, group));
                if group.term > place.1.term {
                    *place = (*id, group);
                }
            }
        }
        groups
    }

    pub(crate) fn is_up(&self, broker: BrokerId) -> bool {
        self.meta.brokers.get(&broker).is_some_and(|m| !m.fenced)
            && self.observed.nodes.contains_key(&broker)
    }

    /// A member whose session has ended, who does not answer, or whose disk was lost.
    pub(crate) fn is_lost(&self, broker: BrokerId, member: &Member) -> bool {
        let other_disk = |n: &crate::Node| n.directory != member.directory;
        member.fenced && self.observed.nodes.get(&broker).is_none_or(other_disk)
    }
}

/// What the cluster is busy with, for people.
pub(crate) fn operation(view: &View<'_>, size: &Size, meta_settled: bool) -> Option<Operation> {
    if let Some(victim) = size.leaving.first() {
        return Some(Operation::Remove(*victim));
    }
    if !view.meta.open {
        return Some(Operation::Form);
    }
    if let Some(new) = size.wanted.iter().find(|id| !view.meta.brokers.contains_key(id)) {
        return Some(Operation::Add(*new));
    }
    for (id, member) in &view.meta.brokers {
        let conf = &view.group.conf;
        let is_voter = conf.voters.contains(&member.meta_peer);
        let old_life = conf.members().any(|p| broker_of(p) == *id && p != member.meta_peer);
        if old_life {
            return Some(Operation::Replace(*id));
        }
        let lacks_voters = conf.voters.len() < meta_voters(view.meta.brokers.len());
        if !conf.contains(member.meta_peer) || (lacks_voters && !is_voter) {
            return Some(Operation::Add(*id));
        }
    }
    (!meta_settled || view.meta.off_target > 0).then_some(Operation::Move)
}

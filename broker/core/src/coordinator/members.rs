//! A group as its leader sees it between two generations: who is there, who waits, until when.
//! Nothing of it is replicated; a new leader starts from the last generation ([`Live::restored`]).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::group::{Group, Member};
use crate::core::input::Token;
use crate::ids::Micros;

/// The leader's side of a group that has members, or has given ids to some.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: String,
    pub(super) phase: Phase,
    pub(super) members: BTreeMap<String, LiveMember>,
    /// Member ids that were given out and not used yet (KIP-394), and until when.
    pub(super) reserved: BTreeMap<String, Micros>,
    pub(super) leader: Option<String>,
    pub(super) protocol_type: Option<String>,
    /// Members were taken out, and the phase does not know yet.
    pub(super) changed: bool,
    /// The entry in the leader's deadlines.
    pub(super) deadline: Option<Micros>,
}

/// Where the group is on its way to the next generation.
#[derive(Debug)]
pub(super) enum Phase {
    /// No members.
    Empty,
    /// Waiting for the members to join.
    Preparing {
        /// Who has not joined by then is left out.
        deadline: Micros,
        /// Set while an empty group waits for its first members.
        initial: Option<Initial>,
    },
    /// The next generation's record is on its way.
    Proposing {
        /// Its number.
        seq: u64,
        /// Who is in it and has to be told.
        members: BTreeSet<String>,
        /// Something happened since that makes yet another rebalance necessary.
        again: bool,
    },
    /// The generation has begun; its assignment is awaited.
    Completing {
        /// Who has not synced by then is left out.
        deadline: Micros,
        /// The assignment's record, if it is on its way.
        assignment: Option<u64>,
    },
    /// The generation has its assignment.
    Stable {
        /// Who has not fetched its assignment by then is left out.
        deadline: Micros,
    },
}

/// The initial delay is repeated while new members come, up to their rebalance timeout.
#[derive(Debug)]
pub(super) struct Initial {
    pub(super) until: Micros,
    pub(super) grew: bool,
}

#[derive(Debug)]
pub(super) struct LiveMember {
    pub(super) member: Member,
    /// It is gone then, if it does not wait for an answer.
    pub(super) session: Micros,
    /// A new member is gone then, even if it waits.
    pub(super) fresh_until: Option<Micros>,
    pub(super) join: Option<Waiter>,
    pub(super) sync: Option<Waiter>,
    /// Has fetched its assignment, or is waiting for it.
    pub(super) synced: bool,
}

/// A request that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) token: Token,
    pub(super) version: i16,
}

impl Live {
    pub(super) fn new(id: &str) -> Live {
        Live {
            id: id.to_owned(),
            phase: Phase::Empty,
            members: BTreeMap::new(),
            reserved: BTreeMap::new(),
            leader: None,
            protocol_type: None,
            changed: false,
            deadline: None,
        }
    }

    /// A group of the last leader, with all timers in full; none for an empty one.
    pub(super) fn restored(id: &str, group: &Group, now: Micros) -> Option<Live> {
        if group.members.is_empty() {
            return None;
        }
        let mut live = Live::new(id);
        live.leader.clone_from(&group.leader);
        live.protocol_type.clone_from(&group.protocol_type);
        for member in group.members.values() {
            let mut member = LiveMember::new(member.clone(), now);
            member.synced = group.assigned;
            live.members.insert(member.member.id.clone(), member);
        }
        let deadline = now.after(live.rebalance_timeout());
        live.phase = if group.assigned {
            Phase::Stable { deadline }
        } else {
            Phase::Completing { deadline, assignment: None }
        };
        Some(live)
    }

    /// Nothing is left to watch.
    pub(super) fn is_nothing(&self) -> bool {
        self.members.is_empty()
            && self.reserved.is_empty()
            && match self.phase {
                Phase::Empty => true,
                // An emptied group's last record may still be on its way, or have to be sent again.
                Phase::Preparing { .. } | Phase::Proposing { .. } => false,
                Phase::Completing { .. } | Phase::Stable { .. } => true,
            }
    }

    /// The slowest member's time to join.
    pub(super) fn rebalance_timeout(&self) -> Micros {
        let longest = self.members.values().map(|m| m.member.rebalance_timeout_ms).max();
        millis(longest.unwrap_or(0))
    }

    pub(super) fn joined(&self) -> usize {
        self.members.values().filter(|m| m.join.is_some()).count()
    }

    /// The member with this instance id.
    pub(super) fn static_member(&self, instance: &str) -> Option<&LiveMember> {
        self.members.values().find(|m| m.member.instance.as_deref() == Some(instance))
    }

    /// The member, if it is who it says: a static member's id changes when another process takes
    /// its instance id over, and the former one is fenced.
    pub(super) fn known(
        &mut self,
        id: &str,
        instance: Option<&str>,
    ) -> Result<&mut LiveMember, ResponseError> {
        if let Some(instance) = instance {
            match self.static_member(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(member) if member.member.id != id => {
                    return Err(ResponseError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        self.members.get_mut(id).ok_or(ResponseError::UnknownMemberId)
    }

    /// Whether a member that knows `protocols` of `kind` fits into the group.
    pub(super) fn supports(&self, kind: &str, protocols: &[(String, bytes::Bytes)]) -> bool {
        if kind.is_empty() || protocols.is_empty() {
            return false;
        }
        let same_kind = self.protocol_type.as_deref() == Some(kind);
        self.members.is_empty()
            || same_kind && protocols.iter().any(|(name, _)| self.all_support(name))
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|m| m.member.supports(protocol))
    }

    /// Each member votes for the first protocol it lists that all members know; equal votes go to
    /// the first by name.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let names = member.member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(choice) = names.into_iter().find(|name| self.all_support(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let best = votes.values().max().copied()?;
        votes.into_iter().find(|(_, n)| *n == best).map(|(name, _)| name.to_owned())
    }

    /// The earliest of all that can run out.
    pub(super) fn next_deadline(&self) -> Option<Micros> {
        let phase = match &self.phase {
            Phase::Empty | Phase::Proposing { .. } => None,
            Phase::Preparing { deadline, .. } | Phase::Completing { deadline, .. } => {
                Some(*deadline)
            }
            Phase::Stable { deadline } => {
                self.members.values().any(|m| !m.synced).then_some(*deadline)
            }
        };
        let members = self.members.values().filter_map(LiveMember::deadline);
        members.chain(self.reserved.values().copied()).chain(phase).min()
    }
}

impl LiveMember {
    pub(super) fn new(member: Member, now: Micros) -> LiveMember {
        let session = now.after(millis(member.session_timeout_ms));
        LiveMember { member, session, fresh_until: None, join: None, sync: None, synced: false }
    }

    /// Something was heard of it.
    pub(super) fn heard(&mut self, now: Micros) {
        self.session = now.after(millis(self.member.session_timeout_ms));
    }

    /// When it is given up. Who waits for an answer cannot send heartbeats.
    pub(super) fn deadline(&self) -> Option<Micros> {
        match (self.join.is_some() || self.sync.is_some(), self.fresh_until) {
            (false, _) => Some(self.session),
            (true, fresh) => fresh,
        }
    }
}

impl Member {
    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

/// A client's milliseconds; negative ones are none.
pub(super) fn millis(ms: i32) -> Micros {
    Micros::from_millis(u64::try_from(ms).unwrap_or(0))
}

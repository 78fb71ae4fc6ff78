//! What ends by itself: sessions, rebalances, ids that nobody used, and offsets that nobody reads.
//! Also the deletion of a group by request.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{GroupId, delete_groups_response::DeletableGroupResult};

use super::GroupResponse;
use super::group::{Group, OffsetKey};
use super::leader::Context;
use super::members::{Live, LiveMember, Phase};
use super::offsets::subscribed_topics;
use super::record::Change;
use crate::core::input::Token;
use crate::ids::{Index, Micros};

impl Context<'_> {
    /// Does all that is due.
    pub(super) fn tick(&mut self) {
        let now = self.now.mono;
        while let Some(id) = self.leader.due(now) {
            let Some(mut live) = self.take(&id) else { break };
            self.group_due(&mut live);
            self.put(live);
        }
        if self.leader.expire_at <= now {
            let every = u64::from(self.config.offset_retention_check_ms.max(1));
            self.leader.expire_at = now.after(Micros::from_millis(every));
            self.expire_offsets();
        }
    }

    fn group_due(&mut self, live: &mut Live) {
        let now = self.now.mono;
        live.reserved.retain(|_, until| *until > now);
        let gone = |m: &LiveMember| m.deadline().is_some_and(|at| at <= now);
        self.remove_where(live, gone);
        // Before the phase's own deadline is looked at: the removal may have ended the phase.
        self.rebalance_if_changed(live);
        match live.phase {
            Phase::Empty | Phase::Proposing { .. } => {}
            Phase::Preparing { deadline, .. } if deadline <= now => self.preparing_timed_out(live),
            Phase::Completing { deadline, .. } | Phase::Stable { deadline } if deadline <= now => {
                self.remove_where(live, |m| !m.synced);
                self.postpone(live);
                self.rebalance_if_changed(live);
            }
            Phase::Preparing { .. } | Phase::Completing { .. } | Phase::Stable { .. } => {}
        }
    }

    fn remove_where(&mut self, live: &mut Live, gone: impl Fn(&LiveMember) -> bool) {
        let gone: Vec<String> =
            live.members.iter().filter(|(_, m)| gone(m)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(live, &id);
        }
    }

    /// All have synced, but the assignment's record is not applied yet: wait on.
    fn postpone(&mut self, live: &mut Live) {
        let next = self.now.mono.after(live.rebalance_timeout().max(Micros::from_millis(1000)));
        if let Phase::Completing { deadline, .. } = &mut live.phase {
            *deadline = next;
        }
    }

    fn expire_offsets(&mut self) {
        let mut changes = Vec::new();
        for (id, group) in self.groups {
            let live = self.leader.live.get(id);
            if live.is_some_and(|l| l.members.is_empty()) {
                // Someone was given an id and is about to join.
                continue;
            }
            let offsets = self.old_offsets(group, live);
            let forget =
                live.is_none() && group.members.is_empty() && offsets.len() == group.offsets.len();
            if forget || !offsets.is_empty() {
                let change = Change::Expire { generation: group.generation, offsets, forget };
                changes.push((id, change));
            }
        }
        for (id, change) in changes {
            self.propose(id, change);
        }
    }

    /// The retention counts from the moment when nobody was left to read: the end of the group's last
    /// generation, or the commit itself where there never was a generation or nobody subscribes.
    fn old_offsets(&self, group: &Group, live: Option<&Live>) -> Vec<(OffsetKey, Index)> {
        let consumers = group.protocol_type.as_deref() == Some("consumer");
        let subscribed = match live {
            None => Default::default(),
            Some(live) if consumers && matches!(live.phase, Phase::Stable { .. }) => {
                let Some(topics) = subscribed_topics(Some(live)) else { return Vec::new() };
                topics
            }
            Some(_) => return Vec::new(),
        };
        let empty_since = match (live, &group.protocol_type) {
            (None, Some(_)) => group.since_ms,
            (None, None) | (Some(_), _) => i64::MIN,
        };
        let now = self.now.wall_ms;
        let old = |at_ms: i64, expire_ms: Option<i64>| match expire_ms {
            Some(expire_ms) => expire_ms <= now,
            None => now.saturating_sub(at_ms.max(empty_since)) >= self.config.offset_retention_ms,
        };
        let offsets = group.offsets.iter().filter(|(key, offset)| {
            !subscribed.contains(&key.topic) && old(offset.at_ms, offset.expire_ms)
        });
        offsets.map(|(key, offset)| (key.clone(), offset.index)).collect()
    }

    /// One group of a DeleteGroups request.
    pub(super) fn delete_group(&mut self, token: Token, group: &GroupId) {
        let result = DeletableGroupResult::default().with_group_id(group.clone());
        let live = self.leader.live.get(group.as_str());
        let error = if live.is_some_and(|l| !l.members.is_empty()) {
            Some(ResponseError::NonEmptyGroup)
        } else if !self.groups.contains_key(group.as_str()) {
            Some(ResponseError::GroupIdNotFound)
        } else {
            None
        };
        if let Some(error) = error {
            let result = result.with_error_code(error.code());
            return self.reply(token, GroupResponse::Delete(result));
        }
        self.propose_for(token, group, Change::Delete, GroupResponse::Delete(result));
    }
}

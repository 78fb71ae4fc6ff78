//! From one generation to the next: collecting the members, proposing the generation, and telling
//! them when its record is applied. Why a rebalance starts is the business of the other events.
//!
//! ```text
//!   Empty -> Preparing (initial delay) ----+
//!                ^                         |            record             assignment's
//!                | rebalance               v            applied            record applied
//!   Stable, Completing -> Preparing -> Proposing -----------> Completing -----------> Stable
//! ```

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, join_group_response::JoinGroupResponseMember};

use super::GroupResponse;
use super::group::{Applied, Group};
use super::leader::Context;
use super::members::{Initial, Live, LiveMember, Phase, Waiter, millis};
use super::record::Change;
use super::reply::{join_error, sync_error, text};
use crate::ids::Micros;

impl Context<'_> {
    /// The members changed, or what they know: the group needs a new generation.
    pub(super) fn rebalance(&mut self, live: &mut Live) {
        match &mut live.phase {
            Phase::Empty if live.members.is_empty() => {}
            Phase::Empty => {
                let delay = u64::from(self.config.initial_rebalance_delay_ms);
                let delay = Micros::from_millis(delay);
                let until = self.now.mono.after(live.rebalance_timeout());
                let deadline = self.now.mono.after(delay);
                let initial = Some(Initial { until, grew: false });
                live.phase = Phase::Preparing { deadline, initial };
                if delay == Micros(0) {
                    self.complete(live);
                }
            }
            Phase::Preparing { .. } => self.complete_if_all_joined(live),
            Phase::Proposing { again, .. } => *again = true,
            Phase::Completing { .. } | Phase::Stable { .. } => {
                self.release_syncs(live, ResponseError::RebalanceInProgress);
                let deadline = self.now.mono.after(live.rebalance_timeout());
                live.phase = Phase::Preparing { deadline, initial: None };
                self.complete_if_all_joined(live);
            }
        }
    }

    /// A preparing group need not wait any longer when nobody is missing.
    pub(super) fn complete_if_all_joined(&mut self, live: &mut Live) {
        let Phase::Preparing { initial, .. } = &live.phase else { return };
        let all = live.joined() == live.members.len() && live.reserved.is_empty();
        if all && (initial.is_none() || live.members.is_empty()) {
            self.complete(live);
        }
    }

    /// A preparing group's deadline has passed.
    pub(super) fn preparing_timed_out(&mut self, live: &mut Live) {
        let now = self.now.mono;
        if let Phase::Preparing { deadline, initial: Some(initial) } = &mut live.phase
            && initial.grew
            && initial.until > now
        {
            let delay = u64::from(self.config.initial_rebalance_delay_ms);
            initial.grew = false;
            *deadline = now.after(Micros::from_millis(delay)).min(initial.until);
            return;
        }
        self.complete(live);
    }

    /// The collecting is over: proposes the next generation of those that are there.
    fn complete(&mut self, live: &mut Live) {
        // A static member may be restarting; until its session ends it keeps its place.
        live.members.retain(|_, m| m.join.is_some() || m.member.instance.is_some());
        let leads = |m: &LiveMember| m.join.is_some();
        let current = live.leader.as_ref().and_then(|id| live.members.get(id));
        if !current.is_some_and(leads) {
            let Some(next) = live.members.values().find(|m| leads(m)) else {
                return self.complete_without_joined(live);
            };
            live.leader = Some(next.member.id.clone());
        }
        let protocol = live.select_protocol();
        self.propose_generation(live, protocol);
    }

    fn complete_without_joined(&mut self, live: &mut Live) {
        if !live.members.is_empty() {
            // Static members only, and none is back. A timeout of nothing must not make this spin.
            let patience = live.rebalance_timeout().max(millis(RETRY_MS));
            let deadline = self.now.mono.after(patience);
            live.phase = Phase::Preparing { deadline, initial: None };
            return;
        }
        live.leader = None;
        let recorded = self.groups.get(&live.id).is_some_and(|g| !g.members.is_empty());
        if recorded {
            self.propose_generation(live, None);
        } else {
            live.phase = Phase::Empty;
        }
    }

    fn propose_generation(&mut self, live: &mut Live, protocol: Option<String>) {
        let decided_in = self.generation(&live.id);
        let generation = decided_in.checked_add(1).unwrap_or(1);
        let members = live.members.values().map(|m| m.member.clone()).collect();
        let change = Change::Generation {
            decided_in,
            generation,
            at_ms: self.now.wall_ms,
            protocol_type: live.protocol_type.clone(),
            protocol,
            leader: live.leader.clone(),
            members,
        };
        let seq = self.propose(&live.id, change);
        let members: BTreeSet<String> = live.members.keys().cloned().collect();
        live.phase = Phase::Proposing { seq, members, again: false };
    }

    /// The record of a generation is applied.
    pub(super) fn generation_applied(&mut self, id: &str, seq: u64, applied: &Applied) {
        let Some(mut live) = self.take(id) else { return };
        if let Phase::Proposing { seq: own, members, again } = &mut live.phase
            && *own == seq
        {
            let (members, again) = (std::mem::take(members), *again);
            if *applied == Applied::Stale {
                // The group was deleted after this was decided: decide again.
                live.phase = Phase::Preparing { deadline: self.now.mono, initial: None };
                self.complete(&mut live);
            } else {
                self.begin_generation(&mut live, &members, again);
            }
        }
        self.put(live);
    }

    fn begin_generation(&mut self, live: &mut Live, members: &BTreeSet<String>, again: bool) {
        let Some(group) = self.groups.get(&live.id) else { return };
        if group.members.is_empty() {
            live.phase = Phase::Empty;
        } else {
            let deadline = self.now.mono.after(live.rebalance_timeout());
            live.phase = Phase::Completing { deadline, assignment: None };
        }
        for id in members {
            let Some(member) = live.members.get_mut(id) else { continue };
            member.synced = false;
            let Some(waiter) = member.join.take() else { continue };
            member.fresh_until = None;
            member.heard(self.now.mono);
            self.reply(waiter.token, join_response(group, id, waiter.version));
        }
        if again {
            self.rebalance(live);
        }
    }

    /// The record of a generation was not taken: it is tried again soon.
    pub(super) fn generation_dropped(&mut self, id: &str, seq: u64) {
        let Some(mut live) = self.take(id) else { return };
        if matches!(&live.phase, Phase::Proposing { seq: own, .. } if *own == seq) {
            let deadline = self.now.mono.after(millis(RETRY_MS));
            live.phase = Phase::Preparing { deadline, initial: None };
        }
        self.put(live);
    }

    /// Answers the syncs that wait.
    pub(super) fn release_syncs(&mut self, live: &mut Live, error: ResponseError) {
        for member in live.members.values_mut() {
            if let Some(waiter) = member.sync.take() {
                member.synced = false;
                member.heard(self.now.mono);
                self.reply(waiter.token, sync_error(error));
            }
        }
    }

    /// Sets who waits for the member's join, in place of an earlier request of it.
    pub(super) fn await_join(&mut self, live: &mut Live, id: &str, waiter: Waiter) {
        let group = live.id.clone();
        let Some(member) = live.members.get_mut(id) else { return };
        member.heard(self.now.mono);
        if let Some(old) = member.join.replace(waiter) {
            let error = ResponseError::RebalanceInProgress;
            self.reply(old.token, join_error(old.version, id, error));
        }
        self.park(waiter.token, &group);
    }
}

/// After this time a generation whose record was not taken is proposed again; the least time to wait
/// for static members.
const RETRY_MS: i32 = 100;

/// What a member of the current generation is told when it has joined. Only the leader of the
/// members sees the others.
pub(super) fn join_response(group: &Group, member_id: &str, version: i16) -> GroupResponse {
    let leads = group.leader.as_deref() == Some(member_id);
    let members = if leads { all_members(group) } else { Vec::new() };
    let protocol = group.protocol.as_deref().map(text);
    GroupResponse::Join(
        JoinGroupResponse::default()
            .with_generation_id(group.generation)
            .with_protocol_type(group.protocol_type.as_deref().map(text))
            .with_protocol_name(if version < 7 {
                Some(protocol.unwrap_or_default())
            } else {
                protocol
            })
            .with_leader(group.leader.as_deref().map(text).unwrap_or_default())
            .with_member_id(text(member_id))
            .with_members(members),
    )
}

fn all_members(group: &Group) -> Vec<JoinGroupResponseMember> {
    let one = |m: &super::group::Member| {
        let metadata: Bytes = group.metadata(m);
        JoinGroupResponseMember::default()
            .with_member_id(text(&m.id))
            .with_group_instance_id(m.instance.as_deref().map(text))
            .with_metadata(metadata)
    };
    group.members.values().map(one).collect()
}

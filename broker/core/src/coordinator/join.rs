//! JoinGroup: a member comes, or comes again. What happens when all have come is in `rebalance`.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;

use super::ClientInfo;
use super::GroupResponse;
use super::group::{Applied, Member};
use super::leader::Context;
use super::members::{Live, LiveMember, Phase, Waiter};
use super::rebalance::join_response;
use super::record::{Change, own};
use super::reply::{join_error, sync_error, text};
use crate::core::input::Token;
use crate::ids::Micros;

/// From this version on, who joins without an id is given one and has to come again with it, so that
/// clients that give up early do not leave members behind (KIP-394).
const ID_REQUIRED_FROM: i16 = 4;
/// From this version on, a static leader that comes back is given the members, and told not to assign
/// (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// Ids that a group has given out and nobody has used yet; they cost a client nothing.
const RESERVED_MAX: usize = 10_000;

/// Why a join is refused, and the member id that is told.
struct Refusal(ResponseError, String);

impl Context<'_> {
    /// A JoinGroup request.
    pub(super) fn join(
        &mut self,
        token: Token,
        client: &ClientInfo,
        version: i16,
        request: &JoinGroupRequest,
    ) {
        let waiter = Waiter { token, version };
        let refuse = |error| join_error(version, &request.member_id, error);
        let sessions = self.config.session_timeout_ms_min..=self.config.session_timeout_ms_max;
        if request.group_id.is_empty() {
            return self.reply(token, refuse(ResponseError::InvalidGroupId));
        }
        if !sessions.contains(&request.session_timeout_ms) {
            return self.reply(token, refuse(ResponseError::InvalidSessionTimeout));
        }
        let live = self.take(&request.group_id);
        let new = request.member_id.is_empty().then(|| Live::new(&request.group_id));
        let Some(mut live) = live.or(new) else {
            return self.reply(token, refuse(ResponseError::UnknownMemberId));
        };
        let member = member_of(client, version, request);
        if let Err(Refusal(error, id)) =
            self.admit(&mut live, waiter, &request.protocol_type, member)
        {
            self.reply(token, join_error(version, &id, error));
        }
        self.put(live);
    }

    fn admit(
        &mut self,
        live: &mut Live,
        waiter: Waiter,
        kind: &str,
        member: Member,
    ) -> Result<(), Refusal> {
        if !self.has_room(live, &member.id) {
            return Err(Refusal(ResponseError::GroupMaxSizeReached, String::new()));
        }
        if !live.supports(kind, &member.protocols) {
            return Err(Refusal(ResponseError::InconsistentGroupProtocol, member.id));
        }
        if live.members.is_empty() {
            live.protocol_type = Some(kind.to_owned());
        }
        if !member.id.is_empty() {
            return self.admit_known(live, waiter, member);
        }
        match &member.instance {
            Some(instance) => {
                let id = self.member_id(instance);
                let known = live.static_member(instance).map(|m| m.member.id.clone());
                let member = Member { id, ..member };
                match known {
                    Some(old) => self.replace(live, waiter, &old, member),
                    None => self.add(live, waiter, member),
                }
            }
            None => {
                let id = self.member_id(&member.client_id);
                if waiter.version >= ID_REQUIRED_FROM {
                    let timeout = super::members::millis(member.session_timeout_ms);
                    live.reserved.insert(id.clone(), self.now.mono.after(timeout));
                    return Err(Refusal(ResponseError::MemberIdRequired, id));
                }
                self.add(live, waiter, Member { id, ..member });
            }
        }
        Ok(())
    }

    /// Who is in already, or waits already, is never kept out by the limit.
    fn has_room(&self, live: &Live, id: &str) -> bool {
        let max = self.config.group_members_max;
        let known = live.members.get(id);
        if id.is_empty() && live.reserved.len() >= RESERVED_MAX {
            return false;
        }
        match live.phase {
            Phase::Empty => max > 0,
            Phase::Preparing { .. } => {
                known.is_some_and(|m| m.join.is_some()) || live.joined() < max
            }
            Phase::Proposing { .. } | Phase::Completing { .. } | Phase::Stable { .. } => {
                known.is_some() || live.members.len() < max
            }
        }
    }

    /// Someone with an id that it was given before.
    fn admit_known(
        &mut self,
        live: &mut Live,
        waiter: Waiter,
        member: Member,
    ) -> Result<(), Refusal> {
        if live.reserved.contains_key(&member.id) {
            self.add(live, waiter, member);
            return Ok(());
        }
        let known = match live.known(&member.id, member.instance.as_deref()) {
            Ok(known) => known,
            Err(error) => return Err(Refusal(error, member.id)),
        };
        let same = known.member.protocols == member.protocols;
        let leads = live.leader.as_ref() == Some(&member.id);
        let current = match &mut live.phase {
            Phase::Empty | Phase::Preparing { .. } => false,
            Phase::Proposing { members, .. } => {
                // In the record as it is, this member only waits for it.
                if same && members.contains(&member.id) {
                    self.await_join(live, &member.id, waiter);
                    return Ok(());
                }
                members.remove(&member.id);
                false
            }
            // It may not have received the answer to its last join.
            Phase::Completing { .. } => same,
            // The leader joins again when it wants to assign anew.
            Phase::Stable { .. } => same && !leads,
        };
        if current && let Some(group) = self.groups.get(&live.id) {
            let response = join_response(group, &member.id, waiter.version);
            if let Some(known) = live.members.get_mut(&member.id) {
                known.heard(self.now.mono);
            }
            self.reply(waiter.token, response);
            return Ok(());
        }
        let id = member.id.clone();
        if let Some(known) = live.members.get_mut(&id) {
            known.member = member;
        }
        self.await_join(live, &id, waiter);
        self.rebalance(live);
        Ok(())
    }

    fn add(&mut self, live: &mut Live, waiter: Waiter, member: Member) {
        let id = member.id.clone();
        live.reserved.remove(&id);
        live.leader.get_or_insert_with(|| id.clone());
        let patience = Micros::from_millis(u64::from(self.config.new_member_timeout_ms));
        let mut member = LiveMember::new(member, self.now.mono);
        member.fresh_until = Some(self.now.mono.after(patience));
        live.members.insert(id.clone(), member);
        if let Phase::Preparing { initial: Some(initial), .. } = &mut live.phase {
            initial.grew = true;
        }
        self.await_join(live, &id, waiter);
        self.rebalance(live);
    }

    /// A static member is back under a new id; whoever had the old one is fenced.
    fn replace(&mut self, live: &mut Live, waiter: Waiter, old: &str, member: Member) {
        let id = member.id.clone();
        let mut new = LiveMember::new(member.clone(), self.now.mono);
        if let Some(gone) = live.members.remove(old) {
            let error = ResponseError::FencedInstanceId;
            new.synced = gone.synced;
            if let Some(Waiter { token, version }) = gone.join {
                self.reply(token, join_error(version, old, error));
            }
            if let Some(Waiter { token, .. }) = gone.sync {
                self.reply(token, sync_error(error));
            }
        }
        live.members.insert(id.clone(), new);
        if live.leader.as_deref() == Some(old) {
            live.leader = Some(id.clone());
        }
        self.await_join(live, &id, waiter);
        let stays = matches!(live.phase, Phase::Stable { .. })
            && self.groups.get(&live.id).is_some_and(|g| g.protocol == live.select_protocol());
        if stays {
            let generation = self.generation(&live.id);
            self.propose(&live.id, Change::Replace { generation, member });
        } else {
            self.rebalance(live);
        }
    }

    /// The record of a static member's new id is applied: it goes on with its old assignment, unless a
    /// rebalance has begun; then it waits for that.
    pub(super) fn replacement_applied(&mut self, id: &str, applied: &Applied) {
        let Applied::Replaced { member: new, leader_before } = applied else { return };
        let Some(mut live) = self.take(id) else { return };
        if let (Phase::Stable { .. }, Some(group)) = (&live.phase, self.groups.get(id))
            && let Some(member) = live.members.get_mut(new)
            && let Some(Waiter { token, version }) = member.join.take()
        {
            member.heard(self.now.mono);
            let mut response = join_response(group, new, version);
            if let GroupResponse::Join(join) = &mut response {
                let leads = group.leader.as_ref() == Some(new);
                join.skip_assignment = leads && version >= SKIP_ASSIGNMENT_FROM;
                if version < SKIP_ASSIGNMENT_FROM {
                    // It would assign if it were told that it leads.
                    join.members.clear();
                    join.leader = leader_before.as_deref().map(text).unwrap_or_default();
                }
            }
            self.reply(token, response);
        }
        self.put(live);
    }

    /// The record of a static member's new id was not taken.
    pub(super) fn replacement_dropped(&mut self, id: &str, change: &Change) {
        let Change::Replace { member: new, .. } = change else { return };
        let Some(mut live) = self.take(id) else { return };
        if matches!(live.phase, Phase::Stable { .. })
            && let Some(member) = live.members.get_mut(&new.id)
            && let Some(Waiter { token, version }) = member.join.take()
        {
            let error = ResponseError::CoordinatorNotAvailable;
            self.reply(token, join_error(version, &new.id, error));
        }
        self.put(live);
    }
}

fn member_of(client: &ClientInfo, version: i16, request: &JoinGroupRequest) -> Member {
    // Version 0 has one timeout for both.
    let rebalance =
        if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    Member {
        id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(ToString::to_string),
        client_id: client.client_id.clone(),
        host: client.host.clone(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: rebalance,
        protocols: request
            .protocols
            .iter()
            .map(|p| (p.name.to_string(), own(&p.metadata)))
            .collect(),
        assignment: Bytes::new(),
    }
}

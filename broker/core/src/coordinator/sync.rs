//! SyncGroup: the leading member hands in the assignment, the others fetch theirs.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::GroupResponse;
use super::group::Group;
use super::leader::Context;
use super::members::{Live, Phase, Waiter};
use super::record::{Change, own};
use super::reply::{sync_error, text};
use crate::core::input::Token;

impl Context<'_> {
    /// A SyncGroup request.
    pub(super) fn sync(&mut self, token: Token, version: i16, request: &SyncGroupRequest) {
        if request.group_id.is_empty() {
            return self.reply(token, sync_error(ResponseError::InvalidGroupId));
        }
        // Nobody can sync before the first generation.
        let unknown = sync_error(ResponseError::UnknownMemberId);
        let Some(group) = self.groups.get(request.group_id.as_str()) else {
            return self.reply(token, unknown);
        };
        let Some(mut live) = self.take(&request.group_id) else {
            return self.reply(token, unknown);
        };
        let waiter = Waiter { token, version };
        if let Err(error) = self.try_sync(&mut live, group, waiter, request) {
            self.reply(token, sync_error(error));
        }
        self.put(live);
    }

    fn try_sync(
        &mut self,
        live: &mut Live,
        group: &Group,
        waiter: Waiter,
        request: &SyncGroupRequest,
    ) -> Result<(), ResponseError> {
        let id = request.member_id.as_str();
        live.known(id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |given: Option<&str>, is: &Option<String>| {
            given.is_some_and(|given| Some(given) != is.as_deref())
        };
        if differs(request.protocol_type.as_deref(), &group.protocol_type)
            || differs(request.protocol_name.as_deref(), &group.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match live.phase {
            Phase::Empty => Err(ResponseError::UnknownMemberId),
            Phase::Preparing { .. } | Phase::Proposing { .. } => {
                Err(ResponseError::RebalanceInProgress)
            }
            Phase::Completing { .. } => {
                self.await_sync(live, id, waiter);
                if group.leader.as_deref() == Some(id) {
                    self.propose_assignment(live, group, request);
                }
                Ok(())
            }
            Phase::Stable { .. } => {
                if let Some(member) = live.members.get_mut(id) {
                    member.synced = true;
                    member.heard(self.now.mono);
                }
                self.reply(waiter.token, assignment_response(group, id));
                Ok(())
            }
        }
    }

    fn await_sync(&mut self, live: &mut Live, id: &str, waiter: Waiter) {
        let group = live.id.clone();
        let Some(member) = live.members.get_mut(id) else { return };
        member.synced = true;
        member.heard(self.now.mono);
        if let Some(old) = member.sync.replace(waiter) {
            self.reply(old.token, sync_error(ResponseError::RebalanceInProgress));
        }
        self.park(waiter.token, &group);
    }

    fn propose_assignment(&mut self, live: &mut Live, group: &Group, request: &SyncGroupRequest) {
        let Phase::Completing { assignment, .. } = &mut live.phase else { return };
        if assignment.is_some() {
            return;
        }
        // Whoever is left out gets an empty assignment.
        let given: BTreeMap<&str, &Bytes> =
            request.assignments.iter().map(|a| (a.member_id.as_str(), &a.assignment)).collect();
        let assignments = group
            .members
            .keys()
            .map(|id| (id.clone(), given.get(id.as_str()).map(|a| own(a)).unwrap_or_default()))
            .collect();
        let change = Change::Assignment { generation: group.generation, assignments };
        *assignment = Some(self.propose(&live.id, change));
    }

    /// The record of the assignment is applied: whoever waits gets its part.
    pub(super) fn assignment_applied(&mut self, id: &str, seq: u64) {
        let Some(mut live) = self.take(id) else { return };
        if let Phase::Completing { assignment, deadline } = live.phase
            && assignment == Some(seq)
            && let Some(group) = self.groups.get(id)
        {
            live.phase = Phase::Stable { deadline };
            for member in live.members.values_mut() {
                let Some(waiter) = member.sync.take() else { continue };
                member.heard(self.now.mono);
                self.reply(waiter.token, assignment_response(group, &member.member.id));
            }
        }
        self.put(live);
    }

    /// The record of the assignment was not taken: all who wait have to come again.
    pub(super) fn assignment_dropped(&mut self, id: &str, seq: u64) {
        let Some(mut live) = self.take(id) else { return };
        if let Phase::Completing { assignment, .. } = &mut live.phase
            && *assignment == Some(seq)
        {
            *assignment = None;
            self.release_syncs(&mut live, ResponseError::CoordinatorNotAvailable);
        }
        self.put(live);
    }
}

fn assignment_response(group: &Group, member_id: &str) -> GroupResponse {
    let assignment = group.members.get(member_id).map(|m| m.assignment.clone());
    GroupResponse::Sync(
        SyncGroupResponse::default()
            .with_protocol_type(group.protocol_type.as_deref().map(text))
            .with_protocol_name(group.protocol.as_deref().map(text))
            .with_assignment(assignment.unwrap_or_default()),
    )
}

//! LeaveGroup: members go, one by one (0-2) or several at once (3+).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    LeaveGroupRequest, LeaveGroupResponse, leave_group_request::MemberIdentity,
    leave_group_response::MemberResponse,
};

use super::GroupResponse;
use super::leader::Context;
use super::members::{Live, Waiter};
use super::reply::{join_error, sync_error};
use crate::core::input::Token;

/// From this version on a request names several members, and the answer has an error for each.
const BATCH_FROM: i16 = 3;

impl Context<'_> {
    /// A LeaveGroup request.
    pub(super) fn leave(&mut self, token: Token, version: i16, request: &LeaveGroupRequest) {
        let mut response = LeaveGroupResponse::default();
        if request.group_id.is_empty() {
            response.error_code = ResponseError::InvalidGroupId.code();
            return self.reply(token, GroupResponse::Leave(response));
        }
        let mut live = self.take(&request.group_id);
        if version < BATCH_FROM {
            let one = MemberIdentity::default().with_member_id(request.member_id.clone());
            response.error_code = self.leaves(live.as_mut(), &one);
        } else {
            response.members = request
                .members
                .iter()
                .map(|member| {
                    MemberResponse::default()
                        .with_member_id(member.member_id.clone())
                        .with_group_instance_id(member.group_instance_id.clone())
                        .with_error_code(self.leaves(live.as_mut(), member))
                })
                .collect();
        }
        if let Some(mut live) = live {
            self.rebalance_if_changed(&mut live);
            self.put(live);
        }
        self.reply(token, GroupResponse::Leave(response));
    }

    /// One member's error code.
    fn leaves(&mut self, live: Option<&mut Live>, member: &MemberIdentity) -> i16 {
        let result = match live {
            Some(live) => self.try_leave(live, member),
            None => Err(ResponseError::UnknownMemberId),
        };
        result.err().map_or(0, |e| e.code())
    }

    fn try_leave(&mut self, live: &mut Live, member: &MemberIdentity) -> Result<(), ResponseError> {
        let id = member.member_id.as_str();
        let instance = member.group_instance_id.as_deref();
        if live.reserved.remove(id).is_some() {
            return Ok(());
        }
        let id = match instance {
            // An operator removes a static member by its name alone.
            Some(instance) if id.is_empty() => {
                let found = live.static_member(instance).map(|m| m.member.id.clone());
                found.ok_or(ResponseError::UnknownMemberId)?
            }
            _ => live.known(id, instance)?.member.id.clone(),
        };
        self.remove(live, &id);
        Ok(())
    }

    /// Takes a member out; whoever waits for it is told that it is no member any more.
    pub(super) fn remove(&mut self, live: &mut Live, id: &str) {
        let Some(member) = live.members.remove(id) else { return };
        let error = ResponseError::UnknownMemberId;
        if let Some(Waiter { token, version }) = member.join {
            self.reply(token, join_error(version, id, error));
        }
        if let Some(Waiter { token, .. }) = member.sync {
            self.reply(token, sync_error(error));
        }
        if live.leader.as_deref() == Some(id) {
            live.leader = None;
        }
        live.changed = true;
    }

    /// After members were taken out, or ids that were given out came to nothing.
    pub(super) fn rebalance_if_changed(&mut self, live: &mut Live) {
        if std::mem::take(&mut live.changed) {
            self.rebalance(live);
        } else {
            self.complete_if_all_joined(live);
        }
    }
}

//! Heartbeat: a member is alive, and learns whether it has to join again.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::HeartbeatRequest;

use super::leader::Context;
use super::members::Phase;
use super::reply::heartbeat;
use crate::core::input::Token;

impl Context<'_> {
    /// A Heartbeat request.
    pub(super) fn heartbeat(&mut self, token: Token, request: &HeartbeatRequest) {
        let error = self.heard(request).err();
        self.reply(token, heartbeat(error));
    }

    fn heard(&mut self, request: &HeartbeatRequest) -> Result<(), ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let generation = self.generation(&request.group_id);
        let now = self.now.mono;
        // The session only grows longer, so the group's deadline may stay: it is looked at anew then.
        let live = self.leader.live.get_mut(request.group_id.as_str());
        let live = live.ok_or(ResponseError::UnknownMemberId)?;
        let member = live.known(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != generation {
            return Err(ResponseError::IllegalGeneration);
        }
        member.heard(now);
        match live.phase {
            Phase::Empty => Err(ResponseError::UnknownMemberId),
            Phase::Preparing { .. } | Phase::Proposing { .. } => {
                Err(ResponseError::RebalanceInProgress)
            }
            Phase::Completing { .. } | Phase::Stable { .. } => Ok(()),
        }
    }
}

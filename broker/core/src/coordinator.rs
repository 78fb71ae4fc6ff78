//! The consumer group coordinator of one `__consumer_offsets` partition: Kafka's classic group
//! protocol as a replicated state machine.
//!
//! Every replica applies the partition's records ([`Coordinator::apply`]). Only the leader has live
//! members, timers and requests that wait. A decision of the leader is a record, and a join, a
//! sync or a commit is answered only after its record is applied, so a group's members never
//! see a generation that a new leader does not know.
//!
//! Finding the partition of a group, authorization, unknown topics, and splitting requests that
//! name several groups are the caller's.

mod describe;
mod expire;
mod group;
mod heartbeat;
mod join;
mod leader;
mod leave;
mod members;
mod offsets;
mod rebalance;
mod record;
mod reply;
mod snapshot;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetDeleteRequest, OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse,
    delete_groups_response::DeletableGroupResult,
};

use self::group::{Applied, Group};
use self::leader::{Context, Leader};
use self::record::{Change, Record};
use crate::codec::CodecError;
pub use crate::core::input::{ConnId, Token};
use crate::ids::{Index, Micros, Now, Term};

pub use self::offsets::{single_group, single_response};
pub use self::reply::error_response;

/// What a cluster can set. Equal on all brokers, though only the leader's matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// How long an empty group's first members wait for others (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay_ms: u32,
    /// The shortest session that a member may ask for.
    pub session_timeout_ms_min: i32,
    /// The longest session that a member may ask for.
    pub session_timeout_ms_max: i32,
    /// How long a new member waits for its first rebalance to end before it is given up.
    pub new_member_timeout_ms: u32,
    /// Members a group (`group.max.size`).
    pub group_members_max: usize,
    /// Bytes of the text that a client commits with an offset (`offset.metadata.max.bytes`).
    pub offset_metadata_bytes_max: usize,
    /// How long offsets outlive their group's members (`offsets.retention.minutes`).
    pub offset_retention_ms: i64,
    /// How often old offsets are looked for (`offsets.retention.check.interval.ms`).
    pub offset_retention_check_ms: u32,
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            initial_rebalance_delay_ms: 3_000,
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            new_member_timeout_ms: 300_000,
            group_members_max: i32::MAX as usize,
            offset_metadata_bytes_max: 4096,
            offset_retention_ms: 7 * 24 * 3_600_000,
            offset_retention_check_ms: 600_000,
        }
    }
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// What the request's header says.
    pub client_id: String,
    /// The address that it comes from.
    pub host: String,
}

/// A request about one group that may change it. What only reads is answered at once:
/// [`Coordinator::describe`], [`Coordinator::list`], [`Coordinator::fetch`].
#[derive(Debug, Clone)]
pub enum GroupRequest {
    /// JoinGroup 0-9.
    Join(JoinGroupRequest),
    /// SyncGroup 0-5.
    Sync(SyncGroupRequest),
    /// Heartbeat 0-4.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup 0-5.
    Leave(LeaveGroupRequest),
    /// OffsetCommit 2-9.
    Commit(OffsetCommitRequest),
    /// OffsetDelete 0.
    OffsetDelete(OffsetDeleteRequest),
    /// One group of a DeleteGroups 0-2.
    Delete(GroupId),
}

/// The answer to a [`GroupRequest`].
#[derive(Debug, Clone, PartialEq)]
pub enum GroupResponse {
    /// To `Join`.
    Join(JoinGroupResponse),
    /// To `Sync`.
    Sync(SyncGroupResponse),
    /// To `Heartbeat`.
    Heartbeat(HeartbeatResponse),
    /// To `Leave`.
    Leave(LeaveGroupResponse),
    /// To `Commit`.
    Commit(OffsetCommitResponse),
    /// To `OffsetDelete`.
    OffsetDelete(OffsetDeleteResponse),
    /// To `Delete`: this group's part of the answer.
    Delete(DeletableGroupResult),
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Answer a request, if its connection is still there.
    Reply {
        /// The request.
        token: Token,
        /// The answer.
        response: GroupResponse,
    },
    /// Append this record to the partition's log, after all earlier ones. It comes back through
    /// [`Coordinator::apply`], or through [`Coordinator::dropped`] if it was not taken.
    Propose(Bytes),
}

/// The groups of one `__consumer_offsets` partition, on one replica of it.
#[derive(Debug)]
pub struct Coordinator {
    config: GroupConfig,
    seed: u64,
    groups: BTreeMap<String, Group>,
    leader: Option<Leader>,
}

impl Coordinator {
    /// No groups. Member ids are drawn from `seed`, which should differ between partitions and runs.
    #[must_use]
    pub fn new(config: GroupConfig, seed: u64) -> Coordinator {
        Coordinator { config, seed, groups: BTreeMap::new(), leader: None }
    }

    /// From now on.
    pub fn set_config(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// This replica leads in `term`, and all entries of older terms are applied: sessions and
    /// rebalances of the groups start again in full.
    pub fn lead(&mut self, now: Now, term: Term) {
        let leader = Leader::new(&self.config, &self.groups, self.seed, term, now);
        self.leader = Some(leader);
    }

    /// Whether requests are served.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.leader.is_some()
    }

    /// This replica leads no more: all who wait are sent to look for the coordinator again.
    pub fn step_down(&mut self) -> Vec<Effect> {
        match self.leader.take() {
            Some(leader) => leader.give_up(ResponseError::NotCoordinator),
            None => Vec::new(),
        }
    }

    /// A request. Its answer is among the effects, of this call or of a later one.
    pub fn handle(
        &mut self,
        now: Now,
        token: Token,
        client: &ClientInfo,
        version: i16,
        request: GroupRequest,
    ) -> Vec<Effect> {
        let Some(mut cx) = self.context(now) else {
            let response = error_response(version, &request, ResponseError::NotCoordinator);
            return vec![Effect::Reply { token, response }];
        };
        match request {
            GroupRequest::Join(request) => cx.join(token, client, version, &request),
            GroupRequest::Sync(request) => cx.sync(token, version, &request),
            GroupRequest::Heartbeat(request) => cx.heartbeat(token, &request),
            GroupRequest::Leave(request) => cx.leave(token, version, &request),
            GroupRequest::Commit(request) => cx.commit(token, version, &request),
            GroupRequest::OffsetDelete(request) => cx.delete_offsets(token, &request),
            GroupRequest::Delete(group) => cx.delete_group(token, &group),
        }
        cx.out
    }

    /// A connection is gone: nobody waits on it any more. Its members stay until their sessions
    /// end, counted from now.
    pub fn disconnected(&mut self, now: Now, conn: ConnId) -> Vec<Effect> {
        let Some(mut cx) = self.context(now) else { return Vec::new() };
        cx.disconnected(conn);
        cx.out
    }

    /// Topics are deleted, and what was committed for them goes too.
    pub fn topics_deleted(&mut self, now: Now, topics: &BTreeSet<String>) -> Vec<Effect> {
        let Some(mut cx) = self.context(now) else { return Vec::new() };
        cx.topics_deleted(topics);
        cx.out
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) -> Vec<Effect> {
        let Some(mut cx) = self.context(now) else { return Vec::new() };
        cx.tick();
        cx.out
    }

    /// When [`Coordinator::tick`] is due; none while this replica does not lead.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Micros> {
        self.leader.as_ref().map(Leader::next_deadline)
    }

    /// A record of the log is committed. What it does to the groups depends on the record and
    /// `index` only; `now` starts the leader's timers.
    pub fn apply(
        &mut self,
        now: Now,
        index: Index,
        record: Bytes,
    ) -> Result<Vec<Effect>, CodecError> {
        let Record { term, seq, group: id, change } = Record::decode(record)?;
        let kind = ChangeKind::of(&change);
        let mut group = self.groups.remove(&id).unwrap_or_default();
        let applied = group.apply(index, change);
        if !group.is_nothing() {
            self.groups.insert(id.clone(), group);
        }
        let Some(mut cx) = self.context(now).filter(|cx| cx.leader.term == term) else {
            return Ok(Vec::new());
        };
        match kind {
            ChangeKind::Generation => cx.generation_applied(&id, seq, &applied),
            ChangeKind::Assignment => cx.assignment_applied(&id, seq),
            ChangeKind::Replace => cx.replacement_applied(&id, &applied),
            ChangeKind::Other => cx.answer(seq, applied == Applied::Stale),
        }
        Ok(cx.out)
    }

    /// A record that was to be proposed was not taken (and will never be applied): who waits for it
    /// is asked to come again.
    pub fn dropped(&mut self, now: Now, record: Bytes) -> Result<Vec<Effect>, CodecError> {
        let Record { term, seq, group: id, change } = Record::decode(record)?;
        let Some(mut cx) = self.context(now).filter(|cx| cx.leader.term == term) else {
            return Ok(Vec::new());
        };
        match ChangeKind::of(&change) {
            ChangeKind::Generation => cx.generation_dropped(&id, seq),
            ChangeKind::Assignment => cx.assignment_dropped(&id, seq),
            ChangeKind::Replace => cx.replacement_dropped(&id, &change),
            ChangeKind::Other => cx.refuse(seq, ResponseError::CoordinatorNotAvailable),
        }
        Ok(cx.out)
    }

    /// The replicated state: equal bytes on all replicas that applied the same records.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        snapshot::encode(&self.groups)
    }

    /// Replaces the replicated state by a snapshot's. This replica does not lead afterwards.
    pub fn restore(&mut self, snapshot: Bytes) -> Result<Vec<Effect>, CodecError> {
        self.groups = snapshot::decode(snapshot)?;
        Ok(self.step_down())
    }

    fn context(&mut self, now: Now) -> Option<Context<'_>> {
        let leader = self.leader.as_mut()?;
        Some(Context { config: &self.config, groups: &self.groups, leader, now, out: Vec::new() })
    }
}

/// Who waits for a change, after the change itself is applied.
enum ChangeKind {
    Generation,
    Assignment,
    Replace,
    Other,
}

impl ChangeKind {
    fn of(change: &Change) -> ChangeKind {
        match change {
            Change::Generation { .. } => ChangeKind::Generation,
            Change::Assignment { .. } => ChangeKind::Assignment,
            Change::Replace { .. } => ChangeKind::Replace,
            Change::Commit { .. }
            | Change::Delete
            | Change::DeleteOffsets { .. }
            | Change::Expire { .. } => ChangeKind::Other,
        }
    }
}

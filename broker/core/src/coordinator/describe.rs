//! Looking at groups: DescribeGroups and ListGroups. Nothing is changed, so these are answered at
//! once, by the leader.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    GroupId, ListGroupsRequest,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
    list_groups_response::ListedGroup,
};

use super::Coordinator;
use super::group::{Group, Member};
use super::members::{Live, Phase};
use super::reply::text;

/// From this version on, a group that does not exist is an error; before, it is a dead group.
const NOT_FOUND_FROM: i16 = 6;
const TYPE: &str = "classic";

impl Coordinator {
    /// One group of a DescribeGroups 0-6. Who may do what with it is filled in by the caller.
    #[must_use]
    pub fn describe(&self, version: i16, id: &GroupId) -> DescribedGroup {
        let described = DescribedGroup::default().with_group_id(id.clone());
        let Some(leader) = &self.leader else {
            return described.with_error_code(ResponseError::NotCoordinator.code());
        };
        let group = self.groups.get(id.as_str());
        let live = leader.live.get(id.as_str()).filter(|l| !l.members.is_empty());
        let Some(state) = state(group, live) else {
            let dead = described.with_group_state(text("Dead"));
            if version < NOT_FOUND_FROM {
                return dead;
            }
            return dead
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(text(&format!("group {} does not exist", id.as_str()))));
        };
        let stable = group.filter(|_| state == STABLE);
        let members = live.iter().flat_map(|l| l.members.values());
        described
            .with_group_state(text(state))
            .with_protocol_type(text(protocol_type(group, live)))
            .with_protocol_data(
                stable.and_then(|g| g.protocol.as_deref()).map(text).unwrap_or_default(),
            )
            .with_members(members.map(|m| describe_member(version, stable, &m.member)).collect())
    }

    /// The groups here that a ListGroups 0-5 asks for.
    #[must_use]
    pub fn list(&self, request: &ListGroupsRequest) -> Vec<ListedGroup> {
        let Some(leader) = &self.leader else { return Vec::new() };
        let asked = |filter: &[kafka_protocol::protocol::StrBytes], is: &str| {
            filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(is))
        };
        if !asked(&request.types_filter, TYPE) {
            return Vec::new();
        }
        let new = leader.live.keys().filter(|id| !self.groups.contains_key(*id));
        let mut ids: Vec<&String> = self.groups.keys().chain(new).collect();
        ids.sort();
        let listed = ids.into_iter().filter_map(|id| {
            let group = self.groups.get(id);
            let live = leader.live.get(id).filter(|l| !l.members.is_empty());
            let state = state(group, live)?;
            let listed = || {
                ListedGroup::default()
                    .with_group_id(GroupId(text(id)))
                    .with_protocol_type(text(protocol_type(group, live)))
                    .with_group_state(text(state))
                    .with_group_type(text(TYPE))
            };
            asked(&request.states_filter, state).then(listed)
        });
        listed.collect()
    }
}

const STABLE: &str = "Stable";

/// Kafka's name for the group's state; none if it does not exist.
fn state(group: Option<&Group>, live: Option<&Live>) -> Option<&'static str> {
    match live.map(|l| &l.phase) {
        None => group.map(|_| "Empty"),
        Some(Phase::Empty) => Some("Empty"),
        Some(Phase::Preparing { .. } | Phase::Proposing { .. }) => Some("PreparingRebalance"),
        Some(Phase::Completing { .. }) => Some("CompletingRebalance"),
        Some(Phase::Stable { .. }) => Some(STABLE),
    }
}

fn protocol_type<'a>(group: Option<&'a Group>, live: Option<&'a Live>) -> &'a str {
    let live = live.and_then(|l| l.protocol_type.as_deref());
    live.or_else(|| group.and_then(|g| g.protocol_type.as_deref())).unwrap_or_default()
}

/// Only a stable group has agreed on what its members' metadata and assignments are.
fn describe_member(version: i16, stable: Option<&Group>, member: &Member) -> DescribedGroupMember {
    let recorded = stable.and_then(|g| g.members.get(&member.id));
    let metadata = stable.map(|g| g.metadata(member)).unwrap_or_default();
    let assignment: Bytes = recorded.map(|m| m.assignment.clone()).unwrap_or_default();
    let instance = member.instance.as_deref().filter(|_| version >= 4);
    DescribedGroupMember::default()
        .with_member_id(text(&member.id))
        .with_group_instance_id(instance.map(text))
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&member.host))
        .with_member_metadata(metadata)
        .with_member_assignment(assignment)
}

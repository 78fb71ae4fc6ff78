//! What all group APIs share: which partition coordinates a group, and the requests that wait for
//! their coordinator. What coordinators do is theirs.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsResponse, GroupId, OffsetCommitResponse};

use super::Call;
use super::offset_commit::Asked;
use super::placing::OFFSETS_TOPIC;
use crate::coordinator::{ClientInfo, Coordinator, GroupRequest, GroupResponse, error_response};
use crate::core::input::{ConnId, Token};
use crate::core::{Core, Machine};
use crate::error::KafkaError;
use crate::ids::PartitionId;
use crate::log::disk::Disk;
use crate::meta::State;

/// Requests that wait for a coordinator's answer.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pending: BTreeMap<Token, PendingGroup>,
}

/// A request that waits, and what it takes to make an answer of the coordinator's.
#[derive(Debug)]
enum PendingGroup {
    /// The coordinator's answer is the answer.
    Plain(Call),
    /// Some partitions were refused before the coordinator saw the request.
    Commit(Call, Asked),
    /// One answer for each group.
    Delete { call: Call, missing: usize, results: Vec<DeletableGroupResult> },
}

/// `String.hashCode` of Java, which decides where a group lives: over UTF-16 units, with overflow.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of `count` that a group's hash falls on.
fn partition_of(group: &str, count: u32) -> u32 {
    let hash = java_hash(group) & i32::MAX;
    hash.unsigned_abs().checked_rem(count).unwrap_or(0)
}

/// The partition that coordinates a group; none before the first group of the cluster was asked for.
pub(super) fn partition(state: &State, group: &str) -> Option<PartitionId> {
    let topic = state.topic_by_name(OFFSETS_TOPIC)?;
    Some(PartitionId::new(topic.id, partition_of(group, topic.partitions)))
}

/// The partition of a group, if this broker coordinates it now.
fn coordinated_here<D: Disk>(core: &Core<D>, group: &str) -> Result<PartitionId, KafkaError> {
    let id = partition(&core.meta, group).ok_or(KafkaError::NotCoordinator)?;
    let replica = core.replicas.get(&id).ok_or(KafkaError::NotCoordinator)?;
    match &replica.machine {
        Machine::Groups(coordinator) if coordinator.is_leading() => Ok(id),
        Machine::Groups(_) if replica.group.leads() => Err(KafkaError::CoordinatorLoadInProgress),
        Machine::Groups(_) | Machine::Meta | Machine::Records(_) => Err(KafkaError::NotCoordinator),
    }
}

/// The coordinator of a group, to look at.
pub(super) fn coordinator<'a, D: Disk>(
    core: &'a Core<D>,
    group: &str,
) -> Result<&'a Coordinator, KafkaError> {
    let id = coordinated_here(core, group)?;
    match core.replicas.get(&id).map(|replica| &replica.machine) {
        Some(Machine::Groups(coordinator)) => Ok(coordinator),
        Some(Machine::Meta | Machine::Records(_)) | None => Err(KafkaError::NotCoordinator),
    }
}

/// All coordinators that lead here, or that one of them is still reading its log.
pub(super) fn coordinators<D: Disk>(core: &Core<D>) -> Result<Vec<&Coordinator>, KafkaError> {
    let mut all = Vec::new();
    for replica in core.replicas.values() {
        match &replica.machine {
            Machine::Groups(coordinator) if coordinator.is_leading() => all.push(&**coordinator),
            Machine::Groups(_) if replica.group.leads() => {
                return Err(KafkaError::CoordinatorLoadInProgress);
            }
            Machine::Groups(_) | Machine::Meta | Machine::Records(_) => {}
        }
    }
    Ok(all)
}

/// A request whose answer is the coordinator's.
pub(super) fn ask<D: Disk>(
    core: &mut Core<D>,
    call: &Call,
    group: &GroupId,
    request: GroupRequest,
) {
    // Commits may come without a group: they are those of a consumer that assigns for itself.
    let needs_name = !matches!(request, GroupRequest::Commit(_));
    core.groups.pending.insert(call.token, PendingGroup::Plain(call.clone()));
    pass_on(core, call, group, needs_name, request);
}

/// OffsetCommit: `asked` has the partitions that the coordinator does not see.
pub(super) fn ask_commit<D: Disk>(
    core: &mut Core<D>,
    call: &Call,
    group: &GroupId,
    asked: Asked,
    request: GroupRequest,
) {
    core.groups.pending.insert(call.token, PendingGroup::Commit(call.clone(), asked));
    pass_on(core, call, group, false, request);
}

/// DeleteGroups: one request to the coordinator for each group.
pub(super) fn ask_delete<D: Disk>(core: &mut Core<D>, call: &Call, groups: &BTreeSet<GroupId>) {
    let pending =
        PendingGroup::Delete { call: call.clone(), missing: groups.len(), results: Vec::new() };
    core.groups.pending.insert(call.token, pending);
    for group in groups {
        pass_on(core, call, group, false, GroupRequest::Delete(group.clone()));
    }
}

fn pass_on<D: Disk>(
    core: &mut Core<D>,
    call: &Call,
    group: &GroupId,
    needs_name: bool,
    request: GroupRequest,
) {
    let here = match group.is_empty() && needs_name {
        true => Err(KafkaError::InvalidGroupId),
        false => coordinated_here(core, group.as_str()),
    };
    let now = core.now;
    let found = here.and_then(|id| match core.replicas.get_mut(&id).map(|r| &mut r.machine) {
        Some(Machine::Groups(coordinator)) => Ok((id, coordinator)),
        Some(Machine::Meta | Machine::Records(_)) | None => Err(KafkaError::NotCoordinator),
    });
    match found {
        Ok((id, coordinator)) => {
            let client = ClientInfo {
                client_id: call
                    .header
                    .client_id
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                // As Java prints an address without a name; tools show it so.
                host: format!("/{}", call.host),
            };
            let effects = coordinator.handle(now, call.token, &client, call.version(), request);
            core.carry_out(id, effects);
        }
        Err(error) => {
            let error = response_error(error);
            let response = error_response(call.version(), &request, error);
            reply(core, call.token, response);
        }
    }
}

/// The same error, as the coordinator's functions take it.
fn response_error(error: KafkaError) -> ResponseError {
    ResponseError::try_from_code(error.code()).unwrap_or(ResponseError::UnknownServerError)
}

/// A coordinator's answer to a request that waits. If its connection is gone, nothing waits.
pub(crate) fn reply<D: Disk>(core: &mut Core<D>, token: Token, response: GroupResponse) {
    match (core.groups.pending.remove(&token), response) {
        (Some(PendingGroup::Plain(call)), response) => plain(core, &call, response),
        (Some(PendingGroup::Commit(call, asked)), GroupResponse::Commit(response)) => {
            let response: OffsetCommitResponse = asked.complete(&response);
            call.answer(core, response);
        }
        (
            Some(PendingGroup::Delete { call, missing, mut results }),
            GroupResponse::Delete(result),
        ) => {
            results.push(result);
            if missing > 1 {
                let pending = PendingGroup::Delete { call, missing: missing - 1, results };
                core.groups.pending.insert(token, pending);
            } else {
                call.answer(core, DeleteGroupsResponse::default().with_results(results));
            }
        }
        (Some(PendingGroup::Commit(call, _) | PendingGroup::Delete { call, .. }), response) => {
            // The coordinator answers requests with their own answers; were it otherwise, the
            // client must not wait for ever.
            tracing::error!(?response, "a group request was answered with another's answer");
            core.close(call.token);
        }
        (None, _) => {}
    }
}

fn plain<D: Disk>(core: &mut Core<D>, call: &Call, response: GroupResponse) {
    match response {
        GroupResponse::Join(response) => call.answer(core, response),
        GroupResponse::Sync(response) => call.answer(core, response),
        GroupResponse::Heartbeat(response) => call.answer(core, response),
        GroupResponse::Leave(response) => call.answer(core, response),
        GroupResponse::Commit(response) => call.answer(core, response),
        GroupResponse::OffsetDelete(response) => call.answer(core, response),
        GroupResponse::Delete(result) => {
            call.answer(core, DeleteGroupsResponse::default().with_results(vec![result]));
        }
    }
}

/// A client's connection is gone: nothing of it waits any more.
pub(crate) fn disconnected<D: Disk>(core: &mut Core<D>, conn: ConnId) {
    let all = Token { conn, seq: 0 }..=Token { conn, seq: u64::MAX };
    let gone: Vec<Token> = core.groups.pending.range(all).map(|(token, _)| *token).collect();
    for token in gone {
        core.groups.pending.remove(&token);
    }
    let now = core.now;
    each_coordinator(core, |coordinator| coordinator.disconnected(now, conn));
}

/// Topics were deleted: what groups committed for them goes too.
pub(crate) fn topics_deleted<D: Disk>(core: &mut Core<D>, topics: &BTreeSet<String>) {
    let now = core.now;
    each_coordinator(core, |coordinator| coordinator.topics_deleted(now, topics));
}

fn each_coordinator<D: Disk>(
    core: &mut Core<D>,
    mut call: impl FnMut(&mut Coordinator) -> Vec<crate::coordinator::Effect>,
) {
    let mut all = Vec::new();
    for (id, replica) in &mut core.replicas {
        match &mut replica.machine {
            Machine::Groups(coordinator) if coordinator.is_leading() => {
                all.push((*id, call(coordinator)));
            }
            Machine::Groups(_) | Machine::Meta | Machine::Records(_) => {}
        }
    }
    for (id, effects) in all {
        core.carry_out(id, effects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        // Known values of String.hashCode.
        for (text, hash) in [("", 0), ("a", 97), ("hello", 99_162_322), ("ä", 228)] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
        // The smallest number has no absolute value; Kafka takes the sign bit off.
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        // Two units outside of the plane of the commonest characters.
        assert_eq!(java_hash("😀"), 0xd83d * 31 + 0xde00);
    }

    #[test]
    fn a_topic_without_partitions_divides_nothing() {
        assert_eq!(partition_of("g", 0), 0);
    }
}

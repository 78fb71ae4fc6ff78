//! The assignment: who hands it in, who gets it, and when.

use super::*;

/// Two members that have joined generation 1, the leader first.
fn joined(w: &mut World) -> Vec<String> {
    let joins = [w.join_new(), w.join_new()];
    w.wait(6_000);
    let mut ids = Vec::new();
    for (id, token) in joins {
        let response = w.join_reply(token);
        if response.leader.as_str() == id { ids.insert(0, id) } else { ids.push(id) }
    }
    ids
}

#[test]
fn a_follower_waits_for_the_leader_and_both_for_the_record() {
    let mut w = World::new();
    let ids = joined(&mut w);
    let follower = w.sync(&ids[1], 1, &[]);
    assert!(w.waits(follower));
    let leader = w.sync(&ids[0], 1, &[(&ids[0], "a"), (&ids[1], "b"), ("nobody", "c")]);
    assert!(w.waits(leader) && w.waits(follower));
    w.apply();
    let (leader, follower) = (w.sync_reply(leader), w.sync_reply(follower));
    assert_eq!((&leader.assignment[..], &follower.assignment[..]), (&b"a"[..], &b"b"[..]));
    assert_eq!(follower.protocol_name.as_deref(), Some("range"));
    assert_eq!(follower.protocol_type.as_deref(), Some("consumer"));
    // Once more, later.
    let again = w.sync(&ids[1], 1, &[]);
    assert_eq!(&w.sync_reply(again).assignment[..], b"b");
}

#[test]
fn the_first_assignment_of_a_generation_is_the_only_one() {
    let mut w = World::new();
    let ids = joined(&mut w);
    let first = w.sync(&ids[0], 1, &[(&ids[0], "first")]);
    let second = w.sync(&ids[0], 1, &[(&ids[0], "second")]);
    assert_eq!(w.proposed.len(), 1);
    w.apply();
    let error = w.sync_reply(first).error_code;
    assert_eq!(error, ResponseError::RebalanceInProgress.code());
    assert_eq!(&w.sync_reply(second).assignment[..], b"first");
    let follower = w.sync(&ids[1], 1, &[]);
    assert_eq!(&w.sync_reply(follower).assignment[..], b"", "left out");
}

#[test]
fn refused_syncs() {
    let mut w = World::new();
    let ids = joined(&mut w);
    let kind = |kind| sync_request(&ids[0], 1).with_protocol_type(Some(text(kind)));
    let name = |name| sync_request(&ids[0], 1).with_protocol_name(Some(text(name)));
    let group = |id| sync_request(&ids[0], 1).with_group_id(GroupId(text(id)));
    for (request, error) in [
        (sync_request("nobody", 1), ResponseError::UnknownMemberId),
        (sync_request(&ids[0], 2), ResponseError::IllegalGeneration),
        (sync_request(&ids[0], 0), ResponseError::IllegalGeneration),
        (kind("connect"), ResponseError::InconsistentGroupProtocol),
        (name("sticky"), ResponseError::InconsistentGroupProtocol),
        (group("other"), ResponseError::UnknownMemberId),
        (group(""), ResponseError::InvalidGroupId),
    ] {
        for version in 0..=5 {
            let token = w.ask(version, GroupRequest::Sync(request.clone()));
            assert_eq!(w.sync_reply(token).error_code, error.code());
        }
    }
}

#[test]
fn a_rebalance_sends_those_that_wait_back() {
    let mut w = World::new();
    let ids = joined(&mut w);
    let follower = w.sync(&ids[1], 1, &[]);
    let leader = w.sync(&ids[0], 1, &[(&ids[0], "a")]);
    let (_, joining) = w.join_new();
    for token in [leader, follower] {
        assert_eq!(w.sync_reply(token).error_code, ResponseError::RebalanceInProgress.code());
    }
    // The record of the assignment comes too late: it is in the log, and nobody is told.
    w.apply();
    assert_eq!(w.state(), "PreparingRebalance");
    let tokens = [w.join(&ids[0]), w.join(&ids[1])];
    w.apply();
    for token in [tokens[0], tokens[1], joining] {
        assert_eq!(w.join_reply(token).generation_id, 2);
    }
    assert!(!w.coordinator.groups[G].assigned);
}

#[test]
fn who_does_not_sync_is_removed() {
    let mut w = World::new();
    let ids = joined(&mut w);
    let leader = w.sync(&ids[0], 1, &[]);
    w.apply();
    w.reply(leader);
    w.wait_alive(61_000, &[&ids[0], &ids[1]], 1);
    assert_eq!(w.heartbeat(&ids[1], 1), ResponseError::UnknownMemberId.code());
    assert_eq!(w.heartbeat(&ids[0], 1), ResponseError::RebalanceInProgress.code());
}

#[test]
fn heartbeats() {
    let mut w = World::new();
    let ids = joined(&mut w);
    assert_eq!(w.heartbeat(&ids[0], 1), 0, "also while the assignment is awaited");
    assert_eq!(w.heartbeat(&ids[0], 0), ResponseError::IllegalGeneration.code());
    assert_eq!(w.heartbeat("nobody", 1), ResponseError::UnknownMemberId.code());
    w.assign(1, &ids);
    assert_eq!(w.heartbeat(&ids[1], 1), 0);
}

#[test]
fn a_dropped_assignment_can_be_handed_in_again() {
    let mut w = World::new();
    let ids = joined(&mut w);
    let leader = w.sync(&ids[0], 1, &[(&ids[0], "a")]);
    let record = w.proposed.remove(0);
    let effects = w.coordinator.dropped(w.now(), record).unwrap();
    w.carry_out(effects);
    let error = w.sync_reply(leader).error_code;
    assert_eq!(error, ResponseError::CoordinatorNotAvailable.code());
    let token = w.join(&ids[0]);
    assert_eq!(w.join_reply(token).members.len(), 2, "the generation stands");
    w.assign(1, &ids);
}

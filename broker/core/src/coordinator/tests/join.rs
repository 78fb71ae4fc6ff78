//! Members come and go, in each state of the group.

use super::*;

fn code(error: ResponseError) -> i16 {
    error.code()
}

#[test]
fn a_first_join_is_given_an_id_from_version_4_on() {
    for version in 0..=9 {
        let mut w = World::new();
        let token = w.ask(version, join(""));
        if version < 4 {
            assert!(w.waits(token), "version {version}");
            continue;
        }
        let response = w.join_reply(token);
        assert_eq!(response.error_code, code(ResponseError::MemberIdRequired));
        assert!(response.member_id.starts_with("client-"));
        assert_eq!(response.member_id.len(), "client-".len() + 36);
        // A reserved id alone is no group.
        assert_eq!(w.state(), "Dead");
    }
}

#[test]
fn a_generation_is_answered_in_every_version() {
    for version in 0..=9 {
        let mut w = World::new();
        let mut token = w.ask(version, join(""));
        if version >= 4 {
            let id = w.join_reply(token).member_id;
            token = w.ask(version, join(&id));
        }
        w.wait(3_000);
        let response = w.join_reply(token);
        assert_eq!((response.error_code, response.generation_id), (0, 1));
        assert_eq!(response.leader, response.member_id);
        assert_eq!(response.protocol_name.as_deref(), Some("range"));
        assert_eq!(response.protocol_type.as_deref(), Some("consumer"));
        assert_eq!(response.members.len(), 1);
        assert_eq!(&response.members[0].metadata[..], b"m");
        assert!(!response.skip_assignment);
    }
}

#[test]
fn an_answer_waits_for_its_record() {
    let mut w = World::new();
    let (_, token) = w.join_new();
    w.ms += 3_000;
    let effects = w.coordinator.tick(w.now());
    w.carry_out(effects);
    assert!(w.waits(token) && w.proposed.len() == 1);
    assert_eq!(w.state(), "PreparingRebalance");
    w.apply();
    assert_eq!(w.join_reply(token).generation_id, 1);
    assert_eq!(w.state(), "CompletingRebalance");
}

#[test]
fn an_empty_group_waits_as_long_as_members_come() {
    let mut w = World::new();
    let (_, first) = w.join_new();
    w.wait(2_000);
    let (_, second) = w.join_new();
    w.wait(1_000);
    assert!(w.waits(first), "the second member makes it wait once more");
    w.wait(3_000);
    let (first, second) = (w.join_reply(first), w.join_reply(second));
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    assert_eq!(first.leader, second.leader);
    assert_eq!(first.members.len() + second.members.len(), 2, "only the leader sees them");
}

#[test]
fn a_join_to_a_stable_group_starts_a_rebalance() {
    let mut w = World::new();
    let (generation, ids) = w.stable(2);
    let (new, waiting) = w.join_new();
    assert_eq!(w.state(), "PreparingRebalance");
    for id in &ids {
        assert_eq!(w.heartbeat(id, generation), code(ResponseError::RebalanceInProgress));
    }
    let tokens: Vec<Token> = ids.iter().map(|id| w.join(id)).collect();
    w.apply();
    assert_eq!(w.join_reply(waiting).generation_id, generation + 1);
    let leader = w.join_reply(tokens[0]);
    assert_eq!(leader.members.len(), 3);
    assert_eq!(w.join_reply(tokens[1]).generation_id, generation + 1);
    w.assign(generation + 1, &[ids[0].clone(), ids[1].clone(), new]);
}

#[test]
fn who_does_not_join_in_time_is_left_out() {
    let mut w = World::new();
    let (generation, ids) = w.stable(2);
    let (_, waiting) = w.join_new();
    w.wait_alive(59_000, &[&ids[0], &ids[1]], generation);
    assert!(w.waits(waiting));
    w.wait(1_000);
    let response = w.join_reply(waiting);
    assert_eq!((response.generation_id, response.members.len()), (generation + 1, 1));
    assert_eq!(w.heartbeat(&ids[0], generation), code(ResponseError::UnknownMemberId));
}

#[test]
fn a_session_that_ends_starts_a_rebalance() {
    let mut w = World::new();
    let (generation, ids) = w.stable(2);
    w.wait_alive(11_000, &[&ids[0]], generation);
    assert_eq!(w.heartbeat(&ids[0], generation), code(ResponseError::RebalanceInProgress));
    assert_eq!(w.heartbeat(&ids[1], generation), code(ResponseError::UnknownMemberId));
    let token = w.join(&ids[0]);
    w.apply();
    assert_eq!(w.join_reply(token).members.len(), 1);
}

#[test]
fn a_group_whose_sessions_end_is_empty_in_the_log_too() {
    let mut w = World::new();
    let (generation, _) = w.stable(1);
    w.wait(11_000);
    assert_eq!(w.state(), "Empty");
    w.fail_over();
    assert_eq!(w.state(), "Empty");
    assert_eq!(w.stable(1).0, generation + 2, "one was without members");
}

#[test]
fn leaving_in_each_state() {
    // While waiting for the first members.
    let mut w = World::new();
    let (id, waiting) = w.join_new();
    assert_eq!(w.leave(&id, None).members[0].error_code, 0);
    assert_eq!(w.join_reply(waiting).error_code, code(ResponseError::UnknownMemberId));
    assert_eq!((w.state().as_str(), w.proposed.len()), ("Dead", 0));

    // With the generation's record on its way: the other one is told, and rebalances at once.
    let (one, first) = w.join_new();
    let (two, second) = w.join_new();
    w.ms += 3_000;
    let effects = w.coordinator.tick(w.now());
    w.carry_out(effects);
    w.ms += 3_000;
    let effects = w.coordinator.tick(w.now());
    w.carry_out(effects);
    assert_eq!(w.proposed.len(), 1);
    assert_eq!(w.leave(&one, None).members[0].error_code, 0);
    assert_eq!(w.join_reply(first).error_code, code(ResponseError::UnknownMemberId));
    w.apply();
    assert_eq!(w.join_reply(second).generation_id, 1);
    assert_eq!(w.heartbeat(&two, 1), code(ResponseError::RebalanceInProgress));
    let again = w.join(&two);
    w.apply();
    let response = w.join_reply(again);
    assert_eq!((response.generation_id, response.members.len()), (2, 1));

    // While the assignment is awaited.
    let (three, third) = w.join_new();
    let again = w.join(&two);
    w.apply();
    assert_eq!((w.join_reply(again).generation_id, w.join_reply(third).generation_id), (3, 3));
    let syncing = w.sync(&three, 3, &[]);
    assert_eq!(w.leave(&two, None).members[0].error_code, 0);
    assert_eq!(w.sync_reply(syncing).error_code, code(ResponseError::RebalanceInProgress));

    // From a stable group, the last one.
    let again = w.join(&three);
    w.apply();
    assert_eq!(w.join_reply(again).generation_id, 4);
    w.assign(4, std::slice::from_ref(&three));
    assert_eq!(w.leave(&three, None).members[0].error_code, 0);
    w.apply();
    assert_eq!(w.state(), "Empty");
    let unknown = w.leave(&three, None).members[0].error_code;
    assert_eq!(unknown, code(ResponseError::UnknownMemberId));
}

#[test]
fn an_old_client_leaves_alone() {
    let mut w = World::new();
    let (_, ids) = w.stable(1);
    for (id, expected) in [("nobody", ResponseError::UnknownMemberId.code()), (&ids[0], 0)] {
        let request =
            LeaveGroupRequest::default().with_group_id(group_id()).with_member_id(text(id));
        let token = w.ask(2, GroupRequest::Leave(request));
        let GroupResponse::Leave(response) = w.reply(token) else { panic!("no leave") };
        assert_eq!((response.error_code, response.members.len()), (expected, 0));
    }
}

#[test]
fn a_member_that_comes_again_unchanged_gets_its_generation() {
    let mut w = World::new();
    let (generation, ids) = w.stable(2);
    let token = w.join(&ids[1]);
    let response = w.join_reply(token);
    assert_eq!((response.generation_id, response.members.len()), (generation, 0));
    assert_eq!(w.state(), "Stable");
    // The leader wants to assign anew.
    let token = w.join(&ids[0]);
    assert!(w.waits(token));
    assert_eq!(w.state(), "PreparingRebalance");
    // A second request of the same member takes the place of the first.
    let later = w.join(&ids[0]);
    assert_eq!(w.join_reply(token).error_code, code(ResponseError::RebalanceInProgress));
    let other = w.join(&ids[1]);
    w.apply();
    assert_eq!(w.join_reply(later).generation_id, generation + 1);
    assert_eq!(w.join_reply(other).generation_id, generation + 1);
}

#[test]
fn a_member_that_knows_other_things_starts_a_rebalance() {
    let mut w = World::new();
    let (_, ids) = w.stable(2);
    let changed = join_request(&ids[1]).with_protocols(vec![protocol("range", b"other")]);
    let token = w.ask(9, GroupRequest::Join(changed));
    assert!(w.waits(token));
    assert_eq!(w.state(), "PreparingRebalance");
}

#[test]
fn refused_joins() {
    let mut w = World::new();
    let mut refused = |request: JoinGroupRequest, error| {
        for version in 0..=9 {
            let token = w.ask(version, GroupRequest::Join(request.clone()));
            let response = w.join_reply(token);
            assert_eq!((response.error_code, response.generation_id), (code(error), -1));
            assert_eq!(response.protocol_name.is_some(), version < 7);
        }
    };
    let request = || join_request("");
    refused(request().with_group_id(GroupId(text(""))), ResponseError::InvalidGroupId);
    refused(request().with_session_timeout_ms(5_999), ResponseError::InvalidSessionTimeout);
    refused(request().with_session_timeout_ms(1_800_001), ResponseError::InvalidSessionTimeout);
    refused(request().with_protocols(Vec::new()), ResponseError::InconsistentGroupProtocol);
    refused(request().with_protocol_type(text("")), ResponseError::InconsistentGroupProtocol);
    refused(join_request("nobody"), ResponseError::UnknownMemberId);
}

#[test]
fn protocols_are_chosen_by_those_that_all_know() {
    let mut w = World::new();
    let with = |member: &str, names: &[&str]| {
        let protocols = names.iter().map(|n| protocol(n, b"m")).collect();
        GroupRequest::Join(join_request(member).with_protocols(protocols))
    };
    let one = w.ask(3, with("", &["sticky", "range", "rr"]));
    let two = w.ask(3, with("", &["rr", "range"]));
    let three = w.ask(3, with("", &["range", "rr"]));
    let bad = w.ask(3, with("", &["sticky"]));
    let kind = JoinGroupRequest::with_protocol_type(join_request(""), text("connect"));
    let other = w.ask(3, GroupRequest::Join(kind));
    for refused in [bad, other] {
        let error = w.join_reply(refused).error_code;
        assert_eq!(error, code(ResponseError::InconsistentGroupProtocol));
    }
    w.wait(9_000);
    for token in [one, two, three] {
        assert_eq!(w.join_reply(token).protocol_name.as_deref(), Some("range"));
    }
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut w = World::with(GroupConfig { group_members_max: 2, ..config() });
    let (generation, ids) = w.stable(2);
    let token = w.ask(3, join(""));
    assert_eq!(w.join_reply(token).error_code, code(ResponseError::GroupMaxSizeReached));
    let token = w.join(&ids[1]);
    assert_eq!(w.join_reply(token).generation_id, generation);
}

#[test]
fn an_id_that_nobody_uses_holds_a_rebalance_up_only_for_a_session() {
    let mut w = World::new();
    let (generation, ids) = w.stable(1);
    let reserved = w.join("");
    w.reply(reserved);
    let token = w.join(&ids[0]);
    assert!(w.waits(token));
    w.wait(9_999);
    assert!(w.waits(token));
    w.wait(1);
    assert_eq!(w.join_reply(token).generation_id, generation + 1);
}

#[test]
fn a_new_member_whose_client_gave_up_goes() {
    let mut w = World::new();
    let (id, token) = w.join_new();
    w.open.remove(&token);
    let effects = w.coordinator.disconnected(w.now(), token.conn);
    w.carry_out(effects);
    w.wait(2_999);
    assert_eq!(w.state(), "PreparingRebalance");
    w.wait(10);
    assert_eq!(w.state(), "Dead", "nobody was there to be in a generation");
    assert!(w.waits(token));
    assert_eq!(w.heartbeat(&id, 0), code(ResponseError::UnknownMemberId));
}

#[test]
fn a_dropped_record_is_proposed_again() {
    let mut w = World::new();
    let (_, token) = w.join_new();
    w.ms += 3_000;
    let effects = w.coordinator.tick(w.now());
    w.carry_out(effects);
    let record = w.proposed.remove(0);
    let effects = w.coordinator.dropped(w.now(), record).unwrap();
    w.carry_out(effects);
    assert!(w.waits(token));
    w.wait(100);
    assert_eq!(w.join_reply(token).generation_id, 1);
}

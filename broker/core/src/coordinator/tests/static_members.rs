//! Static members (KIP-345): they keep their place over restarts, and fence who had it before.

use super::*;

fn join_as(w: &mut World, version: i16, member: &str, instance: &str) -> Token {
    w.ask(version, join_static(member, instance))
}

/// A stable group of the static members "a" and "b": generation and ids, the leader first.
fn stable(w: &mut World) -> (i32, Vec<(String, String)>) {
    let tokens = [("a", join_as(w, 5, "", "a")), ("b", join_as(w, 5, "", "b"))];
    w.wait(6_000);
    let mut members = Vec::new();
    let mut generation = 0;
    for (instance, token) in tokens {
        let response = w.join_reply(token);
        assert_eq!(response.error_code, 0);
        assert!(response.member_id.starts_with(&format!("{instance}-")));
        generation = response.generation_id;
        let leads = response.leader == response.member_id;
        let member = (response.member_id.to_string(), instance.to_owned());
        if leads { members.insert(0, member) } else { members.push(member) }
    }
    let ids: Vec<String> = members.iter().map(|m| m.0.clone()).collect();
    w.assign(generation, &ids);
    (generation, members)
}

#[test]
fn a_restart_keeps_generation_and_assignment() {
    let mut w = World::new();
    let (generation, members) = stable(&mut w);
    let (old, instance) = members[1].clone();
    let token = join_as(&mut w, 5, "", &instance);
    assert!(w.waits(token), "until its new id is in the log");
    w.apply();
    let response = w.join_reply(token);
    assert_eq!((response.error_code, response.generation_id), (0, generation));
    assert_eq!(response.leader.as_str(), members[0].0);
    let new = response.member_id.to_string();
    assert_ne!(new, old);
    assert_eq!(w.state(), "Stable");
    let token = w.ask(
        5,
        GroupRequest::Sync(
            sync_request(&new, generation).with_group_instance_id(Some(text(&instance))),
        ),
    );
    assert_eq!(&w.sync_reply(token).assignment[..], old.as_bytes());
    // The former life is fenced, by name, or unknown, by id.
    let token = join_as(&mut w, 5, &old, &instance);
    assert_eq!(w.join_reply(token).error_code, ResponseError::FencedInstanceId.code());
    assert_eq!(w.heartbeat(&old, generation), ResponseError::UnknownMemberId.code());
    let fenced = w.leave(&old, Some(&instance)).members[0].error_code;
    assert_eq!(fenced, ResponseError::FencedInstanceId.code());
    // All of it is in the log.
    w.fail_over();
    assert_eq!(w.heartbeat(&new, generation), 0);
}

#[test]
fn a_leader_that_restarts_must_not_assign_by_mistake() {
    for version in 5..=9 {
        let mut w = World::new();
        let (generation, members) = stable(&mut w);
        let (old, instance) = members[0].clone();
        let token = join_as(&mut w, version, "", &instance);
        w.apply();
        let response = w.join_reply(token);
        assert_eq!(response.generation_id, generation);
        if version < 9 {
            assert_eq!(response.leader.as_str(), old, "it must not think that it leads");
            assert_eq!(response.members.len(), 0);
            assert!(!response.skip_assignment);
        } else {
            assert_eq!(response.leader, response.member_id);
            assert_eq!(response.members.len(), 2);
            assert!(response.skip_assignment);
        }
    }
}

#[test]
fn a_restart_with_other_protocols_rebalances() {
    let mut w = World::new();
    let (generation, members) = stable(&mut w);
    // All but one know nothing else, so nothing else is chosen: no rebalance.
    let two = vec![protocol("sticky", b"s"), protocol("range", b"m")];
    let request = join_request("").with_group_instance_id(Some(text(&members[1].1)));
    let token = w.ask(5, GroupRequest::Join(request.clone().with_protocols(two.clone())));
    w.apply();
    assert_eq!(w.join_reply(token).generation_id, generation);
    // Now the other one knows it as well: both vote for it.
    let request = request.with_group_instance_id(Some(text(&members[0].1)));
    let token = w.ask(5, GroupRequest::Join(request.with_protocols(two)));
    assert!(w.waits(token));
    assert_eq!(w.state(), "PreparingRebalance");
}

#[test]
fn a_static_member_is_kept_until_its_session_ends() {
    let mut w = World::new();
    let (generation, members) = stable(&mut w);
    let (_, waiting) = w.join_new();
    let token = join_as(&mut w, 5, &members[0].0, &members[0].1);
    w.wait_alive(60_000, &[&members[1].0], generation);
    let response = w.join_reply(token);
    assert_eq!((response.generation_id, response.members.len()), (generation + 1, 3));
    assert_eq!(w.join_reply(waiting).generation_id, generation + 1);
    w.wait_alive(10_000, &[&members[0].0], generation + 1);
    assert_eq!(w.state(), "PreparingRebalance", "now it is gone");
}

#[test]
fn a_restart_while_the_old_life_waits_fences_it() {
    let mut w = World::new();
    let first = join_as(&mut w, 5, "", "a");
    let second = join_as(&mut w, 5, "", "a");
    assert_eq!(w.join_reply(first).error_code, ResponseError::FencedInstanceId.code());
    w.wait(6_000);
    let response = w.join_reply(second);
    assert_eq!((response.generation_id, response.members.len()), (1, 1));
    assert_eq!(response.members[0].group_instance_id.as_deref(), Some("a"));
    // And while it waits for its assignment.
    let id = response.member_id.to_string();
    let follower = w.ask(5, sync(&id, 1, &[]));
    let third = join_as(&mut w, 5, "", "a");
    assert_eq!(w.sync_reply(follower).error_code, ResponseError::FencedInstanceId.code());
    w.apply();
    assert_eq!(w.join_reply(third).generation_id, 2);
}

#[test]
fn a_rebalance_during_a_replacement_takes_it_along() {
    let mut w = World::new();
    let (generation, members) = stable(&mut w);
    let restarted = join_as(&mut w, 5, "", &members[1].1);
    let (_, joining) = w.join_new();
    let leader = join_as(&mut w, 5, &members[0].0, &members[0].1);
    assert_eq!(w.proposed.len(), 2);
    w.apply();
    for token in [restarted, joining, leader] {
        assert_eq!(w.join_reply(token).generation_id, generation + 1);
    }
    assert_eq!(w.coordinator.groups[G].members.len(), 3);
}

#[test]
fn a_rebalance_timeout_of_nothing_does_not_spin() {
    let mut w = World::new();
    for instance in ["a", "b"] {
        let request = join_request("").with_group_instance_id(Some(text(instance)));
        w.ask(5, GroupRequest::Join(request.with_rebalance_timeout_ms(0)));
    }
    for _ in 0..2 {
        w.ms += 3_000;
        let effects = w.coordinator.tick(w.now());
        w.carry_out(effects);
    }
    w.apply();
    assert_eq!(w.state(), "CompletingRebalance");
    assert_eq!(w.leave("", Some("a")).members[0].error_code, 0);
    w.wait(1_000);
    assert_eq!(w.state(), "PreparingRebalance", "until the other one is back, or gone");
    w.wait(10_000);
    assert_eq!(w.state(), "Empty");
}

#[test]
fn an_operator_removes_a_static_member_by_name() {
    let mut w = World::new();
    let (_, members) = stable(&mut w);
    assert_eq!(w.leave("", Some(&members[1].1)).members[0].error_code, 0);
    assert_eq!(w.state(), "PreparingRebalance");
    let unknown = w.leave("", Some("nobody")).members[0].error_code;
    assert_eq!(unknown, ResponseError::UnknownMemberId.code());
}

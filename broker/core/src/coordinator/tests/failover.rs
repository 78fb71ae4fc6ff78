//! Another replica leads: who waits is sent away, and what was answered still holds.

use super::*;

const NOT_HERE: i16 = 16;

#[test]
fn before_the_first_generation_nothing_is_left() {
    let mut w = World::new();
    let (id, token) = w.join_new();
    w.fail_over();
    let response = w.join_reply(token);
    assert_eq!(response.error_code, NOT_HERE);
    assert_eq!(ResponseError::NotCoordinator.code(), NOT_HERE);
    let token = w.join(&id);
    assert_eq!(w.join_reply(token).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn a_generation_that_is_not_in_the_log_was_never_told() {
    let mut w = World::new();
    let (_, token) = w.join_new();
    w.ms += 3_000;
    let effects = w.coordinator.tick(w.now());
    w.carry_out(effects);
    let record = w.proposed[0].clone();
    w.fail_over();
    assert_eq!(w.join_reply(token).error_code, NOT_HERE);
    // It comes through after all, before the new leader's own records: nobody waits for it.
    w.coordinator.step_down();
    let effects = w.coordinator.apply(w.now(), 1, record).unwrap();
    assert_eq!(effects, []);
    w.coordinator.lead(w.now(), 3);
    assert_eq!(w.state(), "CompletingRebalance");
}

#[test]
fn while_the_assignment_is_awaited_the_generation_goes_on() {
    let mut w = World::new();
    let joins = [w.join_new(), w.join_new()];
    w.wait(6_000);
    let mut ids = Vec::new();
    for (id, token) in joins {
        let response = w.join_reply(token);
        if response.leader.as_str() == id { ids.insert(0, id) } else { ids.push(id) }
    }
    let follower = w.sync(&ids[1], 1, &[]);
    let leader = w.sync(&ids[0], 1, &[(&ids[0], "lost")]);
    w.fail_over();
    for token in [follower, leader] {
        assert_eq!(w.sync_reply(token).error_code, NOT_HERE);
    }
    assert_eq!(w.state(), "CompletingRebalance");
    w.assign(1, &ids);
}

#[test]
fn a_stable_group_notices_nothing() {
    let mut w = World::new();
    let (generation, ids) = w.stable(3);
    w.wait(9_000);
    w.fail_over();
    // Sessions start again in full.
    w.wait(9_000);
    for id in &ids {
        assert_eq!(w.heartbeat(id, generation), 0);
        let token = w.sync(id, generation, &[]);
        assert_eq!(&w.sync_reply(token).assignment[..], id.as_bytes());
    }
    w.wait(11_000);
    assert_eq!(w.state(), "Empty");
}

#[test]
fn a_rebalance_starts_over() {
    let mut w = World::new();
    let (generation, ids) = w.stable(2);
    let (new, waiting) = w.join_new();
    let old = w.join(&ids[0]);
    w.fail_over();
    for token in [waiting, old] {
        assert_eq!(w.join_reply(token).error_code, NOT_HERE);
    }
    assert_eq!(w.state(), "Stable");
    assert_eq!(w.heartbeat(&ids[1], generation), 0);
    let token = w.join(&new);
    assert_eq!(w.join_reply(token).error_code, ResponseError::UnknownMemberId.code());
    let (_, waiting) = w.join_new();
    let tokens = [w.join(&ids[0]), w.join(&ids[1]), waiting];
    w.apply();
    for token in tokens {
        assert_eq!(w.join_reply(token).generation_id, generation + 1);
    }
}

#[test]
fn who_does_not_lead_says_so() {
    let mut w = World::new();
    w.stable(1);
    let delete = GroupRequest::Delete(group_id());
    w.coordinator.step_down();
    for request in [join(""), sync("m", 1, &[]), delete] {
        let token = w.ask(0, request);
        let code = match w.reply(token) {
            GroupResponse::Join(r) => r.error_code,
            GroupResponse::Sync(r) => r.error_code,
            GroupResponse::Delete(r) => r.error_code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code, NOT_HERE);
    }
    assert_eq!(w.coordinator.describe(6, &group_id()).error_code, NOT_HERE);
    assert_eq!(w.coordinator.next_deadline(), None);
    assert_eq!(w.coordinator.tick(w.now()), []);
}

#[test]
fn a_record_of_an_older_generation_does_nothing() {
    let mut w = World::new();
    let (_, ids) = w.stable(1);
    let old = w.log.clone();
    let token = w.join(&ids[0]);
    w.apply();
    w.reply(token);
    w.coordinator.step_down();
    let before = w.coordinator.encode();
    for (i, record) in old.into_iter().enumerate() {
        w.coordinator.apply(w.now(), 100 + i as Index, record).unwrap();
    }
    assert_eq!(w.coordinator.encode(), before);
}

#[test]
fn a_snapshot_is_the_state() {
    let mut w = World::new();
    let (generation, ids) = w.stable(2);
    let mut restored = Coordinator::new(config(), 7);
    restored.restore(w.coordinator.encode()).unwrap();
    assert_eq!(restored.encode(), w.coordinator.encode());
    restored.lead(w.now(), 9);
    w.coordinator = restored;
    assert_eq!(w.heartbeat(&ids[1], generation), 0);
}

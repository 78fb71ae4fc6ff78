//! Offsets grow old, groups are deleted.

use super::offsets::commit;
use super::*;

const DAY_MS: u64 = 86_400_000;

fn delete(w: &mut World) -> i16 {
    let token = w.ask(2, GroupRequest::Delete(group_id()));
    w.apply();
    let GroupResponse::Delete(result) = w.reply(token) else { panic!("no answer") };
    assert_eq!(result.group_id, group_id());
    result.error_code
}

#[test]
fn offsets_of_a_simple_group_expire_with_their_commit() {
    let mut w = World::new();
    assert_eq!(w.commit(9, commit("", -1, &[(0, 1)])), 0);
    w.wait(6 * DAY_MS);
    assert_eq!(w.commit(9, commit("", -1, &[(1, 2)])), 0);
    w.wait(DAY_MS + 600_000);
    assert_eq!((w.committed(0), w.committed(1)), (-1, 2));
    w.wait(6 * DAY_MS + 600_000);
    assert_eq!(w.state(), "Dead");
}

#[test]
fn a_group_with_members_keeps_its_offsets() {
    let mut w = World::new();
    let (generation, ids) = w.stable(1);
    assert_eq!(w.commit(9, commit(&ids[0], generation, &[(0, 1)])), 0);
    // Its metadata is not what consumers write, so what it reads is not known.
    for _ in 0..8 * DAY_MS / 9_000 {
        w.ms += 9_000;
        assert_eq!(w.heartbeat(&ids[0], generation), 0);
        let effects = w.coordinator.tick(w.now());
        w.carry_out(effects);
    }
    w.apply();
    assert_eq!(w.committed(0), 1);
    // The retention counts from when it is empty.
    w.leave(&ids[0], None);
    w.apply();
    w.wait(7 * DAY_MS - 600_000);
    assert_eq!(w.committed(0), 1);
    w.wait(2 * 600_000);
    assert_eq!((w.committed(0), w.state().as_str()), (-1, "Dead"));
}

#[test]
fn a_client_may_say_how_long() {
    let mut w = World::new();
    let request = commit("", -1, &[(0, 1)]).with_retention_time_ms(3_600_000);
    assert_eq!(w.commit(4, request), 0);
    w.wait(3_600_000 - 600_001);
    assert_eq!(w.committed(0), 1);
    w.wait(2 * 600_000);
    assert_eq!(w.committed(0), -1);
}

#[test]
fn a_commit_that_overtakes_its_expiry_stays() {
    let mut w = World::new();
    assert_eq!(w.commit(9, commit("", -1, &[(0, 1)])), 0);
    w.ms += 8 * DAY_MS;
    let effects = w.coordinator.tick(w.now());
    w.carry_out(effects);
    let expire = w.proposed.remove(0);
    let token = w.ask(9, GroupRequest::Commit(commit("", -1, &[(0, 2)])));
    w.proposed.push(expire);
    w.apply();
    w.reply(token);
    assert_eq!(w.committed(0), 2);
}

#[test]
fn only_empty_groups_are_deleted() {
    let mut w = World::new();
    assert_eq!(delete(&mut w), ResponseError::GroupIdNotFound.code());
    let (generation, ids) = w.stable(1);
    assert_eq!(w.commit(9, commit(&ids[0], generation, &[(0, 1)])), 0);
    assert_eq!(delete(&mut w), ResponseError::NonEmptyGroup.code());
    // The last member has left, and the record that says so is still on its way.
    w.leave(&ids[0], None);
    assert_eq!(delete(&mut w), 0);
    assert_eq!((w.committed(0), w.state().as_str()), (-1, "Dead"));
    assert_eq!(w.stable(1).0, 1, "a new group of the same name");
}

#[test]
fn a_generation_decided_before_a_deletion_is_decided_again() {
    let mut w = World::new();
    let (_, ids) = w.stable(1);
    w.leave(&ids[0], None);
    w.apply();
    let deletion = w.ask(2, GroupRequest::Delete(group_id()));
    let (_, joining) = w.join_new();
    w.ms += 3_000;
    let effects = w.coordinator.tick(w.now());
    w.carry_out(effects);
    assert_eq!(w.proposed.len(), 2);
    w.apply();
    w.reply(deletion);
    assert_eq!(w.join_reply(joining).generation_id, 1);
}

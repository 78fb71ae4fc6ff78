//! Rolling changes in random worlds: one broker at a time, a revision that never comes up stops
//! after the first, and asking for another one is always the way out.

use std::collections::BTreeSet;

use chronik_plan::{Revision, Step, VolumePolicy, broker_of, plan};
use proptest::prelude::*;

use crate::model::World;
use crate::properties::{add_topic, assert_end, converge, desired, pass};
use crate::rules::quiet;

fn formed(seed: u64, brokers: u32) -> World {
    let mut world = World::new(seed);
    converge(&mut world, &desired(brokers, VolumePolicy::Retain));
    assert!(add_topic(&mut world, "orders", 6, brokers.min(3) as usize));
    world
}

fn outdated(world: &World) -> Vec<u32> {
    let ids = world.cluster.as_ref().unwrap().brokers.keys().copied();
    ids.filter(|id| world.revisions.of(*id) != Revision::Current).collect()
}

#[test]
fn everybody_is_restarted_once_and_the_leader_of_meta_last() {
    for brokers in [1, 2, 3, 5] {
        let mut world = formed(9, brokers);
        let wanted = desired(brokers, VolumePolicy::Retain);
        let leader = broker_of(world.cluster.as_ref().unwrap().meta.leader.unwrap());
        world.revisions.wanted = 1;
        let mut order = Vec::new();
        for _ in 0..200 {
            let before: BTreeSet<u32> = outdated(&world).into_iter().collect();
            pass(&mut world, &wanted, usize::MAX, false);
            order.extend(before.into_iter().filter(|id| !outdated(&world).contains(id)));
        }
        assert_eq!(order.len(), brokers as usize, "{order:?}");
        assert_eq!(order.last(), Some(&leader));
        converge(&mut world, &wanted);
        assert_end(&world, brokers);
    }
}

#[test]
fn nobody_is_restarted_while_another_is_ending_though_it_still_answers() {
    let mut seen = quiet(3);
    seen.processes.values_mut().for_each(|process| process.revision = Revision::Due);
    let wanted = desired(3, VolumePolicy::Retain);
    assert_eq!(plan(&wanted, &seen).steps, [Step::Update(2)]);
    // Asked for something newer still, before the last one has come back.
    seen.processes.get_mut(&3).unwrap().ending = true;
    let held = plan(&wanted, &seen);
    assert_eq!(held.steps, []);
    assert_eq!(held.waiting[0].to_string(), "restarting broker 2: broker 3 is being restarted");
}

#[test]
fn a_bad_revision_stops_after_the_first_and_the_old_one_recovers() {
    let mut world = formed(3, 3);
    let wanted = desired(3, VolumePolicy::Retain);
    world.revisions.bad.insert(1);
    world.revisions.wanted = 1;
    for _ in 0..100 {
        pass(&mut world, &wanted, usize::MAX, false);
        assert!(world.running.len() >= 2);
    }
    assert_eq!(world.revisions.idle.len(), 1);
    world.revisions.wanted = 0;
    converge(&mut world, &wanted);
    assert_end(&world, 3);
}

#[test]
fn the_next_one_waits_until_all_others_have_been_ready_for_as_long_as_the_user_wants() {
    let mut world = formed(5, 3);
    let mut wanted = desired(3, VolumePolicy::Retain);
    wanted.rolling.wait_s = 100;
    world.revisions.wanted = 1;
    let mut restarts = Vec::new();
    for look in 0..200 {
        let before: BTreeSet<u32> = outdated(&world).into_iter().collect();
        let plan = pass(&mut world, &wanted, usize::MAX, false);
        if before.len() > outdated(&world).len() {
            restarts.push(look);
        }
        if plan.only_settles() {
            assert!(plan.waiting[0].to_string().ends_with("has not been ready for 100 s yet"));
        }
    }
    assert_eq!(restarts.len(), 3, "{restarts:?}");
    assert!(restarts.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{restarts:?}");
    converge(&mut world, &wanted);
}

#[test]
fn a_broker_that_is_being_started_is_not_given_what_others_do_not_come_up_with() {
    let mut world = formed(3, 3);
    let wanted = desired(3, VolumePolicy::Retain);
    world.revisions.bad.insert(1);
    world.revisions.wanted = 1;
    for _ in 0..20 {
        pass(&mut world, &wanted, usize::MAX, false);
    }
    // The pod of another one goes, and is looked at before it runs again.
    let well: Vec<u32> = world.running.iter().copied().collect();
    world.running.remove(&well[0]);
    world.revisions.started(well[0]);
    world.revisions.idle.insert(well[0]);
    for _ in 0..20 {
        pass(&mut world, &wanted, usize::MAX, false);
    }
    assert_eq!(world.running.iter().copied().collect::<Vec<u32>>(), well);
}

#[test]
fn a_paused_roll_restarts_nobody_who_serves_and_goes_on_later() {
    let mut world = formed(5, 3);
    let mut wanted = desired(3, VolumePolicy::Retain);
    wanted.rolling.paused = true;
    world.revisions.wanted = 1;
    let plan = converge(&mut world, &wanted);
    assert_eq!(outdated(&world), [1, 2, 3]);
    let told = plan.operation.map(|operation| operation.to_string());
    assert_eq!(told.as_deref(), Some("rolling change (paused): 0 of 3 brokers are up to date"));
    // Whoever serves nobody is no reason to wait.
    world.running.remove(&2);
    world.revisions.bad.insert(0);
    world.revisions.started(2);
    world.revisions.idle.insert(2);
    converge(&mut world, &wanted);
    assert_eq!(outdated(&world), [1, 3]);
    wanted.rolling.paused = false;
    converge(&mut world, &wanted);
    assert_eq!(outdated(&world), [0; 0]);
}

#[test]
fn a_cluster_that_never_formed_with_a_bad_revision_forms_with_a_good_one() {
    let mut world = World::new(1);
    let wanted = desired(3, VolumePolicy::Retain);
    world.revisions.bad.insert(0);
    for _ in 0..20 {
        pass(&mut world, &wanted, usize::MAX, false);
    }
    assert_eq!(world.revisions.idle.len(), 3);
    world.revisions.wanted = 1;
    converge(&mut world, &wanted);
    assert_end(&world, 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rolls_end_whatever_crashes_meanwhile(
        seed in any::<u64>(), brokers in 1u32..6, end in 3u32..6, events in 0usize..60,
    ) {
        let mut world = formed(seed, brokers);
        let mut wanted = desired(brokers, VolumePolicy::Delete);
        for event in 0..events {
            match world.dice.below(8) {
                0 => {
                    world.revisions.wanted = event as u64 + 1;
                    if world.dice.one_in(3) {
                        world.revisions.bad.insert(event as u64 + 1);
                    }
                }
                1 => {
                    let running: Vec<u32> = world.running.iter().copied().collect();
                    if !running.is_empty() {
                        let victim = running[world.dice.below(running.len() as u64) as usize];
                        // Its container is restarted: with what its template says, as a pod would be.
                        world.running.remove(&victim);
                        world.revisions.started(victim);
                        world.revisions.idle.insert(victim);
                    }
                }
                2 => wanted.brokers = 1 + world.dice.below(6) as u32,
                _ => {}
            }
            let crash_after = world.dice.below(6) as usize;
            pass(&mut world, &wanted, crash_after, true);
        }
        world.revisions.wanted = 1000;
        wanted.brokers = end;
        converge(&mut world, &wanted);
        assert_end(&world, end);
        prop_assert_eq!(outdated(&world), Vec::<u32>::new());
    }
}

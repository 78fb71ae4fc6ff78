//! Random worlds: whatever crashes, is lost or is forgotten on the way, the plan converges, and the
//! model's assertions hold at every step.

use chronik_plan::{Desired, Plan, Rolling, Step, VolumePolicy, broker_of, meta_voters, plan};
use proptest::prelude::*;

use crate::model::{ModelGroup, World};

/// Passes after which a quiet world must have converged.
const PASSES_MAX: usize = 600;

pub(crate) fn desired(brokers: u32, when_scaled: VolumePolicy) -> Desired {
    let rolling = Rolling::default();
    Desired {
        cluster_id: "c1".into(),
        brokers,
        when_scaled,
        rolling,
        platform_racks: true,
        platform_addresses: true,
        catch_up_rate: None,
    }
}

/// Observe, plan, execute, let time pass. `crash_after` steps the operator dies.
pub(crate) fn pass(world: &mut World, desired: &Desired, crash_after: usize, lossy: bool) -> Plan {
    let seen = world.observe(if lossy { 6 } else { 0 });
    let plan = plan(desired, &seen);
    assert_eq!(plan, chronik_plan::plan(desired, &seen), "the same in, the same out");
    assert!(plan.steps.iter().filter(|s| s.is_disruptive()).count() <= 1);
    for step in plan.steps.iter().take(crash_after) {
        if !lossy || !world.dice.one_in(6) {
            world.execute(step);
        }
    }
    world.tick();
    plan
}

/// Passes in a quiet world until two in a row have nothing to do.
pub(crate) fn converge(world: &mut World, desired: &Desired) -> Plan {
    let mut calm = 0;
    let mut last = Plan::default();
    for _ in 0..PASSES_MAX {
        last = pass(world, desired, usize::MAX, false);
        calm = if last.is_converged() { calm + 1 } else { 0 };
        if calm == 3 {
            return last;
        }
    }
    panic!("no end after {PASSES_MAX} passes: {last:#?}");
}

pub(crate) fn add_topic(world: &mut World, name: &str, partitions: u32, replicas: usize) -> bool {
    // A replica placed on a disk that is lost but not missed yet would never have been there.
    let here: Vec<u32> = world.running.iter().copied().collect();
    let Some(cluster) = world.cluster.as_mut().filter(|c| c.open) else { return false };
    for partition in 0..partitions {
        let mut on = cluster.open_to_replicas();
        on.retain(|id| {
            here.contains(id) && world.disks[id].directory == cluster.brokers[id].directory
        });
        if on.len() < replicas {
            return false;
        }
        let mut group = ModelGroup { term: 1, conf_index: 1, ..ModelGroup::default() };
        for broker in on.into_iter().take(replicas) {
            let peer = cluster.peer(broker);
            world.lives.insert(peer, cluster.brokers[&broker].directory.clone());
            group.conf.voters.insert(peer);
            group.percent.insert(peer, 100);
        }
        group.target = group.conf.voters.clone();
        cluster.data.insert((name.into(), partition), group);
        cluster.count();
    }
    true
}

/// The end state: exactly the brokers wanted, each group where it should be.
pub(crate) fn assert_end(world: &World, brokers: u32) {
    let cluster = world.cluster.as_ref().expect("a cluster");
    assert_eq!(cluster.brokers.len(), brokers as usize);
    assert!(cluster.brokers.keys().eq(world.running.iter()), "processes are the members");
    assert!(world.revisions.idle.is_empty());
    assert!(cluster.brokers.values().all(|m| !m.cordoned));
    assert_eq!(cluster.meta.conf.voters.len(), meta_voters(brokers as usize));
    assert_eq!(cluster.meta.conf.members().count(), brokers as usize);
    for group in cluster.data.values() {
        assert!(!group.is_off_target());
        assert!(group.target.iter().all(|p| cluster.brokers.contains_key(&broker_of(*p))));
    }
}

fn disturb(world: &mut World, desired: &mut Desired) {
    match world.dice.below(8) {
        0 => desired.brokers = 1 + world.dice.below(7) as u32,
        1 | 2 => {
            let running: Vec<u32> = world.running.iter().copied().collect();
            if !running.is_empty() {
                let victim = running[world.dice.below(running.len() as u64) as usize];
                world.running.remove(&victim);
                if world.dice.one_in(3) && world.can_lose(victim) {
                    world.disks.remove(&victim);
                }
            }
        }
        3 => {
            let replicas = 1 + world.dice.below(3) as usize;
            let name = match world.dice.below(5) {
                4 => "__internal".to_owned(),
                n => format!("t{n}"),
            };
            if world.cluster.as_ref().is_some_and(|c| !c.data.keys().any(|(t, _)| *t == name)) {
                add_topic(world, &name, 5, replicas);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn converges_from_anything_and_breaks_nothing(
        seed in any::<u64>(), start in 1u32..7, end in 3u32..7, retain in any::<bool>(), events in 0usize..60,
    ) {
        let mut world = World::new(seed);
        let policy = if retain { VolumePolicy::Retain } else { VolumePolicy::Delete };
        let mut wanted = desired(start, policy);
        for _ in 0..events {
            disturb(&mut world, &mut wanted);
            let crash_after = world.dice.below(6) as usize;
            let old = world.observe(4);
            pass(&mut world, &wanted, crash_after, true);
            if world.dice.one_in(4) {
                // An operator that was held up acts on what it saw before: brokers must refuse, or
                // it must be harmless.
                for step in plan(&wanted, &old).steps {
                    if !matches!(step, Step::Start(_) | Step::Stop(_) | Step::DeleteVolume(_) | Step::Initialize { .. }) {
                        world.execute(&step);
                    }
                }
            }
        }
        wanted.brokers = end;
        let last = converge(&mut world, &wanted);
        prop_assert!(last.is_converged(), "{last:#?}");
        prop_assert_eq!(last.operation, None);
        assert_end(&world, end);
        if !retain {
            prop_assert!(world.disks.keys().eq(world.running.iter()), "volumes are deleted");
        }
    }
}

//! Volumes that are said to be lost: given up only while the cluster has everything without them, one
//! at a time, and never because of silence alone.

use chronik_plan::{Observed, Operation, Step, VolumePolicy, plan};
use proptest::prelude::*;

use crate::model::World;
use crate::properties::{add_topic, assert_end, converge, desired, pass};
use crate::rules::{outdated, quiet, steps, waits};

/// Broker 3 of three is silent, nothing of it runs, and its volume is said to be lost.
fn lost() -> Observed {
    let mut seen = quiet(3);
    seen.nodes.remove(&3);
    let process = seen.processes.get_mut(&3).unwrap();
    (process.idle, process.lost) = (true, true);
    seen
}

#[test]
fn a_lost_volume_is_given_up_and_silence_alone_gives_nothing_up() {
    let plan = plan(&desired(3, VolumePolicy::Retain), &lost());
    assert_eq!(plan.steps, [Step::Replace(3)]);
    assert_eq!(plan.operation, Some(Operation::Replace(3)));
    let mut silent = lost();
    silent.processes.get_mut(&3).unwrap().lost = false;
    assert_eq!(steps(3, &silent), []);
}

#[test]
fn nothing_is_given_up_that_may_be_needed() {
    let last = |seen: &Observed| waits(3, seen).pop().unwrap();
    let mut seen = lost();
    seen.processes.get_mut(&3).unwrap().idle = false;
    assert_eq!(last(&seen), "giving up the volume of broker 3: something of it may run yet");
    let mut seen = lost();
    seen.nodes.remove(&2);
    assert_eq!(last(&seen), "giving up the volume of broker 3: broker 2 is down");
    let mut seen = lost();
    seen.nodes.get_mut(&1).unwrap().quorum_losses.insert(3, 2);
    let expected = "2 groups would lose the quorum that has caught up";
    assert_eq!(last(&seen), format!("giving up the volume of broker 3: {expected}"));
    let mut seen = lost();
    seen.nodes.get_mut(&1).unwrap().needed.insert(3, 1);
    let expected = "1 groups of one or two replicas cannot do without it";
    assert_eq!(last(&seen), format!("giving up the volume of broker 3: {expected}"));
    let mut seen = lost();
    seen.nodes.get_mut(&1).unwrap().meta.as_mut().unwrap().partitions = 4;
    let expected = "4 of 5 groups have no leader";
    assert_eq!(last(&seen), format!("giving up the volume of broker 3: {expected}"));
}

#[test]
fn a_broker_that_answers_keeps_its_volume_whatever_is_said() {
    let mut seen = quiet(3);
    seen.processes.get_mut(&3).unwrap().lost = true;
    let plan = plan(&desired(3, VolumePolicy::Retain), &seen);
    assert_eq!(plan.steps, []);
    assert_eq!(
        plan.refused[0].to_string(),
        "volume of broker 3: is said to be lost, and the broker answers; take the word back"
    );
}

#[test]
fn a_roll_does_not_go_on_while_a_volume_is_lost() {
    let mut seen = outdated(3);
    seen.nodes.remove(&3);
    let process = seen.processes.get_mut(&3).unwrap();
    (process.idle, process.stuck, process.lost) = (true, true, true);
    // It gets what is asked for now before it comes back, with whatever volume.
    assert_eq!(steps(3, &seen), [Step::Update(3)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lost_nodes_cost_no_group_its_quorum(
        seed in any::<u64>(), brokers in 1u32..6, end in 3u32..6, events in 0usize..60,
    ) {
        let mut world = World::new(seed);
        let mut wanted = desired(brokers, VolumePolicy::Retain);
        converge(&mut world, &wanted);
        prop_assert!(add_topic(&mut world, "orders", 6, brokers.min(3) as usize));
        for _ in 0..events {
            let running: Vec<u32> = world.running.iter().copied().collect();
            match world.dice.below(8) {
                0 if !running.is_empty() => {
                    let victim = running[world.dice.below(running.len() as u64) as usize];
                    world.running.remove(&victim);
                    world.lost.insert(victim);
                }
                1 => {
                    // The node comes back after all.
                    if let Some(back) = world.lost.pop_first() {
                        world.running.insert(back);
                    }
                }
                2 => wanted.brokers = 1 + world.dice.below(6) as u32,
                _ => {}
            }
            let crash_after = world.dice.below(6) as usize;
            pass(&mut world, &wanted, crash_after, true);
        }
        wanted.brokers = end;
        // What could not be given up comes back; the rest is replaced.
        for _ in 0..200 {
            pass(&mut world, &wanted, usize::MAX, false);
        }
        while let Some(back) = world.lost.pop_first() {
            world.running.insert(back);
        }
        converge(&mut world, &wanted);
        assert_end(&world, end);
    }

    #[test]
    fn one_lost_node_of_three_or_more_is_replaced(seed in any::<u64>(), brokers in 3u32..6) {
        let mut world = World::new(seed);
        let wanted = desired(brokers, VolumePolicy::Retain);
        converge(&mut world, &wanted);
        prop_assert!(add_topic(&mut world, "orders", 6, 3));
        let victim = 1 + world.dice.below(u64::from(brokers)) as u32;
        let before = world.disks[&victim].directory.clone();
        world.running.remove(&victim);
        world.lost.insert(victim);
        converge(&mut world, &wanted);
        assert_end(&world, brokers);
        prop_assert!(world.disks[&victim].directory != before, "another incarnation");
    }
}

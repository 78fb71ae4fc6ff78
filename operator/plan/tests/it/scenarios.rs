//! The life of a cluster, scene by scene.

use chronik_plan::{Plan, Step, VolumePolicy, broker_of, plan};

use crate::model::World;
use crate::properties::{add_topic, assert_end, converge, desired, pass};

fn formed(brokers: u32, policy: VolumePolicy) -> World {
    let mut world = World::new(u64::from(brokers));
    converge(&mut world, &desired(brokers, policy));
    assert_end(&world, brokers);
    world
}

fn words(plan: &Plan) -> Vec<String> {
    plan.refused.iter().map(ToString::to_string).collect()
}

#[test]
fn one_grows_to_three_and_shrinks_to_one() {
    let mut world = formed(1, VolumePolicy::Delete);
    for brokers in [3, 1, 2, 5, 1] {
        converge(&mut world, &desired(brokers, VolumePolicy::Delete));
        assert_end(&world, brokers);
    }
}

#[test]
fn internal_topics_follow_the_number_of_brokers() {
    let mut world = formed(1, VolumePolicy::Delete);
    assert!(add_topic(&mut world, "__internal", 16, 1));
    assert!(add_topic(&mut world, "orders", 3, 1));
    for brokers in [3, 1, 2, 5, 3, 2, 1] {
        let last = converge(&mut world, &desired(brokers, VolumePolicy::Delete));
        assert_eq!(words(&last), Vec::<String>::new());
        assert_end(&world, brokers);
        for ((topic, _), group) in &world.cluster.as_ref().unwrap().data {
            let wanted = if topic == "orders" { 1 } else { brokers.min(3) };
            assert_eq!(group.conf.voters.len(), wanted as usize, "{topic} on {brokers} brokers");
        }
    }
}

#[test]
fn a_broker_that_comes_again_carries_its_share_again() {
    let mut world = formed(3, VolumePolicy::Retain);
    assert!(add_topic(&mut world, "orders", 4, 3));
    for brokers in [4, 3, 4, 3, 4] {
        converge(&mut world, &desired(brokers, VolumePolicy::Retain));
        let members = world.cluster.as_ref().unwrap().brokers.values();
        let counts: Vec<u32> = members.map(|member| member.replicas).collect();
        assert_eq!(counts, vec![12 / brokers; brokers as usize]);
    }
}

#[test]
fn three_to_five_to_three_moves_replicas_on_and_off() {
    let mut world = formed(3, VolumePolicy::Retain);
    assert!(add_topic(&mut world, "orders", 10, 3));
    converge(&mut world, &desired(5, VolumePolicy::Retain));
    assert_end(&world, 5);
    let counts: Vec<u32> =
        world.cluster.as_ref().unwrap().brokers.values().map(|m| m.replicas).collect();
    assert_eq!(counts, [6; 5], "everybody carries its share");
    converge(&mut world, &desired(3, VolumePolicy::Retain));
    assert_end(&world, 3);
    assert_eq!(world.disks.len(), 5, "the volumes of 4 and 5 are kept");
    // Their ids are wanted again: the retired directories are wiped first.
    let old = world.disks[&4].directory.clone();
    converge(&mut world, &desired(4, VolumePolicy::Retain));
    assert_end(&world, 4);
    assert_ne!(world.disks[&4].directory, old);
}

#[test]
fn the_operator_dies_after_every_single_step() {
    let mut world = World::new(5);
    for (brokers, topic) in [(3, "a"), (5, "b"), (3, "c"), (4, "d")] {
        let wanted = desired(brokers, VolumePolicy::Delete);
        for _ in 0..400 {
            pass(&mut world, &wanted, 1, false);
        }
        converge(&mut world, &wanted);
        assert_end(&world, brokers);
        add_topic(&mut world, topic, 3, 3);
    }
}

#[test]
fn a_size_below_a_topics_replication_is_refused_with_numbers() {
    let mut world = formed(3, VolumePolicy::Retain);
    assert!(add_topic(&mut world, "orders", 2, 3));
    let seen = world.observe(0);
    let refused = plan(&desired(2, VolumePolicy::Retain), &seen);
    assert_eq!(
        words(&refused),
        ["spec.replicas 2: topic orders has 3 replicas a partition; 2 brokers cannot carry them"]
    );
    assert_eq!(refused.steps, []);
    let refused = plan(&desired(0, VolumePolicy::Retain), &seen);
    assert_eq!(
        words(&refused),
        ["spec.replicas 0: a cluster has at least 1 broker; delete it instead"]
    );
}

#[test]
fn lost_brokers_leave_first() {
    let mut world = formed(5, VolumePolicy::Retain);
    for id in [1, 2] {
        world.running.remove(&id);
    }
    for _ in 0..20 {
        world.tick();
    }
    let seen = world.observe(0);
    let three = plan(&desired(3, VolumePolicy::Retain), &seen);
    assert_eq!(words(&three), Vec::<String>::new());
    assert!(three.steps.contains(&Step::Cordon { to: leader(&world), broker: 1 }), "{three:#?}");
}

fn leader(world: &World) -> u32 {
    broker_of(world.cluster.as_ref().unwrap().meta.leader.unwrap())
}

#[test]
fn a_shrink_is_taken_back_half_way() {
    let mut world = formed(5, VolumePolicy::Retain);
    assert!(add_topic(&mut world, "orders", 10, 3));
    for _ in 0..6 {
        pass(&mut world, &desired(3, VolumePolicy::Retain), usize::MAX, false);
    }
    assert!(world.cluster.as_ref().unwrap().brokers.values().any(|m| m.cordoned));
    converge(&mut world, &desired(5, VolumePolicy::Retain));
    assert_end(&world, 5);
}

#[test]
fn a_lost_disk_comes_back_as_a_new_incarnation() {
    let mut world = formed(3, VolumePolicy::Retain);
    assert!(add_topic(&mut world, "orders", 4, 3));
    let victim = leader(&world);
    let old = world.cluster.as_ref().unwrap().brokers[&victim].meta_peer;
    world.running.remove(&victim);
    world.disks.remove(&victim);
    converge(&mut world, &desired(3, VolumePolicy::Retain));
    assert_end(&world, 3);
    let cluster = world.cluster.as_ref().unwrap();
    assert!(cluster.groups().all(|g| !g.conf.contains(old)));
}

#[test]
fn a_cluster_whose_disks_are_all_gone_is_not_made_anew() {
    let mut world = formed(3, VolumePolicy::Retain);
    world.running.clear();
    world.disks.clear();
    let seen = world.observe(0);
    let refused = plan(&desired(3, VolumePolicy::Retain), &seen);
    assert_eq!(refused.steps, []);
    assert!(words(&refused)[0].contains("none of its 3 data directories is left"));
}

#[test]
fn all_brokers_down_come_back_whatever_the_manifest_says() {
    let mut world = formed(5, VolumePolicy::Retain);
    world.running.clear();
    let wanted = desired(3, VolumePolicy::Retain);
    let first = pass(&mut world, &wanted, usize::MAX, false);
    assert_eq!(first.steps, (1..=5).map(Step::Start).collect::<Vec<_>>());
    converge(&mut world, &wanted);
    assert_end(&world, 3);
}

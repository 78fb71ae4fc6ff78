//! The rate at which replicas catch up: told before anything moves, and left alone where the manifest
//! says nothing.

use chronik_plan::{Desired, Step, VolumePolicy, plan};

use crate::model::World;
use crate::properties::{converge, desired};
use crate::rules::quiet;

fn at(rate: u64, brokers: u32) -> Desired {
    Desired { catch_up_rate: Some(rate), ..desired(brokers, VolumePolicy::Delete) }
}

#[test]
fn only_a_rate_that_differs_is_told() {
    let mut seen = quiet(3);
    let told = [Step::SetCatchUpRate { to: 1, bytes_per_second: 5 }];
    assert_eq!(plan(&at(5, 3), &seen).steps, told, "there was no limit");
    for rate in [Some(5), Some(7)] {
        for node in seen.nodes.values_mut() {
            node.meta.as_mut().unwrap().catch_up_rate = rate;
        }
        let steps = plan(&at(5, 3), &seen).steps;
        assert_eq!(steps.is_empty(), rate == Some(5), "{steps:?}");
        let silent = plan(&desired(3, VolumePolicy::Delete), &seen);
        assert_eq!(silent.steps, [], "somebody else may have set it");
    }
}

#[test]
fn a_cluster_has_its_rate_before_it_grows() {
    let mut world = World::new(3);
    converge(&mut world, &at(5, 3));
    let seen = world.observe(0);
    let steps = plan(&at(9, 5), &seen).steps;
    assert!(steps.contains(&Step::SetCatchUpRate { to: 1, bytes_per_second: 9 }), "{steps:?}");
    converge(&mut world, &at(9, 5));
    assert_eq!(world.cluster.as_ref().unwrap().catch_up_rate, Some(9));
}

//! The whole pipeline over real gRPC, against the model cluster.

use chronik_operator::reconcile::{Pass, Reconciler};
use chronik_operator::side_effects::SideEffects;
use chronik_operator::table::table;
use chronik_operator::validate::Wanted;
use chronik_plan::VolumePolicy;

use crate::fleet::{Fleet, lock};
use crate::model::{World, address};

fn wanted(brokers: u32) -> Wanted {
    Wanted {
        name: "demo".into(),
        brokers,
        when_scaled: VolumePolicy::Delete,
        port: 31000,
        external_port: Some(31003),
        settings: Vec::new(),
        racks: Vec::new(),
        rack_label: Some("topology.kubernetes.io/zone".into()),
        paused: false,
        rolling: chronik_plan::Rolling::default(),
        catch_up_rate: None,
    }
}

/// Passes until the cluster is ready at this size.
async fn settle(reconciler: &mut Reconciler<Fleet>, brokers: u32) -> Pass {
    let mut last = String::new();
    for _ in 0..200 {
        let pass = reconciler.pass(&wanted(brokers)).await.unwrap();
        lock(&reconciler.platform.world).tick();
        if pass.status.phase == "Ready" {
            return pass;
        }
        last = format!("{pass:#?}");
    }
    panic!("not ready after 200 passes: {last}");
}

#[tokio::test]
async fn a_cluster_is_born_grows_shrinks_and_replaces_a_lost_disk() {
    let fleet = Fleet::new(World::new(7), 5).await;
    let mut reconciler = Reconciler::new(fleet, SideEffects::default());
    for brokers in [1, 3, 5, 3] {
        let pass = settle(&mut reconciler, brokers).await;
        assert!(pass.done.is_empty() && pass.status.errors.is_empty(), "{pass:?}");
        assert_eq!(pass.status.replicas, brokers as i32);
        let roles: Vec<&str> = pass.status.brokers.iter().map(|b| b.role.as_str()).collect();
        assert_eq!(roles.len(), brokers as usize);
        assert_eq!(roles.iter().filter(|r| **r == "Leader").count(), 1);
        assert!(roles.iter().all(|r| *r == "Leader" || *r == "Voter"), "{roles:?}");
        assert!(pass.status.brokers.iter().all(|b| b.state == "Member"));
        let told = pass.status.brokers.iter().map(|b| (b.id, b.external_address.clone()));
        let expected = (1..=brokers).map(|id| (id, address(id)));
        assert_eq!(Vec::from_iter(told), Vec::from_iter(expected));
    }
    {
        let mut world = lock(&reconciler.platform.world);
        assert!(world.can_lose(2));
        world.running.remove(&2);
        world.disks.remove(&2);
        world.tick();
    }
    let pass = reconciler.pass(&wanted(3)).await.unwrap();
    assert_eq!(pass.status.phase, "Working");
    settle(&mut reconciler, 3).await;
}

#[tokio::test]
async fn a_new_operator_takes_over_at_any_step() {
    let fleet = Fleet::new(World::new(11), 5).await;
    let mut reconciler = Reconciler::new(fleet, SideEffects::default());
    for brokers in [3, 5, 2] {
        for _ in 0..12 {
            reconciler.pass(&wanted(brokers)).await.unwrap();
            lock(&reconciler.platform.world).tick();
            reconciler = Reconciler::new(reconciler.platform, SideEffects::default());
        }
    }
    let pass = settle(&mut reconciler, 3).await;
    let shown = table(&pass.status).join("\n");
    assert!(shown.contains("BROKER") && shown.ends_with("Ready"), "{shown}");
}

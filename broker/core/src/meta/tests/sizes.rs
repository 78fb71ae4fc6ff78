//! Internal topics follow the number of brokers; large clusters are planned for in one go.

use super::*;
use crate::meta::placement::{PlaceError, drain, place, rebalance};

fn make(c: &mut Cluster, topic: u128, partitions: Vec<Vec<BrokerId>>, internal: bool) {
    let name = if internal { "__consumer_offsets".into() } else { format!("t{topic}") };
    let (id, configs) = (uuid(topic), BTreeMap::new());
    c.accept(&Command::CreateTopic { name, id, partitions, configs, internal });
}

fn cordon(c: &mut Cluster, id: u32, cordoned: bool) {
    c.accept(&Command::SetCordoned { broker: broker(id), cordoned });
}

fn targets(c: &Cluster, topic: u128) -> Vec<Vec<BrokerId>> {
    let of_topic = c.state.partitions().filter(|(id, _)| id.topic == uuid(topic));
    of_topic.map(|(_, p)| p.target_brokers().collect()).collect()
}

fn count<T: PartialEq>(items: impl Iterator<Item = T>, wanted: &T) -> usize {
    items.filter(|item| item == wanted).count()
}

fn replicas(c: &Cluster, topic: u128, id: u32) -> usize {
    count(targets(c, topic).into_iter().flatten(), &broker(id))
}

fn leads(c: &Cluster, topic: u128, id: u32) -> usize {
    count(targets(c, topic).iter().filter_map(|list| list.first()), &&broker(id))
}

fn carry_out(c: &mut Cluster, plan: Vec<(PartitionId, Vec<BrokerId>)>) {
    c.accept(&Command::SetTargets { targets: plan });
}

#[test]
fn an_internal_topic_shrinks_and_grows_with_the_cluster() {
    let mut c = cluster(3);
    let placed = place(&c.state, 16, 3).unwrap();
    make(&mut c, 10, placed, true);
    make(&mut c, 11, vec![brokers(&[3])], false);
    let topic = ConfigResource::Topic("__consumer_offsets".into());
    let changes = BTreeMap::from([("min.insync.replicas".to_owned(), Some("2".to_owned()))]);
    c.accept(&Command::SetConfigs { resource: topic, changes });
    assert_eq!(c.state.largest_replication(), Some(("t11", 1)), "the user's topic counts");
    assert_eq!(rebalance(&c.state), []);
    for (gone, left) in [(3, 2), (2, 1)] {
        cordon(&mut c, gone, true);
        let plan = drain(&c.state, broker(gone)).unwrap();
        carry_out(&mut c, plan);
        assert!(targets(&c, 10).iter().all(|list| list.len() == left));
        assert_eq!((replicas(&c, 10, gone), replicas(&c, 11, gone)), (0, 0));
    }
    assert_eq!(targets(&c, 11), [brokers(&[1])]);
    assert_eq!(rebalance(&c.state), []);
    cordon(&mut c, 2, false);
    let plan = rebalance(&c.state);
    carry_out(&mut c, plan);
    assert!(targets(&c, 10).iter().all(|list| list.len() == 2));
    cordon(&mut c, 3, false);
    let plan = rebalance(&c.state);
    carry_out(&mut c, plan);
    assert!(targets(&c, 10).iter().all(|list| list.len() == 3));
    let led = [1, 2, 3].map(|id| leads(&c, 10, id) + leads(&c, 11, id));
    assert!(led.iter().max().unwrap() - led.iter().min().unwrap() <= 1, "{led:?}");
    assert_eq!(rebalance(&c.state), []);
}

#[test]
fn an_internal_topic_has_no_more_than_three_replicas_and_never_none() {
    let mut c = cluster(5);
    let placed = place(&c.state, 16, 1).unwrap();
    make(&mut c, 10, placed, true);
    let plan = rebalance(&c.state);
    carry_out(&mut c, plan);
    assert!(targets(&c, 10).iter().all(|list| list.len() == 3));
    let mut c = cluster(1);
    make(&mut c, 10, vec![brokers(&[1])], true);
    assert!(matches!(
        drain(&c.state, broker(1)),
        Err(PlaceError::CannotKeepReplication { remain: 0, .. })
    ));
}

#[test]
fn a_broker_that_is_only_away_does_not_make_internal_topics_thinner() {
    let mut c = cluster(4);
    make(&mut c, 10, vec![brokers(&[1, 2, 3])], true);
    c.accept(&Command::SetFenced { broker: broker(4), directory: directory(4), fenced: true });
    cordon(&mut c, 3, true);
    let why = "topic \"__consumer_offsets\" has 3 replicas a partition, 3 brokers remain, 1 of them without a session";
    assert_eq!(drain(&c.state, broker(3)).unwrap_err().to_string(), why);
}

#[test]
fn many_groups_spread_over_new_brokers_in_as_few_moves_as_can_be() {
    let mut c = cluster(5);
    cordon(&mut c, 4, true);
    cordon(&mut c, 5, true);
    // One large topic, and many small ones.
    let large = place(&c.state, 4_000, 3).unwrap();
    make(&mut c, 10, large, false);
    for topic in 11..111 {
        let small = place(&c.state, 10, 3).unwrap();
        make(&mut c, topic, small, false);
    }
    cordon(&mut c, 4, false);
    cordon(&mut c, 5, false);
    let plan = rebalance(&c.state);
    let new = plan.iter().flat_map(|(_, list)| list).filter(|id| id.0 > 3).count();
    assert_eq!(new, 6_000, "3,000 replicas for each of the two, none for the others");
    carry_out(&mut c, plan);
    let (mut carried, mut led) = ([0; 5], [0; 5]);
    for (_, partition) in c.state.partitions() {
        for (place, broker) in partition.target_brokers().enumerate() {
            carried[broker.0 as usize - 1] += 1;
            led[broker.0 as usize - 1] += usize::from(place == 0);
        }
    }
    assert_eq!((carried, led), ([3_000; 5], [1_000; 5]));
    let of_large = [1, 2, 3, 4, 5].map(|id| replicas(&c, 10, id));
    assert_eq!(of_large, [2_400; 5], "each topic is spread, not only all of them together");
    assert_eq!(rebalance(&c.state), []);
}

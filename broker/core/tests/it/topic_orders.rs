//! The operator's orders about topics: idempotent, guarded by the topic's id, answered by any member,
//! and asked of the leader.

use std::collections::BTreeMap;

use chronik_core::admin::topic::{TopicDescription, TopicOrder};
use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::ids::{BrokerId, Uuid};

use crate::cluster::Cluster;
use crate::membership::three;

const OWNER: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

fn topic(
    cluster: &mut Cluster,
    to: BrokerId,
    order: TopicOrder,
) -> Result<TopicDescription, AdminError> {
    match cluster.order(to, AdminRequest::Topic(order))? {
        AdminResponse::Topic(topic) => Ok(topic),
        other => panic!("unexpected: {other:?}"),
    }
}

fn describe(cluster: &mut Cluster, name: &str) -> Result<TopicDescription, AdminError> {
    let controller = cluster.controller();
    topic(cluster, controller, TopicOrder::Describe { name: name.into() })
}

fn create(name: &str, owner: Uuid, partitions: u32, replicas: u32) -> TopicOrder {
    TopicOrder::Create {
        name: name.into(),
        owner,
        partitions: Some(partitions),
        replicas: Some(replicas),
        configs: BTreeMap::from([("retention.ms".into(), "1000".into())]),
    }
}

fn alter(id: Uuid, partitions: Option<u32>, configs: &[(&str, Option<&str>)]) -> TopicOrder {
    let configs = configs.iter().map(|(name, value)| ((*name).into(), value.map(str::to_owned)));
    TopicOrder::Alter { name: "t".into(), id, partitions, configs: configs.collect() }
}

fn follower(cluster: &mut Cluster) -> BrokerId {
    let leader = cluster.controller();
    *cluster.nodes.keys().find(|id| **id != leader).unwrap()
}

#[test]
fn a_topic_is_made_once_whoever_is_asked_how_often() {
    let mut cluster = three();
    let other = follower(&mut cluster);
    assert!(matches!(describe(&mut cluster, "t"), Err(AdminError::NotFound(_))));
    let made = topic(&mut cluster, other, create("t", OWNER, 2, 3)).unwrap();
    assert_eq!((made.partitions, made.replicas, made.internal), (2, 3, false));
    assert_eq!(made.configs["retention.ms"], "1000");
    assert_eq!(made.id.as_u128() >> 64, OWNER.as_u128() >> 64);
    let leader = cluster.controller();
    let again = topic(&mut cluster, leader, create("t", OWNER, 9, 1)).unwrap();
    assert_eq!(again, made, "what is there is answered");
    let owner = Uuid::from_u128(5 << 64);
    let refused = topic(&mut cluster, leader, create("t", owner, 2, 3)).unwrap_err();
    assert!(matches!(&refused, AdminError::Refused(why) if why.contains("exists")), "{refused}");
}

#[test]
fn only_the_leader_is_asked_what_there_is() {
    let mut cluster = three();
    let (other, leader) = (follower(&mut cluster), cluster.controller());
    let asked = topic(&mut cluster, other, TopicOrder::Describe { name: "t".into() });
    let expected = AdminError::NotLeader { what: "__meta".into(), leader: Some(leader) };
    assert_eq!(asked, Err(expected));
}

#[test]
fn a_topic_grows_and_its_configs_come_and_go() {
    let mut cluster = three();
    let other = follower(&mut cluster);
    let made = topic(&mut cluster, other, create("t", OWNER, 2, 3)).unwrap();
    let both = alter(made.id, Some(4), &[("retention.ms", None), ("flush.ms", Some("0"))]);
    for _ in 0..2 {
        let altered = topic(&mut cluster, other, both.clone()).unwrap();
        assert_eq!(altered.partitions, 4);
        assert_eq!(altered.configs, BTreeMap::from([("flush.ms".to_owned(), "0".to_owned())]));
    }
    let applied = cluster.describe(other).meta.unwrap().applied;
    for (order, word) in [
        (alter(made.id, Some(3), &[]), "can only grow"),
        (alter(made.id, None, &[("flush.ms", Some("soon"))]), "flush.ms cannot be \"soon\""),
        (alter(made.id, None, &[("no.such", Some("1"))]), "no.such"),
        (create("u", OWNER, 1, 4), "4"),
        (create("u!", OWNER, 1, 1), "u!"),
    ] {
        let refused = topic(&mut cluster, other, order).unwrap_err().to_string();
        assert!(refused.contains(word), "{refused:?} does not say {word:?}");
    }
    let after = describe(&mut cluster, "t").unwrap();
    assert_eq!((after.partitions, after.configs.len()), (4, 1));
    // The sessions of brokers write too, but not as much as refusals would have.
    let written = cluster.describe(other).meta.unwrap().applied - applied;
    assert!(written < 5, "{written} entries for nothing");
}

#[test]
fn an_outdated_id_changes_nothing() {
    let mut cluster = three();
    let other = follower(&mut cluster);
    let made = topic(&mut cluster, other, create("t", OWNER, 1, 3)).unwrap();
    let delete = |id| AdminRequest::Topic(TopicOrder::Delete { name: "t".into(), id });
    let outdated = Uuid::from_u128(77);
    for order in [AdminRequest::Topic(alter(outdated, Some(3), &[])), delete(outdated)] {
        let refused = cluster.order(other, order).unwrap_err();
        assert!(matches!(refused, AdminError::Stale(_)), "{refused}");
    }
    assert_eq!(describe(&mut cluster, "t").unwrap(), made);
    for _ in 0..2 {
        assert!(matches!(cluster.order(other, delete(made.id)), Ok(AdminResponse::Done)));
    }
    assert!(matches!(describe(&mut cluster, "t"), Err(AdminError::NotFound(_))));
    let late = topic(&mut cluster, other, alter(made.id, Some(3), &[]));
    assert!(matches!(late, Err(AdminError::NotFound(_))), "{late:?}");
    let next = topic(&mut cluster, other, create("t", OWNER, 1, 3)).unwrap();
    assert_ne!(next.id, made.id, "no id comes twice");
}

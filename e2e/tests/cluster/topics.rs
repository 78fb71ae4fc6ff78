//! The operator's orders about topics, sent to real brokers: any member takes them, only the leader
//! says what there is, and what Kafka clients see is the same topic.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use chronik_e2e::admin::proto::{AlterTopicRequest, CreateTopicRequest, Topic};
use chronik_e2e::admin::topics::{Answer, alter, create, delete, describe, leader_named};
use chronik_e2e::cluster::{Cluster, STALL};
use chronik_e2e::wait::{self, Look};
use tonic::Code;

use crate::scenario::{ensure, equal};
use crate::target::Target;

const OWNER: &str = "0123abcd-4567-489a-8bcd-ef0123456789";
const OTHER: &str = "ffff0000-4567-489a-8bcd-ef0123456789";
const NAME: &str = "ordered";

/// The peer addresses of the leader of `__meta`, and of another broker.
struct Brokers {
    leader: String,
    other: String,
}

impl Brokers {
    fn of(cluster: &Cluster) -> Result<Brokers> {
        let leader = cluster.meta_leader()?;
        let other = cluster.brokers().into_iter().find(|broker| broker.id != leader);
        let (leader, other) = (cluster.broker(leader)?.peer, other.context("a second broker")?);
        Ok(Brokers { leader, other: other.peer })
    }
}

fn asked(owner: &str, name: &str, replicas: u32) -> CreateTopicRequest {
    CreateTopicRequest {
        name: name.to_owned(),
        owner: owner.to_owned(),
        partitions: Some(2),
        replicas: Some(replicas),
        configs: HashMap::from([("retention.ms".to_owned(), "86400000".to_owned())]),
    }
}

fn altered(id: &str) -> AlterTopicRequest {
    AlterTopicRequest { name: NAME.into(), id: id.into(), ..AlterTopicRequest::default() }
}

fn done<T>(answer: Answer<T>) -> Result<T> {
    answer.map_err(|status| anyhow::anyhow!("refused: {status}"))
}

fn check_refused<T>(answer: Answer<T>, code: Code, word: &str) -> Result<()> {
    let Err(status) = answer else { bail!("{code:?} with {word:?} was expected") };
    equal("the code", status.code(), code)?;
    let words = status.message();
    ensure(words.contains(word), format!("{words:?} does not say {word:?}"))
}

#[test]
fn topics_are_ordered_by_the_operator() {
    let result = (|| -> Result<()> {
        let cluster = Cluster::start(3)?;
        let brokers = Brokers::of(&cluster)?;
        let target = Target::new(&cluster.bootstrap());
        let made = made(&cluster, &brokers)?;
        changed(&brokers, &target, &made)?;
        refused(&brokers, &made)?;
        deleted(&brokers, &target, &made)
    })();
    result.expect("topics are made, altered and deleted");
}

fn made(cluster: &Cluster, brokers: &Brokers) -> Result<Topic> {
    check_refused(describe(&brokers.leader, NAME)?, Code::NotFound, NAME)?;
    let Err(status) = describe(&brokers.other, NAME)? else { bail!("it does not lead") };
    equal("the code", status.code(), Code::Unavailable)?;
    equal("the leader named", leader_named(&status)?, cluster.meta_leader()?)?;
    let made = done(create(&brokers.other, asked(OWNER, NAME, 3))?)?;
    equal("partitions and replicas", (made.partitions, made.replicas), (2, 3))?;
    ensure(made.id.starts_with(&OWNER[..18]), format!("{} is not of {OWNER}", made.id))?;
    equal("a repetition", done(create(&brokers.leader, asked(OWNER, NAME, 3))?)?, made.clone())?;
    equal("the topic", done(describe(&brokers.leader, NAME)?)?, made.clone())?;
    Ok(made)
}

fn changed(brokers: &Brokers, target: &Target, made: &Topic) -> Result<()> {
    let request = AlterTopicRequest {
        partitions: Some(5),
        set: HashMap::from([("max.message.bytes".to_owned(), "2000000".to_owned())]),
        unset: vec!["retention.ms".to_owned()],
        ..altered(&made.id)
    };
    for address in [&brokers.other, &brokers.leader, &brokers.other] {
        let topic = done(alter(address, request.clone())?)?;
        equal("partitions", topic.partitions, 5)?;
        let expected = HashMap::from([("max.message.bytes".to_owned(), "2000000".to_owned())]);
        equal("configs", topic.configs, expected)?;
    }
    wait::until("five leaders, as clients see them", STALL, || {
        let leaders = target.leaders(NAME)?.len();
        if leaders == 5 { Ok(Look::Done(())) } else { wait::at(leaders) }
    })
}

fn refused(brokers: &Brokers, made: &Topic) -> Result<()> {
    let before = done(describe(&brokers.leader, NAME)?)?;
    let set = |name: &str, value: &str| AlterTopicRequest {
        set: HashMap::from([(name.to_owned(), value.to_owned())]),
        ..altered(&made.id)
    };
    for address in [&brokers.leader, &brokers.other] {
        let failed = Code::FailedPrecondition;
        check_refused(create(address, asked(OTHER, NAME, 3))?, failed, "exists already")?;
        check_refused(create(address, asked(OTHER, "wide", 4))?, failed, "4")?;
        check_refused(create(address, asked(OTHER, "a b", 3))?, Code::InvalidArgument, "a b")?;
        check_refused(create(address, asked("me", "t", 3))?, Code::InvalidArgument, "no uuid")?;
        let fewer = AlterTopicRequest { partitions: Some(2), ..altered(&made.id) };
        check_refused(alter(address, fewer)?, failed, "can only grow")?;
        let soon = set("retention.ms", "soon");
        check_refused(alter(address, soon)?, Code::InvalidArgument, "retention.ms")?;
        let unknown = set("no.such.config", "1");
        check_refused(alter(address, unknown)?, Code::InvalidArgument, "no.such.config")?;
        let more = AlterTopicRequest { partitions: Some(9), ..altered(OTHER) };
        check_refused(alter(address, more)?, Code::Aborted, &made.id)?;
        check_refused(delete(address, NAME, OTHER)?, Code::Aborted, &made.id)?;
        let nobody = AlterTopicRequest { name: "nobody".into(), ..altered(OTHER) };
        check_refused(alter(address, nobody)?, Code::NotFound, "nobody")?;
    }
    equal("the topic", done(describe(&brokers.leader, NAME)?)?, before)
}

fn deleted(brokers: &Brokers, target: &Target, made: &Topic) -> Result<()> {
    for address in [&brokers.other, &brokers.leader, &brokers.other] {
        done(delete(address, NAME, &made.id)?)?;
    }
    check_refused(describe(&brokers.leader, NAME)?, Code::NotFound, NAME)?;
    wait::until("its end, as clients see it", STALL, || {
        let answer = target.metadata(9, Some(&[NAME]), false)?;
        let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
        if codes == [3] { Ok(Look::Done(())) } else { wait::at(codes) }
    })?;
    let again = done(create(&brokers.leader, asked(OWNER, NAME, 3))?)?;
    ensure(again.id != made.id, "an id came twice")
}

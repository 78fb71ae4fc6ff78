//! One topic: rule by rule, and against a model in which the operator dies after any step.

use std::collections::{BTreeMap, BTreeSet};

use chronik_plan::topic::{
    ClusterSeen, TopicPlan, TopicPolicy, TopicSeen, TopicStep, TopicWanted, is_made_for, plan,
};
use proptest::prelude::*;

const OWNER: &str = "0123abcd-4567-489a-8bcd-ef0123456789";
const OURS: &str = "0123abcd-4567-489a-9000-000000000001";
const OTHERS: &str = "ffff0000-4567-489a-9000-000000000001";

fn configs(set: &[(&str, &str)]) -> BTreeMap<String, String> {
    set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn wanted() -> TopicWanted {
    TopicWanted {
        name: "orders".into(),
        owner: OWNER.into(),
        partitions: Some(6),
        replicas: Some(3),
        configs: configs(&[("retention.ms", "1000")]),
        policy: TopicPolicy::Retain,
        adopt: false,
        is_deleted: false,
        is_held: false,
        claimed: BTreeSet::from(["retention.ms".to_owned()]),
        older: None,
    }
}

fn seen(id: &str) -> TopicSeen {
    TopicSeen {
        id: id.into(),
        partitions: 6,
        replicas: 3,
        configs: configs(&[("retention.ms", "1000")]),
        is_internal: false,
    }
}

fn has(topic: TopicSeen) -> ClusterSeen {
    ClusterSeen::Answers(Some(topic))
}

fn kinds(plan: &TopicPlan) -> Vec<&'static str> {
    plan.steps.iter().map(TopicStep::kind).collect()
}

fn check(wanted: &TopicWanted, cluster: &ClusterSeen, steps: &[&str], refused: &str) {
    let plan = plan(wanted, cluster);
    assert_eq!(kinds(&plan), steps, "{plan:?}");
    let told: Vec<String> = plan.refused.iter().map(ToString::to_string).collect();
    let told = told.join("; ");
    assert_eq!(told.is_empty(), refused.is_empty(), "{told}");
    assert!(told.contains(refused), "{told:?} does not say {refused:?}");
}

#[test]
fn whose_a_topic_is_stands_in_its_id() {
    assert!(is_made_for(OURS, OWNER));
    assert!(is_made_for(&OURS.to_uppercase(), OWNER));
    assert!(!is_made_for(OTHERS, OWNER));
    assert!(!is_made_for("", ""));
}

#[test]
fn a_topic_that_is_as_asked_is_left_alone() {
    check(&wanted(), &has(seen(OURS)), &[], "");
    assert!(plan(&wanted(), &has(seen(OURS))).is_ours);
    let blanks = TopicWanted { configs: configs(&[("retention.ms", " 1000 ")]), ..wanted() };
    check(&blanks, &has(seen(OURS)), &[], "");
    let as_it_is = TopicWanted { partitions: None, replicas: None, ..wanted() };
    check(&as_it_is, &has(seen(OURS)), &[], "");
}

#[test]
fn a_topic_is_made_after_its_finalizer_and_its_claim() {
    check(&wanted(), &ClusterSeen::Answers(None), &["TopicCreate"], "");
    let new = TopicWanted { policy: TopicPolicy::Delete, claimed: BTreeSet::new(), ..wanted() };
    let steps = ["TopicHold", "TopicClaim", "TopicCreate"];
    check(&new, &ClusterSeen::Answers(None), &steps, "");
    check(&new, &ClusterSeen::Silent("no leader".into()), &[], "");
    check(&new, &ClusterSeen::Gone("no cluster".into()), &[], "");
    assert_eq!(
        plan(&new, &ClusterSeen::Silent("no leader".into())).waiting.as_deref(),
        Some("no leader")
    );
}

#[test]
fn what_drifted_is_put_right_and_what_was_taken_out_goes_back() {
    let drifted =
        TopicSeen { configs: configs(&[("retention.ms", "5"), ("flush.ms", "0")]), ..seen(OURS) };
    let changes = |steps: &[TopicStep]| match steps {
        [TopicStep::Configure { id, changes }] if id == OURS => changes.clone(),
        other => panic!("{other:?}"),
    };
    let set = plan(&wanted(), &has(drifted.clone()));
    let expected = BTreeMap::from([("retention.ms".to_owned(), Some("1000".to_owned()))]);
    assert_eq!(changes(&set.steps), expected, "a config that nobody named here is left alone");
    let without = TopicWanted { configs: BTreeMap::new(), ..wanted() };
    let expected = BTreeMap::from([("retention.ms".to_owned(), None)]);
    assert_eq!(changes(&plan(&without, &has(drifted)).steps), expected);
    let clean = TopicSeen { configs: BTreeMap::new(), ..seen(OURS) };
    check(&without, &has(clean), &["TopicClaim"], "");
}

#[test]
fn what_kafka_cannot_do_is_refused_and_the_rest_is_done() {
    let fewer = TopicWanted { partitions: Some(2), ..wanted() };
    check(&fewer, &has(seen(OURS)), &[], "spec.partitions 2: the topic has 6 partitions");
    let thinner = TopicWanted { replicas: Some(1), partitions: Some(9), ..wanted() };
    check(&thinner, &has(seen(OURS)), &["TopicGrow"], "spec.replicas 1: the topic has 3 replicas");
}

#[test]
fn another_ones_topic_is_taken_over_only_when_asked() {
    let other = TopicSeen { partitions: 4, ..seen(OTHERS) };
    check(&wanted(), &has(other.clone()), &[], "it differs: 4 partitions, not 6");
    check(&wanted(), &has(seen(OTHERS)), &[], "it is as this one asks for");
    let adopting = TopicWanted { adopt: true, ..wanted() };
    check(&adopting, &has(other), &["TopicGrow"], "");
    let internal = TopicSeen { is_internal: true, ..seen(OTHERS) };
    check(&adopting, &has(internal), &[], "the cluster's own");
    let younger = TopicWanted { older: Some("first".into()), ..adopting };
    check(&younger, &has(seen(OTHERS)), &[], "ChronikTopic first is older");
}

#[test]
fn the_policy_decides_about_the_finalizer_and_the_end() {
    let delete = TopicWanted { policy: TopicPolicy::Delete, ..wanted() };
    check(&delete, &has(seen(OURS)), &["TopicHold"], "");
    let held = TopicWanted { is_held: true, ..delete.clone() };
    check(&held, &has(seen(OURS)), &[], "");
    check(&TopicWanted { is_held: true, ..wanted() }, &has(seen(OURS)), &["TopicRelease"], "");
    let ended = TopicWanted { is_deleted: true, ..held };
    check(&ended, &has(seen(OURS)), &["TopicDelete", "TopicRelease"], "");
    check(&ended, &ClusterSeen::Answers(None), &["TopicRelease"], "");
    check(&ended, &ClusterSeen::Gone("going".into()), &["TopicRelease"], "");
    check(&ended, &ClusterSeen::Silent("no leader".into()), &[], "");
    check(&ended, &has(seen(OTHERS)), &["TopicRelease"], "");
    let adopted = TopicWanted { adopt: true, ..ended.clone() };
    check(&adopted, &has(seen(OTHERS)), &["TopicDelete", "TopicRelease"], "");
    let younger = TopicWanted { older: Some("first".into()), ..ended.clone() };
    check(&younger, &has(seen(OURS)), &["TopicRelease"], "");
    let kept = TopicWanted { policy: TopicPolicy::Retain, ..ended };
    check(&kept, &has(seen(OURS)), &["TopicRelease"], "");
    let unheld = TopicWanted { is_held: false, ..kept };
    check(&unheld, &has(seen(OURS)), &[], "");
}

/// The object and the topic, as they are outside of the operator.
#[derive(Debug, Clone)]
struct World {
    object: TopicWanted,
    topic: Option<TopicSeen>,
    is_gone: bool,
    made: u32,
}

impl World {
    fn perform(&mut self, step: &TopicStep) {
        match step {
            TopicStep::Hold => self.object.is_held = true,
            TopicStep::Release => {
                self.object.is_held = false;
                self.is_gone = self.object.is_deleted;
            }
            TopicStep::Claim(names) => self.object.claimed.clone_from(names),
            TopicStep::Create { partitions, replicas, configs } => {
                assert!(self.topic.is_none());
                // Nothing is made that the object could not be held for, or not be told to unset.
                assert!(self.object.is_held || self.object.policy == TopicPolicy::Retain);
                assert!(configs.keys().all(|name| self.object.claimed.contains(name)));
                self.made += 1;
                self.topic = Some(TopicSeen {
                    id: format!("{}-9000-{:012}", &OWNER[..18], self.made),
                    partitions: partitions.unwrap_or(1),
                    replicas: replicas.unwrap_or(3),
                    configs: configs.clone(),
                    is_internal: false,
                });
            }
            TopicStep::Grow { id, from, to } => {
                let topic = self.topic.as_mut().filter(|topic| topic.id == *id).unwrap();
                assert!(topic.partitions == *from && from < to);
                topic.partitions = *to;
            }
            TopicStep::Configure { id, changes } => {
                let topic = self.topic.as_mut().filter(|topic| topic.id == *id).unwrap();
                for (name, value) in changes {
                    match value {
                        Some(value) => {
                            assert!(self.object.claimed.contains(name));
                            topic.configs.insert(name.clone(), value.clone());
                        }
                        None => drop(topic.configs.remove(name)),
                    }
                }
            }
            TopicStep::Delete { id } => {
                assert!(self.topic.take().is_some_and(|topic| topic.id == *id));
                assert!(self.object.is_deleted && self.object.policy == TopicPolicy::Delete);
            }
        }
    }

    /// Passes of operators that die after so many steps each; the last one lives.
    fn run(&mut self, deaths: &[usize]) -> TopicPlan {
        for after in deaths.iter().copied().chain([usize::MAX; 4]) {
            let plan = plan(&self.object, &ClusterSeen::Answers(self.topic.clone()));
            for step in plan.steps.iter().take(after) {
                self.perform(step);
            }
        }
        plan(&self.object, &ClusterSeen::Answers(self.topic.clone()))
    }
}

prop_compose! {
    fn edits()(
        partitions in proptest::option::of(1..5_u32),
        set in proptest::collection::btree_map("[abc]", "[12]", 0..3),
        deletes in any::<bool>(),
        adopt in any::<bool>(),
    ) -> TopicWanted {
        let policy = if deletes { TopicPolicy::Delete } else { TopicPolicy::Retain };
        TopicWanted { partitions, configs: set, policy, adopt, replicas: None, ..wanted() }
    }
}

proptest! {
    #[test]
    fn it_converges_whatever_step_an_operator_dies_after(
        foreign in any::<bool>(),
        strange in proptest::collection::btree_map("[cd]", "[12]", 0..2),
        rounds in proptest::collection::vec((edits(), proptest::collection::vec(0..4_usize, 0..4)), 1..5),
        ends in proptest::collection::vec(0..3_usize, 0..3),
        is_lost in any::<bool>(),
    ) {
        let topic = foreign.then(|| TopicSeen { partitions: 3, configs: strange.clone(), ..seen(OTHERS) });
        let object = TopicWanted { claimed: BTreeSet::new(), ..wanted() };
        let mut world = World { object, topic, is_gone: false, made: 0 };
        for (asked, deaths) in rounds {
            if is_lost {
                world.object.claimed.clear();
            }
            let (claimed, is_held) = (world.object.claimed.clone(), world.object.is_held);
            let before = world.topic.clone();
            world.object = TopicWanted { claimed, is_held, ..asked };
            let last = world.run(&deaths);
            prop_assert!(last.steps.is_empty(), "{last:?}");
            prop_assert!(last.waiting.is_none());
            let (object, topic) = (&world.object, world.topic.as_ref().unwrap());
            if foreign && !object.adopt {
                prop_assert!(!last.is_ours && last.refused.len() == 1);
                prop_assert_eq!(before.as_ref(), Some(topic), "another's topic was touched");
                continue;
            }
            prop_assert!(last.is_ours);
            prop_assert_eq!(object.is_held, object.policy == TopicPolicy::Delete);
            let names: BTreeSet<String> = object.configs.keys().cloned().collect();
            prop_assert_eq!(&object.claimed, &names);
            for (name, value) in &object.configs {
                prop_assert_eq!(topic.configs.get(name), Some(value));
            }
            if !is_lost && !foreign {
                prop_assert_eq!(&topic.configs, &object.configs, "a config was left behind");
            }
            let shrinks = object.partitions.is_some_and(|asked| asked < topic.partitions);
            prop_assert_eq!(shrinks, !last.refused.is_empty());
        }
        let (policy, is_mine) = (world.object.policy, !foreign || world.object.adopt);
        let was_held = world.object.is_held;
        world.object.is_deleted = true;
        world.is_gone = !was_held;
        if was_held {
            world.run(&ends);
        }
        prop_assert!(world.is_gone);
        let goes = policy == TopicPolicy::Delete && is_mine;
        prop_assert_eq!(world.topic.is_none(), goes);
        prop_assert!(world.made <= 1);
    }
}

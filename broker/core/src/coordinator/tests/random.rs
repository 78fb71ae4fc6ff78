//! Random clients, records that are applied late, dropped or lost with their leader: replicas agree,
//! a generation has one assignment, and offsets go back only by a later commit.

use proptest::prelude::*;

use super::offsets::commit;
use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    JoinNew(i16),
    JoinStatic(u8),
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Disconnect(usize),
    Commit(usize, i64),
    Delete,
    Wait(u64),
    ApplyOne,
    DropAll,
    FailOver,
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..=9i16).prop_map(Step::JoinNew),
        1 => (0..2u8).prop_map(Step::JoinStatic),
        6 => (0..8usize).prop_map(Step::Join),
        8 => (0..8usize).prop_map(Step::Sync),
        2 => (0..8usize).prop_map(Step::Heartbeat),
        1 => (0..8usize).prop_map(Step::Leave),
        1 => (0..8usize).prop_map(Step::Disconnect),
        4 => (0..8usize, 0..100i64).prop_map(|(m, o)| Step::Commit(m, o)),
        1 => Just(Step::Delete),
        4 => (1..9_000u64).prop_map(Step::Wait),
        12 => Just(Step::ApplyOne),
        1 => Just(Step::DropAll),
        1 => Just(Step::FailOver),
    ]
}

/// What the clients have been told.
#[derive(Default)]
struct Seen {
    /// Member ids, with the last generation and whether they lead it.
    members: Vec<(String, Option<String>, i32, bool)>,
    asked: BTreeMap<Token, usize>,
    /// The assignment that was served, by life of the group, generation and member.
    assignments: BTreeMap<(u64, i32, String), Bytes>,
    syncs: u64,
    lives: u64,
}

impl Seen {
    fn member(&self, n: usize) -> Option<(String, Option<String>, i32, bool)> {
        self.members.get(n % self.members.len().max(1)).cloned()
    }

    fn look(&mut self, w: &mut World) -> Result<(), TestCaseError> {
        for (token, response) in std::mem::take(&mut w.replies) {
            let who = self.asked.remove(&token);
            match response {
                GroupResponse::Join(r) if r.error_code == 0 => {
                    let leads = r.leader == r.member_id && !r.skip_assignment;
                    let id = r.member_id.to_string();
                    if let Some(known) = self.members.iter_mut().find(|m| m.0 == id) {
                        (known.2, known.3) = (r.generation_id, leads);
                    } else {
                        self.members.push((id, None, r.generation_id, leads));
                    }
                }
                GroupResponse::Join(r) if r.error_code == 79 => {
                    self.members.push((r.member_id.to_string(), None, -1, false));
                }
                GroupResponse::Sync(r) if r.error_code == 0 => {
                    let (id, _, generation, _) = self.member(who.unwrap()).unwrap();
                    let key = (self.lives, generation, id);
                    let first = self.assignments.entry(key).or_insert(r.assignment.clone());
                    prop_assert_eq!(&*first, &r.assignment);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn step(w: &mut World, seen: &mut Seen, step: Step) {
    match step {
        Step::JoinNew(version) => {
            w.ask(version, join(""));
        }
        Step::JoinStatic(n) => {
            w.ask(9, join_static("", &format!("static-{n}")));
        }
        Step::Join(n) => {
            if let Some((id, ..)) = seen.member(n) {
                w.join(&id);
            }
        }
        Step::Sync(n) => {
            let Some((id, _, generation, leads)) = seen.member(n) else { return };
            // Each time another assignment, so that a second one would be seen.
            seen.syncs += 1;
            let value = format!("{}", seen.syncs);
            let all: Vec<(&str, &str)> =
                seen.members.iter().map(|m| (m.0.as_str(), value.as_str())).collect();
            let token = w.sync(&id, generation, if leads { &all } else { &[] });
            seen.asked.insert(token, n % seen.members.len());
        }
        Step::Heartbeat(n) => {
            if let Some((id, _, generation, _)) = seen.member(n) {
                w.heartbeat(&id, generation);
            }
        }
        Step::Leave(n) => {
            if let Some((id, ..)) = seen.member(n) {
                w.leave(&id, None);
            }
        }
        Step::Disconnect(n) => {
            let open: Vec<Token> = w.asked.keys().rev().take(8).copied().collect();
            if let Some(token) = open.get(n) {
                w.open.remove(token);
                let effects = w.coordinator.disconnected(w.now(), token.conn);
                w.carry_out(effects);
            }
        }
        Step::Commit(n, offset) => {
            if let Some((id, _, generation, _)) = seen.member(n) {
                w.ask(9, GroupRequest::Commit(commit(&id, generation, &[(0, offset)])));
            }
        }
        Step::Delete => {
            w.ask(2, GroupRequest::Delete(group_id()));
        }
        Step::Wait(ms) => {
            w.ms += ms;
            let effects = w.coordinator.tick(w.now());
            w.carry_out(effects);
        }
        Step::ApplyOne => {
            if !w.proposed.is_empty() {
                w.apply_one();
            }
        }
        Step::DropAll => {
            for record in std::mem::take(&mut w.proposed) {
                let effects = w.coordinator.dropped(w.now(), record).unwrap();
                w.carry_out(effects);
            }
        }
        Step::FailOver => w.fail_over(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn whatever_happens(steps in prop::collection::vec(a_step(), 1..200)) {
        let mut w = World::with(GroupConfig { initial_rebalance_delay_ms: 100, ..config() });
        let mut seen = Seen::default();
        let mut offset = -1;
        for s in steps {
            let applied = w.log.len();
            let generation = w.coordinator.groups.get(G).map_or(0, |g| g.generation);
            step(&mut w, &mut seen, s);
            seen.look(&mut w)?;
            let group = w.coordinator.groups.get(G);
            let now = group.map_or(0, |g| g.generation);
            if now < generation {
                // Deleted: a new life of the group.
                seen.lives += 1;
                prop_assert_eq!(now, 0);
            }
            prop_assert!(now <= generation + 1);
            let committed = w.committed(0);
            prop_assert!(committed == offset || w.log.len() > applied);
            offset = committed;
        }
        // Left alone for long enough, every request gets its answer.
        w.apply();
        w.wait(600_000);
        seen.look(&mut w)?;
        prop_assert_eq!(&w.open, &BTreeSet::new());
        prop_assert!(w.coordinator.leader.as_ref().unwrap().live.is_empty());
        w.fail_over();
    }
}

//! A member of a consumer group: finds its coordinator, joins, gets its part (or gives all theirs,
//! if it leads), reads on from what is committed, sends heartbeats and commits; it leaves, or dies
//! without a word, and comes back as somebody new.

use std::collections::BTreeMap;

use chronik_core::error::KafkaError;
use chronik_core::ids::{BrokerId, Offset};
use chronik_core::wire::ResponseBody;
use kafka_protocol::messages::{JoinGroupResponse, OffsetCommitResponse};

use super::ask::{self, topic_name};
use super::group_ask::{self, Identity};
use super::{Action, Came, Env, error_of};
use crate::invariants::Violation;
use crate::options::Options;

/// In a million rounds of work.
const LEAVES: u64 = 25_000;
const DIES: u64 = 25_000;
/// In a million new parts: it reads again what it has read before.
const SEEKS_BACK: u64 = 150_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It does not know how many partitions there are.
    New,
    Finding,
    Joining,
    Syncing,
    /// It has its part, and does not know where to go on.
    Resuming,
    Working,
    Leaving,
}

#[derive(Debug)]
pub(super) struct Member {
    number: u64,
    topic: String,
    me: Identity,
    state: State,
    partitions: Vec<i32>,
    coordinator: Option<BrokerId>,
    /// What it assigns, if it leads.
    parts: Vec<(String, Vec<i32>)>,
    positions: BTreeMap<i32, Offset>,
    /// What it is committing: partition, offset, number.
    committing: Vec<(i32, Offset, u64)>,
    commits: u64,
    /// When the last request was sent.
    sent: u64,
    /// When it last committed.
    served: u64,
    last: Option<String>,
}

impl Member {
    pub(super) fn new(n: u32, options: &Options) -> Member {
        let number = u64::from(n);
        let group = number % u64::from(options.workload.groups.max(1));
        Member {
            number,
            topic: topic_name(group % u64::from(options.topics)),
            me: Identity { group: format!("g{group}"), ..Identity::default() },
            state: State::New,
            partitions: Vec::new(),
            coordinator: None,
            parts: Vec::new(),
            positions: BTreeMap::new(),
            committing: Vec::new(),
            commits: 0,
            sent: 0,
            served: 0,
            last: None,
        }
    }

    /// Whether it got nothing done since `since`.
    pub(super) fn stuck(&self, since: u64) -> Option<String> {
        (self.served <= since).then(|| {
            let Member { number, state, last, .. } = self;
            format!("member {number} of {} is {state:?}: {last:?}", self.me.group)
        })
    }

    pub(super) fn next(&mut self, env: &mut Env<'_>, came: Came) -> Result<Action, Violation> {
        let answer = match came {
            Came::Time => return Ok(self.ask(env)),
            Came::Unknown => {
                self.last = Some("unknown".to_owned());
                // Its coordinator may be another one by now; whether it has left, nobody knows.
                if self.state == State::Leaving {
                    self.begin_anew();
                }
                return Ok(self.look_again(env));
            }
            Came::Answer(answer) => answer,
        };
        match answer {
            ResponseBody::FindCoordinator(answer) => {
                let found = answer.coordinators.first().filter(|found| found.error_code == 0);
                self.coordinator =
                    found.and_then(|found| u32::try_from(found.node_id.0).ok()).map(BrokerId);
                if self.coordinator.is_none() {
                    return Ok(self.look_again(env));
                }
                if self.state == State::Finding {
                    self.state = State::Joining;
                }
                Ok(Action::Sleep(1))
            }
            ResponseBody::JoinGroup(answer) => self.joined(env, &answer),
            ResponseBody::SyncGroup(answer) => match error_of(answer.error_code) {
                Some(error) => self.refused(env, error),
                None => {
                    let part = group_ask::decode_part(&answer.assignment);
                    let Identity { group, member, generation } = &self.me;
                    let owners = &mut env.checks.owners;
                    owners.assigned(group, *generation, member, &part, env.now)?;
                    env.coverage.count("parts of groups");
                    self.positions = part.into_iter().map(|partition| (partition, 0)).collect();
                    self.state = State::Resuming;
                    Ok(Action::Sleep(1))
                }
            },
            ResponseBody::OffsetFetch(answer) => match group_ask::fetched_offsets(&answer) {
                Ok(offsets) => self.resume(env, offsets),
                Err(code) => {
                    self.refused(env, error_of(code).unwrap_or(KafkaError::NotCoordinator))
                }
            },
            ResponseBody::OffsetCommit(answer) => self.committed(env, &answer),
            ResponseBody::Heartbeat(answer) => match error_of(answer.error_code) {
                Some(error) => self.refused(env, error),
                None => {
                    if self.positions.is_empty() {
                        // One without a part has nothing to commit.
                        self.served = env.now;
                    }
                    Ok(Action::Sleep(env.rng.range(100_000, 1_500_000)))
                }
            },
            ResponseBody::LeaveGroup(_) => {
                self.begin_anew();
                Ok(Action::Sleep(env.rng.range(100_000, 5_000_000)))
            }
            answer => {
                if let Some(leaders) = ask::leaders(&answer) {
                    self.partitions = leaders.partitions.into_keys().collect();
                    self.state = State::Finding;
                }
                Ok(Action::Sleep(env.rng.range(10_000, 300_000)))
            }
        }
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Action {
        self.sent = env.now;
        if self.state == State::New {
            return ask::metadata(env.any_broker(), &self.topic);
        }
        let Some(to) = self.coordinator else {
            return group_ask::find_coordinator(env.any_broker(), &self.me.group);
        };
        match self.state {
            State::New | State::Finding => {
                group_ask::find_coordinator(env.any_broker(), &self.me.group)
            }
            State::Joining => group_ask::join(to, &self.me, &self.topic),
            State::Syncing => group_ask::sync(to, &self.me, &self.parts),
            State::Resuming => {
                let partitions: Vec<i32> = self.positions.keys().copied().collect();
                group_ask::fetch_offsets(to, &self.me, &self.topic, &partitions)
            }
            State::Working => self.work(env, to),
            State::Leaving => group_ask::leave(to, &self.me),
        }
    }

    fn work(&mut self, env: &mut Env<'_>, to: BrokerId) -> Action {
        if env.rng.chance(DIES) {
            env.coverage.count("members that died");
            self.begin_anew();
            return Action::Sleep(env.rng.range(1_000_000, 10_000_000));
        }
        if env.rng.chance(LEAVES) {
            env.coverage.count("members that left");
            self.state = State::Leaving;
            return group_ask::leave(to, &self.me);
        }
        if self.positions.is_empty() || env.rng.chance(400_000) {
            return group_ask::heartbeat(to, &self.me);
        }
        if env.rng.chance(150_000) {
            self.state = State::Resuming;
            return Action::Sleep(1);
        }
        self.committing.clear();
        for (partition, position) in &mut self.positions {
            *position += i64::try_from(env.rng.range(1, 9)).unwrap_or(1);
            self.commits += 1;
            let number = self.number << 32 | self.commits;
            self.committing.push((*partition, *position, number));
            let offsets = &mut env.checks.offsets;
            offsets.sent(&self.me.group, *partition, (*position, number), env.now);
        }
        group_ask::commit(to, &self.me, &self.topic, &self.committing)
    }

    fn joined(
        &mut self,
        env: &mut Env<'_>,
        answer: &JoinGroupResponse,
    ) -> Result<Action, Violation> {
        match error_of(answer.error_code) {
            Some(KafkaError::MemberIdRequired) => {
                self.me.member = answer.member_id.to_string();
                Ok(Action::Sleep(1))
            }
            Some(error) => self.refused(env, error),
            None => {
                self.me.member = answer.member_id.to_string();
                self.me.generation = answer.generation_id;
                let leader = answer.leader.as_str();
                env.checks.owners.joined(&self.me.group, self.me.generation, leader)?;
                self.parts.clear();
                if leader == self.me.member {
                    env.coverage.count("generations");
                    self.parts =
                        answer.members.iter().map(|m| (m.member_id.to_string(), vec![])).collect();
                    let count = self.parts.len().max(1);
                    for (n, partition) in self.partitions.iter().enumerate() {
                        if let Some((_, part)) = self.parts.get_mut(n % count) {
                            part.push(*partition);
                        }
                    }
                }
                self.state = State::Syncing;
                Ok(Action::Sleep(env.rng.skewed(100, 200_000)))
            }
        }
    }

    fn resume(
        &mut self,
        env: &mut Env<'_>,
        offsets: Vec<(i32, Option<(Offset, u64)>)>,
    ) -> Result<Action, Violation> {
        for (partition, seen) in offsets {
            env.checks.offsets.fetched(&self.me.group, partition, seen, self.sent)?;
            env.coverage.count("offsets fetched");
            let Some(position) = self.positions.get_mut(&partition) else { continue };
            *position = seen.map_or(0, |(offset, _)| offset);
            if env.rng.chance(SEEKS_BACK) {
                *position = (*position - 5).max(0);
            }
        }
        self.state = State::Working;
        Ok(Action::Sleep(env.rng.range(1_000, 500_000)))
    }

    fn committed(
        &mut self,
        env: &mut Env<'_>,
        answer: &OffsetCommitResponse,
    ) -> Result<Action, Violation> {
        if let Some(error) = error_of(group_ask::committed(answer)) {
            return self.refused(env, error);
        }
        env.checks.owners.committed(&self.me.group, self.me.generation, self.sent)?;
        for (partition, offset, number) in self.committing.drain(..) {
            env.checks.offsets.acked(&self.me.group, partition, (offset, number), env.now);
            env.coverage.count("offsets committed");
        }
        self.served = env.now;
        Ok(Action::Sleep(env.rng.range(50_000, 1_500_000)))
    }

    fn refused(&mut self, env: &mut Env<'_>, error: KafkaError) -> Result<Action, Violation> {
        self.last = Some(format!("{error:?} while {:?}", self.state));
        match error {
            KafkaError::UnknownMemberId => {
                env.coverage.count("members fenced");
                self.begin_anew();
                Ok(Action::Sleep(env.rng.range(1_000, 100_000)))
            }
            KafkaError::IllegalGeneration | KafkaError::RebalanceInProgress => {
                self.state = State::Joining;
                Ok(Action::Sleep(env.rng.range(1_000, 100_000)))
            }
            error if error.retriable() => Ok(self.look_again(env)),
            error => Err(Violation {
                invariant: "errors are retriable",
                what: format!(
                    "member {} of {} was told {error:?} while {:?}",
                    self.number, self.me.group, self.state
                ),
            }),
        }
    }

    fn begin_anew(&mut self) {
        self.me.member.clear();
        self.me.generation = 0;
        self.positions.clear();
        self.state = State::New;
    }

    /// Finds its coordinator, and goes on where it was.
    fn look_again(&mut self, env: &mut Env<'_>) -> Action {
        env.coverage.count("retries");
        self.coordinator = None;
        Action::Sleep(env.rng.range(20_000, 300_000))
    }
}

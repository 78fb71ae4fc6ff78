//! The operator of the world: the real plan, fed with real answers, carried out step by step. It
//! can die after any step; what it knew dies with it. The platform under it are the world's nodes.

mod convert;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chronik_core::admin::{AdminError, AdminRequest, AdminResponse, Description};
use chronik_core::core::input::Input;
use chronik_core::ids::{BrokerId, Uuid};
use chronik_plan::{Desired, Observed, Process, Rolling, Step, VolumePolicy};

use crate::event::{Event, Life};
use crate::node::Death;
use crate::world::World;

const DESCRIBE_MAX: u64 = 700_000;
const STEP_MAX: u64 = 3_000_000;

/// The operator.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) desired: Desired,
    /// Answers of brokers prove that the cluster was formed; kept, as in the status of production.
    formed: bool,
    rebalanced_at: Option<BTreeMap<u32, u32>>,
    /// Each wait has a number; what comes for an older one is too late.
    turn: u64,
    tokens: u64,
    pass: Pass,
    /// The last plan had nothing to do.
    pub(crate) converged: bool,
    /// What the last plan waited for, refused or did, for a report.
    pub(crate) last: String,
    /// A broker that lost its disk and is not replaced yet.
    pub(crate) lost: Option<BrokerId>,
    /// Brokers that were stopped for good.
    stopped: BTreeSet<BrokerId>,
}

#[derive(Debug)]
enum Pass {
    Idle,
    Looking { asked: BTreeMap<u64, BrokerId>, answers: BTreeMap<BrokerId, Description> },
    Acting { steps: VecDeque<Step>, waits_for: Option<u64> },
}

impl Operator {
    pub(crate) fn new(brokers: u32) -> Operator {
        Operator {
            desired: Desired {
                cluster_id: "sim".to_owned(),
                brokers,
                when_scaled: VolumePolicy::Retain,
                rolling: Rolling::default(),
                platform_racks: false,
                platform_addresses: false,
            },
            formed: false,
            rebalanced_at: None,
            turn: 0,
            tokens: 0,
            pass: Pass::Idle,
            converged: false,
            last: String::new(),
            lost: None,
            stopped: BTreeSet::new(),
        }
    }

    /// Whether a broker that is down may be started without asking the plan.
    pub(crate) fn may_revive(&self, id: BrokerId) -> bool {
        !self.stopped.contains(&id)
    }
}

impl World {
    /// Whether the cluster promises to survive the loss of a disk now.
    pub(crate) fn may_lose_a_disk(&self) -> bool {
        let members = self.nodes.values().filter(|node| node.core.is_some()).count();
        self.operator.converged
            && self.operator.lost.is_none()
            && members >= 3
            && members == self.nodes.values().filter(|node| node.volume).count()
            && self.clients.topics_are_replicated()
            && self.checks.replicas_are_whole()
    }

    pub(crate) fn operator_due(&mut self, turn: u64) {
        if turn != self.operator.turn {
            return;
        }
        match std::mem::replace(&mut self.operator.pass, Pass::Idle) {
            Pass::Idle => self.look(),
            Pass::Looking { answers, .. } => self.plan(&answers),
            // The step was not answered in time: its outcome is unknown.
            Pass::Acting { .. } => self.rest(),
        }
    }

    fn wait(&mut self, after: u64) {
        self.operator.turn += 1;
        let turn = self.operator.turn;
        self.later(after, Event::Operator(turn));
    }

    fn rest(&mut self) {
        self.operator.pass = Pass::Idle;
        let pause = self.chance.operator.range(100_000, 900_000);
        self.wait(pause);
    }

    fn look(&mut self) {
        self.coverage.count("operator passes");
        let mut asked = BTreeMap::new();
        for id in self.running() {
            let token = self.ask(id, AdminRequest::Describe { detail: true });
            asked.insert(token, id);
        }
        let none = asked.is_empty();
        self.operator.pass = Pass::Looking { asked, answers: BTreeMap::new() };
        self.wait(if none { 0 } else { DESCRIBE_MAX });
    }

    fn ask(&mut self, to: BrokerId, request: AdminRequest) -> u64 {
        self.operator.tokens += 1;
        let token = self.operator.tokens;
        let delay = self.chance.operator.skewed(200, 5_000);
        let life = self.nodes.get(&to).map_or(0, |node| node.life);
        self.later(delay, Event::Order(to, life, token, request));
        token
    }

    pub(crate) fn order(&mut self, to: BrokerId, life: Life, token: u64, request: AdminRequest) {
        if self.nodes.get(&to).is_some_and(|node| node.life == life) {
            self.input(to, Input::Admin { token, request });
        }
    }

    pub(crate) fn order_done(&mut self, token: u64, result: Result<AdminResponse, AdminError>) {
        match &mut self.operator.pass {
            Pass::Idle => {}
            Pass::Looking { asked, answers } => {
                let Some(from) = asked.remove(&token) else { return };
                if let Ok(AdminResponse::Described(description)) = result {
                    answers.insert(from, *description);
                }
                if asked.is_empty() {
                    let answers = std::mem::take(answers);
                    self.plan(&answers);
                }
            }
            Pass::Acting { waits_for, .. } if *waits_for == Some(token) => match result {
                Ok(answer) => {
                    if matches!(answer, AdminResponse::MembershipChanged { .. }) {
                        self.coverage.count("membership changes");
                    }
                    self.step_done();
                }
                Err(error) => {
                    self.note(&format!("operator: {error}"));
                    self.rest();
                }
            },
            Pass::Acting { .. } => {}
        }
    }

    fn plan(&mut self, answers: &BTreeMap<BrokerId, Description>) {
        let processes = self.nodes.iter().map(|(id, node)| {
            let (running, volume) = (node.core.is_some(), node.volume);
            (id.0, Process { running, volume, ..Process::default() })
        });
        let mut observed = Observed {
            processes: processes.collect(),
            racks: BTreeMap::new(),
            advertised: BTreeMap::new(),
            nodes: BTreeMap::new(),
            formed: self.operator.formed,
            rebalanced_at: self.operator.rebalanced_at.clone(),
        };
        for (id, description) in answers {
            if let Some(node) = convert::node(description) {
                observed.nodes.insert(id.0, node);
            }
        }
        if !self.operator.formed && observed.nodes.values().any(|n| n.cluster_id.is_some()) {
            self.operator.formed = true;
            self.coverage.count("clusters formed");
        }
        let plan = chronik_plan::plan(&self.operator.desired, &observed);
        self.operator.converged = plan.is_converged();
        let waits = plan.waiting.iter().map(|wait| format!("waits for {wait}"));
        let refusals = plan.refused.iter().map(|refusal| format!("refuses {refusal}"));
        let steps = plan.steps.iter().map(|step| format!("to {step}"));
        let words: Vec<String> = steps.chain(waits).chain(refusals).collect();
        let words = words.join("; ");
        if words != self.operator.last {
            self.note(&format!("operator: {words}"));
            self.operator.last = words;
        }
        if self.operator.converged && self.operator.lost.take().is_some() {
            self.coverage.count("lost disks replaced");
        }
        if plan.steps.iter().any(|step| matches!(step, Step::Rebalance { .. })) {
            let leader = observed.nodes.values().filter_map(|n| n.meta.as_ref());
            let image = leader.max_by_key(|meta| meta.applied);
            self.operator.rebalanced_at =
                image.map(|m| m.brokers.iter().map(|(id, b)| (*id, b.replicas)).collect());
        }
        self.operator.pass = Pass::Acting { steps: plan.steps.into(), waits_for: None };
        self.next_step();
    }

    fn step_done(&mut self) {
        let dies =
            self.calm_since.is_none() && self.chance.operator.chance(self.options.operator_dies);
        if dies {
            self.note("operator dies");
            self.coverage.count("operator deaths");
            self.operator.rebalanced_at = None;
            self.operator.pass = Pass::Idle;
            let after = self.chance.operator.range(200_000, 3_000_000);
            return self.wait(after);
        }
        self.next_step();
    }

    fn next_step(&mut self) {
        let Pass::Acting { steps, .. } = &mut self.operator.pass else { return };
        let Some(step) = steps.pop_front() else { return self.rest() };
        self.note(&format!("operator: does {step}"));
        let request = match step {
            Step::Start(id) => {
                self.operator.stopped.remove(&BrokerId(id));
                self.start(BrokerId(id));
                return self.step_done();
            }
            Step::Stop(id) => {
                self.judge_end(BrokerId(id));
                self.operator.stopped.insert(BrokerId(id));
                self.stop(BrokerId(id), Death::Killed);
                return self.step_done();
            }
            Step::DeleteVolume(id) => {
                self.judge_end(BrokerId(id));
                self.stop(BrokerId(id), Death::Killed);
                self.lose_disk(BrokerId(id));
                return self.step_done();
            }
            step => convert::request(step),
        };
        let Some((to, request)) = request else { return self.rest() };
        let token = self.ask(to, request);
        if let Pass::Acting { waits_for, .. } = &mut self.operator.pass {
            *waits_for = Some(token);
        }
        self.wait(STEP_MAX);
    }
}

impl World {
    /// A broker is to end for good: nobody may count on it.
    fn judge_end(&mut self, id: BrokerId) {
        let cores = self.nodes.values().filter_map(|node| node.core.as_ref());
        let newest = cores.max_by_key(|core| core.image().0);
        let judged = self.checks.ends_for_good(id, newest);
        self.judge(judged);
    }
}

/// A directory's id as the plan has it.
fn directory(text: &str) -> Option<Uuid> {
    Uuid::parse_str(text).ok()
}

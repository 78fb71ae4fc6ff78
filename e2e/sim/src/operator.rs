//! The operator of the world: the real plan, fed with real answers, carried out step by step. It
//! can die after any step; what it knew dies with it. The platform under it is `platform`'s.

mod convert;
mod platform;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chronik_core::admin::{AdminError, AdminRequest, AdminResponse, Description};
use chronik_core::core::input::Input;
use chronik_core::ids::{BrokerId, Uuid};
use chronik_plan::{Desired, Observed, Rolling, Step, VolumePolicy};

use crate::crash_points::{Crash, Moment, SIDE_EFFECTS};
use crate::event::{Event, Life};
use crate::options::Options;
use crate::world::World;
use platform::Outcome;

const DESCRIBE_MAX: u64 = 700_000;
const STEP_MAX: u64 = 3_000_000;
/// How long an order may be on its way when its network is bad; the operator does not wait for that.
const LATE_MAX: u64 = 8_000_000;

/// The operator.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) desired: Desired,
    /// Answers of brokers prove that the cluster was formed; kept, as in the status of production.
    formed: bool,
    rebalanced_at: Option<Counts>,
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
    /// Brokers whose node is gone, with their disk.
    gone: BTreeSet<BrokerId>,
    /// The revision that all brokers are wanted to run.
    pub(crate) wanted: u64,
    /// When the last look began.
    looked: u64,
    /// Side effects so far, of all its lives.
    effects: u64,
    /// When it is to die.
    pub(crate) crash: Option<Crash>,
}

#[derive(Debug)]
enum Pass {
    Idle,
    Looking { asked: BTreeMap<u64, BrokerId>, answers: BTreeMap<BrokerId, Description> },
    Acting { steps: VecDeque<Step>, waits_for: Option<Awaited>, counts: Option<Counts> },
}

/// An answer that is waited for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    token: u64,
    rebalances: bool,
}

/// How many replicas each broker carries.
type Counts = BTreeMap<u32, u32>;

impl Operator {
    pub(crate) fn new(options: &Options) -> Operator {
        let deletes = options.deletes_volumes;
        Operator {
            desired: Desired {
                cluster_id: "sim".to_owned(),
                brokers: options.brokers,
                when_scaled: if deletes { VolumePolicy::Delete } else { VolumePolicy::Retain },
                rolling: Rolling::default(),
                platform_racks: false,
                platform_addresses: false,
                catch_up_rate: None,
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
            gone: BTreeSet::new(),
            wanted: 0,
            looked: 0,
            effects: 0,
            crash: None,
        }
    }

    /// Whether a broker that is down may be started without asking the plan.
    pub(crate) fn may_revive(&self, id: BrokerId) -> bool {
        !self.stopped.contains(&id) && !self.gone.contains(&id)
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
            Pass::Acting { .. } => {
                if !self.crashes(Moment::Answered) {
                    self.rest();
                }
            }
        }
    }

    fn wait(&mut self, after: u64) {
        self.operator.turn += 1;
        let turn = self.operator.turn;
        self.later(after, Event::Operator(turn));
    }

    /// The end of a pass.
    pub(crate) fn rest(&mut self) {
        self.operator.pass = Pass::Idle;
        let pause = self.chance.operator.range(100_000, 900_000);
        self.wait(pause);
    }

    fn look(&mut self) {
        self.coverage.count("operator passes");
        self.operator.looked = self.now;
        self.checks.operator_looks();
        let mut asked = BTreeMap::new();
        for id in self.running() {
            let token = self.ask(id, AdminRequest::Describe { detail: true }, 0);
            asked.insert(token, id);
        }
        let none = asked.is_empty();
        self.operator.pass = Pass::Looking { asked, answers: BTreeMap::new() };
        self.wait(if none { 0 } else { DESCRIBE_MAX });
    }

    fn ask(&mut self, to: BrokerId, request: AdminRequest, longer: u64) -> u64 {
        self.operator.tokens += 1;
        let token = self.operator.tokens;
        let delay = self.chance.operator.skewed(200, 5_000) + longer;
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
            Pass::Acting { waits_for: Some(awaited), counts, .. } if awaited.token == token => {
                match result {
                    Ok(answer) => {
                        if awaited.rebalances {
                            self.operator.rebalanced_at.clone_from(counts);
                        }
                        if matches!(answer, AdminResponse::MembershipChanged { .. }) {
                            self.coverage.count("membership changes");
                        }
                        self.step_done();
                    }
                    Err(error) => {
                        self.note(&format!("operator: {error}"));
                        if !self.crashes(Moment::Answered) {
                            self.rest();
                        }
                    }
                }
            }
            Pass::Acting { .. } => {}
        }
    }

    fn plan(&mut self, answers: &BTreeMap<BrokerId, Description>) {
        let processes = self.nodes.iter().map(|(id, node)| (id.0, self.process(*id, node)));
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
        self.operator.rebalanced_at = observed.still_rebalanced_at();
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
        let counts = observed.replica_counts();
        self.operator.pass = Pass::Acting { steps: plan.steps.into(), waits_for: None, counts };
        self.next_step();
    }

    fn step_done(&mut self) {
        if self.crashes(Moment::Answered) {
            return;
        }
        let dies =
            self.calm_since.is_none() && self.chance.operator.chance(self.options.operator_dies);
        if dies {
            return self.operator_ends();
        }
        self.next_step();
    }

    /// The operator dies, and what it knew dies with it; another one begins after a while.
    fn operator_ends(&mut self) {
        self.note("operator dies");
        self.coverage.count("operator deaths");
        self.operator.rebalanced_at = None;
        self.operator.pass = Pass::Idle;
        let after = self.chance.operator.range(200_000, 3_000_000);
        self.wait(after);
    }

    /// Whether this is the moment at which the operator was to die. Another one begins at once where
    /// no answer was waited for: what was asked for is still on its way.
    fn crashes(&mut self, moment: Moment) -> bool {
        let now = Crash { effect: self.operator.effects, moment };
        if self.operator.crash != Some(now) {
            return false;
        }
        self.operator.crash = None;
        self.operator_ends();
        if moment == Moment::Sent {
            self.wait(0);
        }
        true
    }

    fn next_step(&mut self) {
        let Pass::Acting { steps, .. } = &mut self.operator.pass else { return };
        let Some(step) = steps.pop_front() else { return self.rest() };
        self.note(&format!("operator: does {step}"));
        let outcome = match step {
            Step::Start(id) => self.bring_up(BrokerId(id)),
            Step::Stop(id) => self.take_down(BrokerId(id)),
            Step::DeleteVolume(id) => self.delete_volume(BrokerId(id)),
            Step::Update(id) => self.update(BrokerId(id)),
            Step::Replace(id) => self.replace(BrokerId(id)),
            step => return self.ask_for(step),
        };
        match outcome {
            Outcome::Later => self.next_step(),
            Outcome::Done => {
                self.side_effect();
                if !self.crashes(Moment::Sent) {
                    self.step_done();
                }
            }
        }
    }

    /// Asks a broker to do a step.
    fn ask_for(&mut self, step: Step) {
        let rebalances = matches!(step, Step::Rebalance { .. });
        let Some((to, request)) = convert::request(step) else { return self.rest() };
        let late = self.is_hostile() && self.chance.orders.chance(self.options.late_orders);
        let longer = if late { self.chance.orders.skewed(100_000, LATE_MAX) } else { 0 };
        if late {
            self.coverage.count("late orders");
        }
        let token = self.ask(to, request, longer);
        if let Pass::Acting { waits_for, .. } = &mut self.operator.pass {
            *waits_for = Some(Awaited { token, rebalances });
        }
        self.side_effect();
        if self.crashes(Moment::Sent) {
            return;
        }
        // It may die with the order on its way, too.
        if self.is_hostile() && self.chance.orders.chance(self.options.operator_dies / 4) {
            return self.operator_ends();
        }
        self.wait(STEP_MAX);
    }

    /// Something that an operator asked for which is long gone, or a person: a broker that has to be
    /// emptied, or filled. Whoever hears it goes by the image of the cluster that it has.
    pub(crate) fn stray_order(&mut self) {
        if !self.is_hostile() {
            return;
        }
        let again = self.chance.orders.skewed(20_000, self.options.stray_orders);
        self.later(again, Event::Stray);
        let all: Vec<BrokerId> = self.nodes.keys().copied().collect();
        let (Some(to), Some(broker)) =
            (self.chance.orders.pick(&all).copied(), self.chance.orders.pick(&all).copied())
        else {
            return;
        };
        // An internal topic may have one replica fewer after it, and nobody to spare for a damaged one.
        let drains = self.chance.orders.chance(500_000) && self.checks.damaged().next().is_none();
        let request = if drains { AdminRequest::Drain(broker) } else { AdminRequest::Rebalance };
        self.note(&format!("a stray order to {to:?}: {request:?}"));
        self.coverage.count("stray orders");
        self.operator.tokens += 1;
        self.input(to, Input::Admin { token: self.operator.tokens, request });
    }

    fn is_hostile(&self) -> bool {
        self.calm_since.is_none()
    }

    fn side_effect(&mut self) {
        self.operator.effects += 1;
        self.coverage.count(SIDE_EFFECTS);
    }
}

/// A directory's id as the plan has it.
fn directory(text: &str) -> Option<Uuid> {
    Uuid::parse_str(text).ok()
}

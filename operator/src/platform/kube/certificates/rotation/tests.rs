//! A model world: what is decided is carried out, brokers take it over when they like, and after
//! every step everybody who runs can still talk to everybody else.

use super::*;

const NOW: i64 = 2_000_000_000;
const FRESH: Span = Span { from: NOW, until: NOW + CERTIFICATE_S };

/// What a process uses: its certificate's authority, and whom it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InUse {
    leaf: Leaf,
}

/// Secrets, and what the processes have taken over of them.
#[derive(Debug, Clone, Default)]
struct World {
    seen: Seen,
    running: BTreeMap<BrokerId, InUse>,
    /// Brokers that do not answer.
    silent: BTreeSet<BrokerId>,
    made: u8,
    now: i64,
}

impl World {
    /// A settled cluster of brokers 1 to `brokers`.
    fn settled(brokers: BrokerId) -> World {
        let mut world = World { now: NOW, ..World::default() };
        world.seen.wanted = (1..=brokers).collect();
        world.rest();
        world.seen.there = (1..=brokers).collect();
        world.rest();
        assert_eq!(world.decide(), Decision::default());
        world
    }

    fn new_der(&mut self, kind: u8) -> Der {
        self.made += 1;
        vec![kind, self.made]
    }

    /// The newest authority is the one that a caller shows.
    fn look(&mut self) {
        self.seen.shown.clear();
        if !wants_a_look(&self.seen, self.now) {
            return;
        }
        let authority = self.seen.authority.clone().unwrap();
        let newest = authority.next.or(authority.signing).unwrap().certificate;
        for (id, process) in &self.running {
            if !self.silent.contains(id) && process.leaf.trusts.contains(&newest) {
                self.seen.shown.insert(*id, process.leaf.certificate.clone());
            }
        }
    }

    fn decide(&mut self) -> Decision {
        self.look();
        decide(&self.seen, self.now)
    }

    fn carry_out(&mut self, step: &Step) {
        let span = Span { from: self.now, until: self.now + AUTHORITY_S };
        let rotate = self.seen.rotate.clone();
        match step {
            Step::MakeAuthority { trusting } => {
                let made = Some(Signer { certificate: self.new_der(b'a'), span });
                let (signing, next) = if trusting.is_empty() { (made, None) } else { (None, made) };
                let old = trusting.clone();
                self.seen.authority = Some(Authority { signing, next, old, rotated_for: rotate });
            }
            Step::Begin => {
                let next = Some(Signer { certificate: self.new_der(b'a'), span });
                let authority = self.seen.authority.as_mut().unwrap();
                (authority.next, authority.rotated_for) = (next, rotate);
            }
            Step::Switch => {
                let authority = self.seen.authority.as_mut().unwrap();
                authority.old.extend(authority.signing.take().map(|s| s.certificate));
                authority.signing = authority.next.take();
            }
            Step::Drop => self.seen.authority.as_mut().unwrap().old.clear(),
            Step::Issue(holder) => {
                let certificate = self.new_der(b'l');
                let authority = self.seen.authority.as_ref().unwrap();
                let leaf = Leaf {
                    certificate,
                    signer: authority.signer().map(|s| s.certificate.clone()),
                    span: Span { from: self.now, until: self.now + CERTIFICATE_S },
                    trusts: authority.trusted(),
                };
                self.seen.leaves.insert(*holder, leaf);
            }
            Step::Trust(holder) => {
                let trusts = self.seen.authority.as_ref().unwrap().trusted();
                self.seen.leaves.get_mut(holder).unwrap().trusts = trusts;
            }
            Step::Forget(id) => drop(self.seen.leaves.remove(&Holder::Broker(*id))),
        }
    }

    /// A broker takes over what its Secret says.
    fn take_over(&mut self, id: BrokerId) {
        if let Some(leaf) = self.seen.leaves.get(&Holder::Broker(id)) {
            self.running.insert(id, InUse { leaf: leaf.clone() });
        }
    }

    /// Every pair that runs trusts each other, and the operator reaches all.
    fn check(&self) {
        let trusts = |one: &Leaf, other: &Leaf| {
            other.signer.as_ref().is_some_and(|signer| one.trusts.contains(signer))
        };
        let all: Vec<&Leaf> = self.running.values().map(|process| &process.leaf).collect();
        let operator = self.seen.leaves.get(&Holder::Operator);
        for one in all.iter().copied().chain(operator) {
            for other in all.iter().copied().chain(operator) {
                assert!(trusts(one, other), "{one:?} does not trust {other:?}\n{self:#?}");
            }
        }
    }

    /// Passes until nothing is left, with every broker taking over at once.
    fn rest(&mut self) -> Vec<Step> {
        let mut done = Vec::new();
        loop {
            let Decision { steps, .. } = self.decide();
            if steps.is_empty() {
                return done;
            }
            for step in steps {
                self.carry_out(&step);
                self.check();
                done.push(step);
            }
            for id in self.seen.there.clone().difference(&self.silent.clone()) {
                self.take_over(*id);
                self.check();
            }
            assert!(done.len() < 100, "it never rests: {done:?}");
        }
    }
}

#[test]
fn a_new_cluster_has_everything_before_its_brokers() {
    let mut world = World { now: NOW, ..World::default() };
    world.seen.wanted = [1, 2].into();
    let made = world.rest();
    let expected = [
        Step::MakeAuthority { trusting: BTreeSet::new() },
        Step::Issue(Holder::Operator),
        Step::Issue(Holder::Broker(1)),
        Step::Issue(Holder::Broker(2)),
    ];
    assert_eq!(made, expected);
}

#[test]
fn a_rotation_spreads_then_switches_then_reissues_one_by_one_then_drops() {
    let mut world = World::settled(2);
    let before = world.seen.authority.clone().unwrap();
    world.seen.rotate = Some("today".into());
    let (operator, one, two) = (Holder::Operator, Holder::Broker(1), Holder::Broker(2));
    let trust = [Step::Trust(operator), Step::Trust(one), Step::Trust(two)];
    let expected: Vec<Step> = [Step::Begin]
        .into_iter()
        .chain(trust.clone())
        .chain([Step::Switch, Step::Issue(operator), Step::Issue(one), Step::Issue(two)])
        .chain([Step::Drop])
        .chain(trust)
        .collect();
    assert_eq!(world.rest(), expected);
    let after = world.seen.authority.clone().unwrap();
    assert_ne!(after.trusted(), before.trusted());
    assert_eq!(after.trusted().len(), 1);
    assert_eq!(world.rest(), [], "the same request again is none");
}

#[test]
fn a_silent_broker_holds_every_phase_up_and_loses_nothing() {
    let mut world = World::settled(3);
    world.seen.rotate = Some("a".into());
    world.silent.insert(2);
    let done = world.rest();
    assert!(!done.contains(&Step::Switch), "{done:?}");
    assert_eq!(world.decide().phase, Phase::Spreading(vec![2]));
    // It comes back with what it had: everybody can still talk to it.
    world.check();
    world.silent.clear();
    world.take_over(2);
    let decision = world.decide();
    assert_eq!(decision.steps, [Step::Switch]);
    world.carry_out(&Step::Switch);
    world.silent.insert(2);
    let done = world.rest();
    assert!(!done.contains(&Step::Drop) && !done.contains(&Step::Issue(Holder::Broker(3))));
    assert!(matches!(world.decide().phase, Phase::Reissuing(ids) if ids.contains(&2)));
    world.silent.clear();
    assert_eq!(world.rest().iter().filter(|step| **step == Step::Drop).count(), 1);
    assert_eq!(world.decide(), Decision::default());
}

#[test]
fn a_lost_authority_is_followed_by_one_that_everybody_trusts_first() {
    let mut world = World::settled(3);
    let lost = world.seen.authority.take().unwrap().trusted();
    let done = world.rest();
    assert_eq!(done[0], Step::MakeAuthority { trusting: lost.clone() });
    let at = |wanted: &Step| done.iter().position(|step| step == wanted).unwrap();
    assert!(at(&Step::Trust(Holder::Broker(3))) < at(&Step::Switch));
    assert!(at(&Step::Switch) < at(&Step::Issue(Holder::Broker(1))));
    let trusted = world.seen.authority.clone().unwrap().trusted();
    assert!(trusted.is_disjoint(&lost) && trusted.len() == 1);
}

#[test]
fn an_authority_lost_in_the_middle_of_a_rotation_is_followed_too() {
    for cut in 0..12 {
        let mut world = World::settled(3);
        world.seen.rotate = Some("a".into());
        for _ in 0..cut {
            let Decision { steps, .. } = world.decide();
            if let Some(step) = steps.first() {
                world.carry_out(step);
            }
            world.take_over(1);
            world.check();
        }
        world.seen.authority = None;
        world.rest();
        assert_eq!(world.decide(), Decision::default(), "cut at {cut}");
    }
}

#[test]
fn certificates_are_renewed_in_time_one_after_the_other() {
    let mut world = World::settled(3);
    world.now = NOW + CERTIFICATE_S / 3 * 2 - 1;
    assert_eq!(world.rest(), []);
    world.now += 1;
    assert_eq!(world.decide().steps, [Step::Issue(Holder::Operator)]);
    let all = [Holder::Operator, Holder::Broker(1), Holder::Broker(2), Holder::Broker(3)];
    assert_eq!(world.rest(), all.map(Step::Issue));
    // One that is silent holds up the others, until they cannot wait.
    world.now += CERTIFICATE_S / 3 * 2;
    world.silent.insert(1);
    assert_eq!(world.rest(), [Step::Issue(Holder::Operator)]);
    world.now += CERTIFICATE_S / 4;
    let urgent = [Holder::Broker(1), Holder::Broker(2), Holder::Broker(3)];
    assert_eq!(world.decide().steps, urgent.map(Step::Issue));
}

#[test]
fn an_old_authority_is_replaced_by_itself() {
    let mut world = World::settled(1);
    world.now = NOW + AUTHORITY_S / 3 * 2;
    let done = world.rest();
    assert_eq!(done[0], Step::Begin);
    assert!(done.contains(&Step::Drop));
}

#[test]
fn what_is_missing_or_of_nobody_is_made_at_once() {
    let mut world = World::settled(2);
    world.seen.leaves.remove(&Holder::Broker(1));
    world.seen.leaves.get_mut(&Holder::Broker(2)).unwrap().signer = None;
    let expected = [Holder::Broker(1), Holder::Broker(2)].map(Step::Issue);
    assert_eq!(decide(&world.seen, world.now).steps, expected);
}

#[test]
fn a_removed_brokers_certificate_goes_and_a_new_brokers_comes() {
    let mut world = World::settled(3);
    world.seen.wanted = [1, 2, 4].into();
    world.seen.there = [1, 2].into();
    world.running.remove(&3);
    assert_eq!(world.rest(), [Step::Issue(Holder::Broker(4)), Step::Forget(3)]);
}

#[test]
fn any_order_of_taking_over_keeps_everybody_connected() {
    // Every broker takes over at its own pace: a small generator decides who is next.
    for seed in 1..400u64 {
        let mut world = World::settled(4);
        world.seen.rotate = Some("a".into());
        if seed % 3 == 0 {
            world.seen.authority = None;
        }
        let mut chance = seed;
        for _ in 0..400 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match (chance >> 33) % 6 {
                0 => {
                    let Decision { steps, .. } = world.decide();
                    let authority = steps.first().is_some_and(Step::changes_the_authority);
                    let now = if authority { 1 } else { steps.len() };
                    steps.iter().take(now).for_each(|step| world.carry_out(step));
                }
                1 => {
                    let id = (chance >> 40) as BrokerId % 4 + 1;
                    world.silent = if (chance >> 50) % 2 == 0 { [id].into() } else { [].into() };
                }
                _ => world.take_over((chance >> 40) as BrokerId % 4 + 1),
            }
            world.check();
        }
        world.silent.clear();
        world.rest();
        assert_eq!(world.decide(), Decision::default(), "seed {seed}");
        assert_eq!(world.seen.authority.as_ref().unwrap().trusted().len(), 1);
        assert!(world.seen.leaves.values().all(|leaf| leaf.span.until >= FRESH.until));
    }
}

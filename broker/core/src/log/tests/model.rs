//! Random histories against a list: after each start the log is what it was at some moment at or
//! after the last sync, nothing applied is lost, and all ways of reading agree.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append { len: usize, noop: bool },
    NewTerm { back: u64 },
    Sync,
    Write,
    Commit(u64),
    Apply,
    Roll(usize),
    Start(i64),
    DropBefore,
    BeginCheckpoint,
    AdvanceCheckpoint,
    Kill,
    Crash(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (61usize..900, prop::bool::weighted(0.2)).prop_map(|(len, noop)| Step::Append { len, noop }),
        2 => (0u64..6).prop_map(|back| Step::NewTerm { back }),
        6 => Just(Step::Sync),
        2 => Just(Step::Write),
        6 => (0u64..4).prop_map(Step::Commit),
        6 => Just(Step::Apply),
        2 => (0usize..40).prop_map(Step::Roll),
        1 => (0i64..10).prop_map(Step::Start),
        1 => Just(Step::DropBefore),
        1 => Just(Step::BeginCheckpoint),
        4 => Just(Step::AdvanceCheckpoint),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..160)
}

/// What a recovery may find.
#[derive(Debug, Clone, PartialEq)]
struct Moment {
    /// From index 2 on.
    entries: Vec<Entry>,
    hard: HardState,
    start: Offset,
}

struct Model {
    shard: Shard,
    /// One moment per record that was pushed, the last is now.
    moments: Vec<Moment>,
    /// How many of them are known to be durable, less one.
    synced: usize,
    written: usize,
    applied: Index,
    checkpoint: Option<(Checkpoint, crate::log::SyncJob)>,
}

impl Model {
    fn new() -> Model {
        let mut shard = Shard::new();
        shard.create(id(0), birth());
        shard.create(id(1), birth());
        let (idle, wal) = shard.log(id(1));
        idle.set_hard_state(wal, &hard(9, 5, 1));
        shard.sync();
        let moment = Moment { entries: Vec::new(), hard: hard(1, 0, 1), start: 0 };
        Model { shard, moments: vec![moment], synced: 0, written: 0, applied: 1, checkpoint: None }
    }

    fn now(&self) -> Moment {
        self.moments.last().unwrap().clone()
    }

    fn last(&self) -> Index {
        self.now().entries.len() as Index + 1
    }

    fn append(&mut self, entry: Entry) {
        let mut now = self.now();
        now.entries.truncate(entry.index as usize - 2);
        now.entries.push(entry.clone());
        self.moments.push(now);
        let (log, wal) = self.shard.log(id(0));
        log.append(wal, vec![entry]).unwrap();
    }

    fn hard(&mut self, state: HardState) {
        let (log, wal) = self.shard.log(id(0));
        log.set_hard_state(wal, &state);
        let mut now = self.now();
        now.hard = state;
        self.moments.push(now);
    }

    fn step(&mut self, step: &Step) {
        let now = self.now();
        match step {
            Step::Append { noop: true, .. } => {
                self.append(noop(self.last() + 1, now.hard.term));
            }
            Step::Append { len, noop: false } => {
                let base = self.shard.log(id(0)).0.log_end();
                let (index, term) = (self.last() + 1, now.hard.term);
                self.append(batch(index, term, base, 1 + (*len % 5) as u32, *len));
            }
            Step::NewTerm { back } => {
                let term = now.hard.term + 1;
                self.hard(hard(term, 3, now.hard.commit));
                let index = (self.last() + 1).saturating_sub(*back).max(now.hard.commit + 1);
                self.append(noop(index, term));
            }
            Step::Sync => {
                self.written = self.moments.len() - 1;
                // A commit alone asks for no sync.
                if self.shard.sync() {
                    self.synced = self.written;
                }
            }
            Step::Write => {
                // The job is lost: nothing is known to be durable.
                if let Some(job) = self.shard.wal.write().unwrap() {
                    self.shard.wal.dirty.extend(job.files);
                    self.shard.wal.dirs.extend(job.dirs);
                    self.shard.wal.sync_wanted = true;
                }
                self.written = self.moments.len() - 1;
            }
            Step::Commit(more) => {
                // What this replica counts towards a quorum is synced.
                let stable = self.stable();
                let commit = (now.hard.commit + more).min(stable).max(now.hard.commit);
                self.hard(hard(now.hard.term, now.hard.vote, commit));
            }
            Step::Apply => {
                self.applied = self.applied.max(now.hard.commit.min(self.stable()));
                let applied = self.applied;
                self.shard.log(id(0)).0.applied(applied);
            }
            Step::Kill => {
                self.shard.disk.kill();
                self.reopen(self.written..self.written + 1);
            }
            Step::Crash(seed) => self.crash(*seed),
            Step::Roll(_)
            | Step::Start(_)
            | Step::DropBefore
            | Step::BeginCheckpoint
            | Step::AdvanceCheckpoint => self.tidy(step, now),
        }
    }

    /// The steps that keep a log short.
    fn tidy(&mut self, step: &Step, now: Moment) {
        match step {
            Step::Roll(len) => {
                let state = vec![self.applied as u8; *len].into();
                self.shard.log(id(0)).0.roll(state);
            }
            Step::Start(back) => {
                let applied = self.applied;
                let (log, wal) = self.shard.log(id(0));
                let start = log.offset_after(applied).unwrap() - back;
                log.set_start(wal, start);
                let start = log.log_start();
                self.moments.push(Moment { start, ..now });
            }
            Step::DropBefore => {
                let applied = self.applied;
                self.shard.log(id(0)).0.drop_before(applied);
            }
            Step::BeginCheckpoint => {
                let Shard { wal, groups, .. } = &mut self.shard;
                self.checkpoint = Some(Checkpoint::begin(wal, groups.values_mut()).unwrap());
                self.written = self.moments.len() - 1;
            }
            Step::AdvanceCheckpoint => {
                if let Some((mut checkpoint, job)) = self.checkpoint.take() {
                    self.shard.disk.sync(&job).unwrap();
                    let next = checkpoint.advance(&mut self.shard.wal).unwrap();
                    self.checkpoint = next.map(|job| (checkpoint, job));
                }
            }
            Step::Append { .. }
            | Step::NewTerm { .. }
            | Step::Sync
            | Step::Write
            | Step::Commit(_)
            | Step::Apply
            | Step::Kill
            | Step::Crash(_) => unreachable!("no step that tidies"),
        }
    }

    fn crash(&mut self, seed: u64) {
        let mut state = seed | 1;
        self.shard.disk.crash(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 4 < seed % 5
        });
        self.reopen(self.synced..self.written + 1);
    }

    /// The last entry that is synced and still the same.
    fn stable(&self) -> Index {
        let (now, then) = (self.now(), &self.moments[self.synced]);
        let same = now.entries.iter().zip(&then.entries).take_while(|(a, b)| a == b).count();
        same as Index + 1
    }

    fn reopen(&mut self, may_be: std::ops::Range<usize>) {
        self.checkpoint = None;
        self.shard = Shard::open(&self.shard.disk);
        let log = &self.shard.groups[&id(0)];
        let first = log.first();
        let found: Vec<Entry> = (first..=log.last()).map(|i| log.entry(i).unwrap()).collect();
        let at = may_be.clone().find(|at| {
            let moment = &self.moments[*at];
            let skip = (first as usize - 2).min(moment.entries.len());
            moment.entries[skip..] == found[..]
                && (moment.hard.term, moment.hard.vote)
                    == (log.hard_state().term, log.hard_state().vote)
                && moment.start == log.log_start()
                && log.hard_state().commit >= moment.hard.commit
        });
        let Some(at) = at else {
            let last: Vec<_> = may_be
                .map(|i| (self.moments[i].entries.len() + 1, &self.moments[i].hard))
                .collect();
            panic!("{first}..={} {:?}, not one of {last:?}", log.last(), log.hard_state());
        };
        let mut moment = self.moments[at].clone();
        moment.hard = log.hard_state().clone();
        assert!(moment.entries.len() as Index + 1 >= self.applied, "an applied entry is lost");
        let (from, state) = log.last_state().unwrap();
        assert!(from <= self.applied && state.iter().all(|b| *b == from as u8));
        self.applied = self.applied.min(moment.hard.commit).max(log.first() - 1);
        let applied = self.applied;
        assert_eq!(self.shard.groups[&id(1)].hard_state(), &hard(9, 5, 1));
        self.moments = vec![moment];
        (self.synced, self.written) = (0, 0);
        self.shard.log(id(0)).0.applied(applied);
        self.check();
    }

    fn check(&mut self) {
        let now = self.now();
        let log = &self.shard.groups[&id(0)];
        let first = log.first();
        let entries = &now.entries[first as usize - 2..];
        assert_eq!(log.last(), self.last());
        for entry in entries {
            assert_eq!(&log.entry(entry.index).unwrap(), entry);
            assert_eq!(raft::Storage::term(log, entry.index).unwrap(), entry.term);
        }
        let from = entries.iter().find_map(|e| e.info()).map_or(0, |info| info.base_offset);
        let read = log.read(from, log.last(), usize::MAX).unwrap();
        assert_eq!(bytes_of(&self.shard.disk, &read), payloads(entries));
        for info in entries.iter().filter_map(Entry::info) {
            let row = log.row_at_offset(info.next_offset() - 1).unwrap().unwrap();
            assert_eq!(row.info().as_ref(), Some(info));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_synced_is_lost(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.check();
        model.step(&Step::Sync);
        model.step(&Step::Crash(0));
    }
}

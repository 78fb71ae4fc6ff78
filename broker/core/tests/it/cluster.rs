//! A few cores that are connected by perfect streams: what one sends, the other has at once. Time
//! goes on by ticks. The hostile world is the simulator's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chronik_core::admin::{AdminError, AdminRequest, AdminResponse, Description};
use chronik_core::core::input::{Hello, Input, Token};
use chronik_core::core::output::Output;
use chronik_core::core::{Config, Core, Limits, OpenError};
use chronik_core::ids::{BrokerId, Micros, Now, Uuid};
use chronik_core::log::mem_disk::MemDisk;
use chronik_core::wire::Response;

pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<BrokerId, Node>,
    pub(crate) now: Now,
    tokens: u64,
    /// The newest stream from the first to the second; all have numbers of their own.
    streams: BTreeMap<(BrokerId, BrokerId), u64>,
    /// A broker whose disk syncs nothing any more.
    pub(crate) hangs: Option<BrokerId>,
    pub(crate) admin: BTreeMap<u64, Result<AdminResponse, AdminError>>,
    pub(crate) closed: Vec<Token>,
    pub(crate) replies: BTreeMap<Token, Option<Response>>,
    pub(crate) limits: Limits,
    /// Nodes whose disks do not come back from a sync, with what they were asked.
    pub(crate) hanging: BTreeMap<BrokerId, Vec<Output>>,
    /// Frames that each broker has sent.
    pub(crate) frames: BTreeMap<BrokerId, u64>,
    /// Streams that lose what is sent on them, by sender and receiver.
    cut: BTreeSet<(BrokerId, BrokerId)>,
    /// Brokers that are expected to give up, and what they said.
    pub(crate) dying: BTreeMap<BrokerId, Option<String>>,
}

pub(crate) struct Node {
    pub(crate) core: Core<MemDisk>,
    pub(crate) disk: MemDisk,
    pub(crate) peers: Vec<(BrokerId, String)>,
    pub(crate) inbox: VecDeque<Input>,
}

impl Cluster {
    pub(crate) fn new(brokers: u32) -> Cluster {
        Cluster::with(brokers, Limits { free_bytes_min: 0, ..Limits::default() })
    }

    pub(crate) fn with(brokers: u32, limits: Limits) -> Cluster {
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            now: Now { mono: Micros(1_000_000), wall_ms: 1_700_000_000_000 },
            tokens: 0,
            streams: BTreeMap::new(),
            hangs: None,
            admin: BTreeMap::new(),
            closed: Vec::new(),
            replies: BTreeMap::new(),
            limits,
            hanging: BTreeMap::new(),
            frames: BTreeMap::new(),
            cut: BTreeSet::new(),
            dying: BTreeMap::new(),
        };
        for id in 1..=brokers {
            cluster.start(BrokerId(id), MemDisk::new());
        }
        cluster
    }

    pub(crate) fn start(&mut self, id: BrokerId, disk: MemDisk) {
        self.start_life(id, disk, 1).unwrap();
    }

    /// Starts a broker with the directory of its `life`-th life.
    pub(crate) fn start_life(
        &mut self,
        id: BrokerId,
        disk: MemDisk,
        life: u128,
    ) -> Result<(), OpenError> {
        let seeds = (1..=5).filter(|seed| *seed != id.0);
        let config = Config {
            broker: id,
            directory: Uuid::from_u128(u128::from(id.0) + 100 * life),
            seed: 42,
            kafka_address: format!("127.0.0.1:{}", 9090 + id.0),
            peer_address: format!("127.0.0.1:{}", 9190 + id.0),
            rack: None,
            seeds: seeds
                .map(|seed| (BrokerId(seed), format!("127.0.0.1:{}", 9190 + seed)))
                .collect(),
            version: "test".into(),
            limits: self.limits.clone(),
            logger: slog::Logger::root(slog::Discard, slog::o!()),
        };
        let (core, _) = Core::open(config, disk.clone(), self.now)?;
        self.nodes.insert(id, Node { core, disk, peers: Vec::new(), inbox: VecDeque::new() });
        let others: Vec<BrokerId> =
            self.nodes.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            for (from, to) in [(id, other), (other, id)] {
                let hello = self.dial(from, to);
                self.nodes.get_mut(&to).unwrap().inbox.push_back(Input::PeerConnected(hello));
            }
        }
        self.settle();
        Ok(())
    }

    /// Opens a stream for its sender; the hello is still to be heard.
    pub(crate) fn dial(&mut self, from: BrokerId, to: BrokerId) -> Hello {
        let stream = self.streams.values().max().copied().unwrap_or(0) + 1;
        self.streams.insert((from, to), stream);
        let node = self.nodes.get_mut(&from).unwrap();
        node.inbox.push_back(Input::PeerReachable { to, stream: Some(stream) });
        self.hello(from, to)
    }

    /// What a broker said when it opened its stream to another.
    pub(crate) fn hello(&self, from: BrokerId, to: BrokerId) -> Hello {
        Hello { stream: self.streams[&(from, to)], ..self.nodes[&from].core.hello() }
    }

    /// Ends a node as kill -9 does; its disk stays.
    pub(crate) fn kill(&mut self, id: BrokerId) -> MemDisk {
        let disk = self.end(id);
        disk.kill();
        disk
    }

    /// Ends a node; what that means for its disk is the caller's.
    pub(crate) fn end(&mut self, id: BrokerId) -> MemDisk {
        let node = self.nodes.remove(&id).unwrap();
        self.hanging.remove(&id);
        for other in self.nodes.values_mut() {
            other.inbox.push_back(Input::PeerGone { from: id });
            other.inbox.push_back(Input::PeerReachable { to: id, stream: None });
        }
        self.settle();
        node.disk
    }

    /// The disk of a hanging node comes back.
    pub(crate) fn unhang(&mut self, id: BrokerId) {
        for sync in self.hanging.remove(&id).unwrap() {
            self.carry_out(id, sync);
        }
        self.settle();
    }

    /// What `from` sends to `to` is lost from now on.
    pub(crate) fn cut(&mut self, from: BrokerId, to: BrokerId) {
        self.cut.insert((from, to));
    }

    /// A new stream takes the place of one that lost everything.
    pub(crate) fn mend(&mut self, from: BrokerId, to: BrokerId) {
        self.cut.remove(&(from, to));
        let inbox = &mut self.nodes.get_mut(&from).unwrap().inbox;
        inbox.push_back(Input::PeerReachable { to, stream: None });
        let hello = self.dial(from, to);
        let inbox = &mut self.nodes.get_mut(&to).unwrap().inbox;
        inbox.extend([Input::PeerGone { from }, Input::PeerConnected(hello)]);
        self.settle();
    }

    /// Lets `ms` pass.
    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(100) {
            self.now.mono = self.now.mono.after(Micros::from_millis(100));
            self.now.wall_ms += 100;
            for node in self.nodes.values_mut() {
                node.inbox.push_back(Input::Tick);
            }
            self.settle();
        }
    }

    /// Gives a node an input, and delivers all that follows.
    pub(crate) fn input(&mut self, id: BrokerId, input: Input) {
        self.nodes.get_mut(&id).unwrap().inbox.push_back(input);
        self.settle();
    }

    /// Delivers all that is under way.
    pub(crate) fn settle(&mut self) {
        loop {
            let ids: Vec<BrokerId> = self.nodes.keys().copied().collect();
            let mut moved = false;
            for id in ids {
                moved |= self.round(id);
            }
            if !moved {
                return;
            }
        }
    }

    fn round(&mut self, id: BrokerId) -> bool {
        let node = self.nodes.get_mut(&id).unwrap();
        let mut moved = !node.inbox.is_empty();
        for input in std::mem::take(&mut node.inbox) {
            node.core.step(self.now, input);
        }
        if moved {
            node.core.flush(self.now);
        }
        let outputs: Vec<Output> = node.core.outputs().collect();
        moved |= !outputs.is_empty();
        for output in outputs {
            self.carry_out(id, output);
        }
        moved
    }

    fn carry_out(&mut self, id: BrokerId, output: Output) {
        match output {
            Output::Send { to, .. } if self.cut.contains(&(id, to)) => {}
            Output::Send { to, frame } => {
                *self.frames.entry(id).or_default() += 1;
                if let Some(node) = self.nodes.get_mut(&to) {
                    node.inbox
                        .push_back(Input::PeerFrame { from: id, frame: frame.concat().into() });
                }
            }
            sync @ Output::Sync { .. } if self.hanging.contains_key(&id) => {
                self.hanging.get_mut(&id).unwrap().push(sync);
            }
            Output::Sync { .. } if self.hangs == Some(id) => {}
            Output::Sync { ticket, files, dirs, .. } => {
                let node = self.nodes.get_mut(&id).unwrap();
                node.disk.sync_files(&files, &dirs).unwrap();
                node.inbox.push_back(Input::Synced(ticket));
            }
            Output::Peers(peers) => {
                self.nodes.get_mut(&id).unwrap().peers = peers;
            }
            Output::Reply { token, response } => {
                assert!(self.replies.insert(token, response).is_none(), "{token:?} answered twice");
            }
            Output::AdminReply { token, result } => {
                assert!(self.admin.insert(token, result).is_none());
            }
            Output::Close(token) => self.closed.push(token),
            Output::StepReply { .. } | Output::Drained | Output::Wipe => {}
            Output::Fatal(reason) => match self.dying.get_mut(&id) {
                Some(said) => *said = Some(reason),
                None => panic!("broker {id}: {reason}"),
            },
        }
    }

    /// Orders something and waits for the answer, up to ten seconds.
    pub(crate) fn order(
        &mut self,
        id: BrokerId,
        request: AdminRequest,
    ) -> Result<AdminResponse, AdminError> {
        self.tokens += 1;
        let token = self.tokens;
        self.nodes.get_mut(&id).unwrap().inbox.push_back(Input::Admin { token, request });
        self.settle();
        for _ in 0..100 {
            if let Some(result) = self.admin.remove(&token) {
                return result;
            }
            self.run(100);
        }
        panic!("no answer to an order")
    }

    pub(crate) fn describe(&mut self, id: BrokerId) -> Description {
        match self.order(id, AdminRequest::Describe { detail: true }) {
            Ok(AdminResponse::Described(description)) => *description,
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// The leader of `__meta`.
    pub(crate) fn controller(&mut self) -> BrokerId {
        for _ in 0..50 {
            let ids: Vec<BrokerId> = self.nodes.keys().copied().collect();
            for id in ids {
                let description = self.describe(id);
                if description.groups.iter().any(|group| group.topic == "__meta") {
                    return id;
                }
            }
            self.run(100);
        }
        panic!("nobody leads __meta")
    }
}

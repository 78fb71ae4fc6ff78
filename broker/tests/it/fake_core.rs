//! A core that does what a test says, and a node around it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use chronik_broker::metrics::Metrics;
use chronik_broker::net::listener::{Clients, Limits};
use chronik_broker::net::tls::ClientTls;
use chronik_broker::node::engine::{Engine, Inspection};
use chronik_broker::node::handle::Handle;
use chronik_broker::node::{Clock, Ending, Node, Surroundings};
use chronik_broker::peer::accept::Credentials;
use chronik_broker::storage::os_disk::OsDisk;
use chronik_core::admin::NodeState;
use chronik_core::core::input::{Hello, Input};
use chronik_core::core::output::Output;
use chronik_core::ids::{BrokerId, Micros, Now, Uuid};
use chronik_core::meta::Listener;
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the test and the core share.
#[derive(Debug)]
pub(crate) struct Script {
    inputs: RefCell<VecDeque<Input>>,
    outputs: RefCell<Vec<Output>>,
    came: Notify,
    hello: RefCell<Hello>,
    pub(crate) serves_clients: Cell<bool>,
    /// The directory that the cluster knows every other broker by.
    pub(crate) registered: Cell<Option<Uuid>>,
}

impl Script {
    /// The next input that is not a tick.
    pub(crate) async fn next(&self) -> Input {
        loop {
            if let Some(input) = self.inputs.borrow_mut().pop_front() {
                return input;
            }
            self.came.notified().await;
        }
    }

    /// Everything that has come and was not looked at.
    pub(crate) fn came(&self) -> Vec<Input> {
        self.inputs.borrow_mut().drain(..).collect()
    }

    pub(crate) fn set_hello(&self, hello: Hello) {
        *self.hello.borrow_mut() = hello;
    }
}

pub(crate) struct FakeCore {
    script: Rc<Script>,
    outputs: Vec<Output>,
}

impl Engine for FakeCore {
    fn step(&mut self, _: Now, input: Input) {
        match input {
            Input::Tick => {}
            input => {
                self.script.inputs.borrow_mut().push_back(input);
                self.script.came.notify_one();
            }
        }
    }

    fn flush(&mut self, _: Now) {
        self.outputs.append(&mut self.script.outputs.borrow_mut());
    }

    fn outputs(&mut self) -> std::vec::Drain<'_, Output> {
        self.outputs.drain(..)
    }

    fn next_deadline(&self) -> Option<Micros> {
        None
    }

    fn serves_clients(&self) -> bool {
        self.script.serves_clients.get()
    }

    fn registered(&self, _: BrokerId) -> Option<Uuid> {
        self.script.registered.get()
    }

    fn hello(&self) -> Hello {
        self.script.hello.borrow().clone()
    }

    fn inspect(&self) -> Inspection {
        Inspection {
            state: NodeState::Member,
            ready: true,
            roles: vec![("leader", 2), ("follower", 1)],
            gauges: vec![("offline_replicas", "Replicas taken offline", 0)],
            counters: vec![("records_in", "Records taken", 7)],
        }
    }
}

/// A running node; everything is on the test's own thread.
pub(crate) struct World {
    pub(crate) script: Rc<Script>,
    pub(crate) handle: Handle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) kafka: SocketAddr,
    /// The listener for clients outside.
    pub(crate) external: SocketAddr,
    pub(crate) disk: OsDisk,
    pub(crate) running: JoinHandle<Ending>,
    _directory: tempfile::TempDir,
}

impl World {
    /// Within a `LocalSet`.
    pub(crate) async fn start(broker: u32, limits: Limits) -> World {
        let world = World::begin(broker, limits, true);
        // The acceptor's task was queued before this one comes back, and listens at its first turn.
        tokio::task::yield_now().await;
        world
    }

    /// With a core that does not serve clients yet.
    pub(crate) fn begin(broker: u32, limits: Limits, serves_clients: bool) -> World {
        World::with(broker, limits, serves_clients, None, None)
    }

    /// With a certificate for its peers.
    pub(crate) fn with(
        broker: u32,
        limits: Limits,
        serves_clients: bool,
        credentials: Credentials,
        tls: ClientTls,
    ) -> World {
        let directory = tempfile::tempdir().unwrap();
        let disk = OsDisk::new(directory.path(), 64);
        let (handle, events) = Handle::new();
        let metrics = Arc::new(Metrics::default());
        let clients = Clients::new(handle.clone(), Arc::clone(&metrics), limits, tls);
        let script = Rc::new(Script {
            inputs: RefCell::default(),
            outputs: RefCell::default(),
            came: Notify::new(),
            hello: RefCell::new(hello(broker)),
            serves_clients: Cell::new(serves_clients),
            registered: Cell::new(None),
        });
        let core = FakeCore { script: Rc::clone(&script), outputs: Vec::new() };
        let around = Surroundings {
            disk: disk.clone(),
            clock: Clock::start(),
            handle: handle.clone(),
            events,
            clients: Rc::clone(&clients),
            metrics: Arc::clone(&metrics),
            credentials,
        };
        let mut node = Node::new(core, around).unwrap();
        if serves_clients {
            clients.invite();
        }
        let [kafka, external] = [Listener::Internal, Listener::External].map(|listener| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = socket.local_addr().unwrap();
            tokio::task::spawn_local(Rc::clone(&clients).accept(socket, listener));
            address
        });
        let running = tokio::task::spawn_local(async move {
            let ending = node.run().await;
            node.finish().await;
            ending
        });
        World { script, handle, metrics, kafka, external, disk, running, _directory: directory }
    }

    /// Has the core ask for this. The inspection wakes the node; by its end all is carried out.
    pub(crate) async fn put_out(&self, outputs: impl IntoIterator<Item = Output>) {
        self.script.outputs.borrow_mut().extend(outputs);
        self.handle.inspect().await.unwrap();
    }
}

pub(crate) fn hello(broker: u32) -> Hello {
    Hello {
        broker: BrokerId(broker),
        directory: Uuid::from_u128(broker.into()),
        boot: 1,
        cluster_id: None,
        peer_address: format!("broker-{broker}:9192"),
        stream: 1,
    }
}

/// Runs a test on one thread, as the broker runs, with a deadline.
pub(crate) fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let within = async {
        tokio::time::timeout(std::time::Duration::from_secs(30), test)
            .await
            .expect("the test takes too long");
    };
    tokio::task::LocalSet::new().block_on(&runtime, within);
}

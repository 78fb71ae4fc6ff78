//! The broker as users run it: the real binary with the real core, alone.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use chronik_broker::proto::admin::admin_client::AdminClient;
use chronik_broker::proto::admin::{
    DescribeRequest, DescribeResponse, InitializeRequest, NodeState,
};
use chronik_tls::dial::Connector;
use chronik_tls::identity::Role;
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::Endpoint;

use crate::certificates::{ONE, OPERATOR, TWO, authority, of, pair, write};
use crate::fake_core::on_one_thread;

/// A running broker; killed when dropped.
pub(crate) struct Broker {
    process: Child,
    log: BufReader<ChildStderr>,
    peer: SocketAddr,
    /// What it said when it began to serve.
    said: String,
}

pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronik-broker"));
    command.args(["--broker-id=1", "--kafka-listen=127.0.0.1:0", "--peer-listen=127.0.0.1:0"]);
    command.arg("--data-dir").arg(data).stderr(Stdio::piped()).env_remove("CHRONIK_LOG");
    command
}

impl Broker {
    /// Starts a broker on free ports.
    fn start(data: &Path) -> Broker {
        Broker::run(&mut command(data))
    }

    /// Waits until it serves.
    pub(crate) fn run(command: &mut Command) -> Broker {
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut broker = Broker { process, log, peer: unknown, said: String::new() };
        let mut seen = String::new();
        while !seen.contains("serving") {
            let read = broker.log.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "it ended:\n{seen}");
        }
        broker.said = seen;
        broker.peer = broker.address("peer").unwrap();
        broker
    }

    /// Where it listens, by the name of the field that says so.
    pub(crate) fn address(&self, field: &str) -> Option<SocketAddr> {
        let field = format!("{field}=");
        let mut words = self.said.split_whitespace();
        words.find_map(|word| word.strip_prefix(&field)?.parse().ok())
    }

    pub(crate) async fn admin(&self) -> AdminClient<tonic::transport::Channel> {
        AdminClient::connect(format!("http://{}", self.peer)).await.unwrap()
    }

    /// Describes it until it is in this state.
    pub(crate) async fn until(&self, state: NodeState) -> DescribeResponse {
        let mut admin = self.admin().await;
        loop {
            let seen = admin.describe(DescribeRequest { detail: true }).await.unwrap().into_inner();
            if seen.state() == state {
                return seen;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Signals it; returns its exit code and the rest of its log.
    pub(crate) fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        let code = self.process.wait().unwrap().code();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_broker_alone_is_a_cluster_and_stays_one_over_kills_and_stops() {
    let root = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let broker = Broker::start(root.path());
        let fresh = broker.until(NodeState::Uninitialized).await;
        assert_eq!((fresh.broker, fresh.boot, fresh.cluster_id.as_str()), (1, 1, ""));
        let request = InitializeRequest { cluster_id: "alone".into(), brokers: 1 };
        broker.admin().await.initialize(request.clone()).await.unwrap();
        broker.admin().await.initialize(request).await.unwrap();
        let member = broker.until(NodeState::Member).await;
        assert_eq!(member.cluster_id, "alone");
        let (code, _) = broker.stop(Signal::KILL);
        assert_eq!(code, None);

        let broker = Broker::start(root.path());
        let again = broker.until(NodeState::Member).await;
        assert_eq!((again.boot, again.cluster_id.as_str()), (2, "alone"));
        assert_eq!(again.directory, member.directory);
        let (code, log) = broker.stop(Signal::TERM);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("leaderships are handed over"), "{log}");

        let broker = Broker::start(root.path());
        assert_eq!(broker.until(NodeState::Member).await.boot, 3);
        assert_eq!(broker.stop(Signal::INT).0, Some(0));
    });
}

#[test]
fn a_directory_in_use_and_a_wrong_flag_end_a_broker_at_once() {
    let root = tempfile::tempdir().unwrap();
    let first = Broker::start(root.path());
    let second = command(root.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let log = String::from_utf8(second.stderr).unwrap();
    let holder = format!("is in use by process {}", first.process.id());
    assert!(log.contains(&holder), "{log}");
    let wrong = command(root.path()).arg("--segment-bytes=7").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let log = String::from_utf8(wrong.stderr).unwrap();
    assert!(log.contains("--segment-bytes \"7\": must be from 65536 to"), "{log}");
}

#[test]
fn a_broker_with_a_certificate_answers_the_operator_and_nobody_else() {
    let (data, certificates) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ca = authority();
    let wrong = command(data.path()).arg("--tls-dir").arg(certificates.path()).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let log = String::from_utf8(wrong.stderr).unwrap();
    assert!(log.contains("(--tls-dir)"), "{log}");
    write(certificates.path(), &pair(&ca, ONE), &ca);
    on_one_thread(async {
        let broker = Broker::run(command(data.path()).arg("--tls-dir").arg(certificates.path()));
        let dial = async |name: &str| {
            let (_, current) = tokio::sync::watch::channel(of(&ca, name));
            let address = broker.peer.to_string();
            let connector = Connector::new(&address, Role::Broker(1), current);
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            AdminClient::new(endpoint.connect_with_connector(connector).await.unwrap())
        };
        let describe = DescribeRequest { detail: true };
        let mut operator = dial(OPERATOR).await;
        assert_eq!(operator.describe(describe).await.unwrap().into_inner().broker, 1);
        let refused = dial(TWO).await.describe(describe).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let plain = AdminClient::connect(format!("http://{}", broker.peer)).await;
        if let Ok(mut plain) = plain {
            plain.describe(describe).await.unwrap_err();
        }
        let (_, log) = broker.stop(Signal::TERM);
        assert!(log.contains("refusing a connection"), "{log}");
    });
}

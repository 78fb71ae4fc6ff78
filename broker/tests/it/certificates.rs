//! The port for peers and the operator with certificates: who is let in, who is not, what each is
//! told, and what happens to connections when certificates change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chronik_broker::metrics::Metrics;
use chronik_broker::net::listener::Limits;
use chronik_broker::peer::accept::{Connections, HANDSHAKES_MAX};
use chronik_broker::peer::codec::RawCodec;
use chronik_broker::peer::{STREAM_PATH, credentials, hello};
use chronik_broker::proto::admin::{BrokerRequest, admin_client::AdminClient};
use chronik_broker::proto::peer::{RaftMessage, peer_client::PeerClient};
use chronik_broker::run;
use chronik_core::admin::AdminResponse;
use chronik_core::core::input::Input;
use chronik_core::core::output::Output;
use chronik_core::ids::BrokerId;
use chronik_tls::dial::{Connector, probe};
use chronik_tls::identity::{Identity, Role};
use chronik_tls::issue::{self, Pair, Validity};
use chronik_tls::material::{AUTHORITIES, CERTIFICATE, KEY, Material};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::Code;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

use crate::fake_core::{World, hello, on_one_thread};

/// Valid for an hour, from `offset` seconds from now.
fn validity(offset: i64) -> Validity {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    Validity { not_before: now + offset - 1800, not_after: now + offset + 1800 }
}

pub(crate) fn authority() -> Pair {
    issue::authority("test", validity(0)).unwrap()
}

fn who(text: &str) -> Identity {
    text.parse().unwrap()
}

pub(crate) fn pair(authority: &Pair, name: &str) -> Pair {
    issue::certificate(authority, &who(name), validity(0)).unwrap()
}

fn material(pair: &Pair, trusted: &[&Pair]) -> Arc<Material> {
    let roots: String = trusted.iter().map(|ca| ca.certificate.as_str()).collect();
    let Pair { certificate, key } = pair;
    Arc::new(Material::from_pem(certificate.as_bytes(), key.as_bytes(), roots.as_bytes()).unwrap())
}

pub(crate) fn of(authority: &Pair, name: &str) -> Arc<Material> {
    material(&pair(authority, name), &[authority])
}

pub(crate) const OPERATOR: &str = "chronik://prod/demo/operator";
pub(crate) const ONE: &str = "chronik://prod/demo/broker/1";
pub(crate) const TWO: &str = "chronik://prod/demo/broker/2";

/// Serves the peer port of broker 2 with what `current` has.
async fn serve(world: &World, current: watch::Receiver<Arc<Material>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections::new(listener, Some(current), Arc::clone(&world.metrics));
    tokio::spawn(run::peer_server(connections, world.handle.clone()));
    address
}

async fn dial(address: SocketAddr, as_whom: Arc<Material>) -> Result<Channel, String> {
    let (_, current) = watch::channel(as_whom);
    let connector = Connector::new(&address.to_string(), Role::Broker(2), current);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let dialed = endpoint.connect_with_connector(connector).await;
    dialed.map_err(|error| format!("{error:?}"))
}

fn metric(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.render(&chronik_broker::node::engine::Inspection {
        state: chronik_core::admin::NodeState::Member,
        ready: true,
        roles: vec![],
        gauges: vec![],
        counters: vec![],
    });
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

fn refused(metrics: &Metrics) -> u64 {
    metric(metrics, "chronik_handshakes_refused_total{port=\"peer\"}")
}

#[test]
fn orders_are_the_operators_and_messages_are_brokers() {
    on_one_thread(async {
        let ca = authority();
        let world = World::start(2, Limits::default()).await;
        let (_current, seen) = watch::channel(of(&ca, TWO));
        let address = serve(&world, seen).await;
        let operator = dial(address, of(&ca, OPERATOR)).await.unwrap();
        let core = async {
            let Input::Admin { token, .. } = world.script.next().await else { panic!("no order") };
            world.put_out([Output::AdminReply { token, result: Ok(AdminResponse::Done) }]).await;
        };
        let mut admin = AdminClient::new(operator.clone());
        let (done, ()) = tokio::join!(admin.cordon(BrokerRequest { broker: 1 }), core);
        done.unwrap();
        let refused = PeerClient::new(operator).step(RaftMessage::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("only brokers"), "{refused}");

        let broker = dial(address, of(&ca, ONE)).await.unwrap();
        let mut admin = AdminClient::new(broker.clone());
        let refused = admin.cordon(BrokerRequest { broker: 1 }).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("gives no orders"), "{refused}");
        assert!(world.script.came().is_empty(), "nothing refused reaches the core");
    });
}

/// Says a hello of broker `said` over a stream of `channel`, and how the stream ends.
async fn greet(channel: Channel, said: u32) -> tonic::Status {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let frames = tokio_stream::once(vec![hello::encode(&hello(said))]);
    let path = PathAndQuery::from_static(STREAM_PATH);
    let answer = grpc.streaming(tonic::Request::new(frames), path, RawCodec).await;
    match answer.unwrap().into_inner().message().await {
        Ok(_) => tonic::Status::ok("it ended well"),
        Err(status) => status,
    }
}

#[test]
fn a_hello_is_of_whom_the_certificate_is() {
    on_one_thread(async {
        let ca = authority();
        let world = World::start(2, Limits::default()).await;
        let (_current, seen) = watch::channel(of(&ca, TWO));
        let address = serve(&world, seen).await;
        let channel = dial(address, of(&ca, ONE)).await.unwrap();
        let end = greet(channel.clone(), 3).await;
        assert_eq!(end.code(), Code::PermissionDenied);
        assert_eq!(end.message(), "the hello is of broker 3, the certificate of broker 1");
        assert!(world.script.came().is_empty());
        assert_eq!(greet(channel, 1).await.code(), Code::Ok);
        assert!(matches!(world.script.next().await, Input::PeerConnected(h) if h.broker.0 == 1));
    });
}

#[test]
fn strangers_are_refused_and_told_why() {
    on_one_thread(async {
        let (ca, other) = (authority(), authority());
        let world = World::start(2, Limits::default()).await;
        let (_current, seen) = watch::channel(of(&ca, TWO));
        let address = serve(&world, seen).await;
        let to = address.to_string();
        let expired = issue::certificate(&ca, &who(ONE), validity(-7200)).unwrap();
        let early = issue::certificate(&ca, &who(ONE), validity(7200)).unwrap();
        let strangers = [
            ("of another authority", material(&pair(&other, ONE), &[&ca])),
            ("expired", material(&expired, &[&ca])),
            ("not valid yet", material(&early, &[&ca])),
        ];
        let mut count = 0;
        for (what, stranger) in strangers {
            let error = probe(&to, Role::Broker(2), &stranger).await.unwrap_err().to_string();
            assert!(error.contains("alert"), "{what}: {error}");
            count += 1;
            assert_eq!(refused(&world.metrics), count, "{what}");
        }
        // Of another cluster with the same authority, and so expecting somebody else here.
        for stranger in ["chronik://prod/other/broker/1", "chronik://test/demo/operator"] {
            let error = probe(&to, Role::Broker(2), &of(&ca, stranger)).await.unwrap_err();
            let error = error.to_string();
            assert!(error.contains("is that of chronik://prod/demo/broker/2, and not"), "{error}");
        }
        // Whoever dials checks too: the authority, and the very broker.
        let error = probe(&to, Role::Broker(2), &material(&pair(&ca, ONE), &[&other])).await;
        assert!(error.unwrap_err().to_string().contains("invalid peer certificate"));
        let error = probe(&to, Role::Broker(3), &of(&ca, ONE)).await.unwrap_err().to_string();
        assert!(error.contains("and not of chronik://prod/demo/broker/3"), "{error}");
        // And one that is in order.
        probe(&to, Role::Broker(2), &of(&ca, ONE)).await.unwrap();
        assert!(world.script.came().is_empty());
    });
}

#[test]
fn another_cluster_is_refused_by_the_one_who_is_dialed_too() {
    on_one_thread(async {
        let ca = authority();
        let world = World::start(2, Limits::default()).await;
        // Both sides of one authority; the one dialed is taken for a broker of cluster `other`.
        let (_current, seen) = watch::channel(of(&ca, "chronik://prod/other/broker/2"));
        let address = serve(&world, seen).await.to_string();
        let config = of(&ca, ONE).client(who("chronik://prod/other/broker/2"));
        let socket = TcpStream::connect(&address).await.unwrap();
        let name = "x".try_into().unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        // The answer comes after our side of the handshake is done.
        let ended = match connector.connect(name, socket).await {
            Ok(mut stream) => stream.read_u8().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(ended.unwrap_err().to_string().contains("alert"));
        assert_eq!(refused(&world.metrics), 1);
    });
}

#[test]
fn plaintext_and_silence_cost_little() {
    on_one_thread(async {
        let ca = authority();
        let world = World::start(2, Limits::default()).await;
        let (_current, seen) = watch::channel(of(&ca, TWO));
        let address = serve(&world, seen).await;
        let plain = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await;
        if let Ok(channel) = plain {
            AdminClient::new(channel).cordon(BrokerRequest { broker: 1 }).await.unwrap_err();
        }
        assert_eq!(refused(&world.metrics), 1);
        // Many that say nothing hold no place for good: one that speaks still gets in at once.
        let mut silent = Vec::new();
        for _ in 0..HANDSHAKES_MAX * 2 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        probe(&address.to_string(), Role::Broker(2), &of(&ca, ONE)).await.unwrap();
        assert!(refused(&world.metrics) > HANDSHAKES_MAX as u64);
        // The last of them is ended too, by its time.
        let mut last = silent.pop().unwrap();
        assert_eq!(last.read(&mut [0]).await.unwrap_or(0), 0);
    });
}

#[test]
fn two_nodes_with_certificates_talk_and_go_on_when_these_change() {
    on_one_thread(async {
        let (old, new) = (authority(), authority());
        let (one_is, one_seen) = watch::channel(of(&old, ONE));
        let (two_is, two_seen) = watch::channel(of(&old, TWO));
        let one = World::with(1, Limits::default(), true, Some(one_seen), None);
        let two = World::start(2, Limits::default()).await;
        let address = serve(&two, two_seen).await;
        one.put_out([Output::Peers(vec![(BrokerId(2), address.to_string())])]).await;
        assert!(matches!(two.script.next().await, Input::PeerConnected(h) if h.broker.0 == 1));
        let payload = bytes::Bytes::from(vec![7; 3_000_000]);
        let say = async || {
            let frame = vec![payload.clone()];
            one.put_out([Output::Send { to: BrokerId(2), frame }]).await;
            match two.script.next().await {
                Input::PeerFrame { frame, .. } => assert_eq!(frame, payload),
                other => panic!("{other:?}"),
            }
        };
        say().await;
        // Another authority altogether: the open stream goes on as it is.
        two_is.send_replace(material(&pair(&new, TWO), &[&new, &old]));
        one_is.send_replace(material(&pair(&new, ONE), &[&new]));
        say().await;
        // And the next one is opened with the new certificates.
        one.put_out([Output::Peers(vec![])]).await;
        assert!(matches!(two.script.next().await, Input::PeerGone { .. }));
        one.put_out([Output::Peers(vec![(BrokerId(2), address.to_string())])]).await;
        assert!(matches!(two.script.next().await, Input::PeerConnected(h) if h.broker.0 == 1));
        say().await;
        // Whoever trusts the old one only is out.
        let of_yesterday = of(&old, ONE);
        probe(&address.to_string(), Role::Broker(2), &of_yesterday).await.unwrap_err();
    });
}

pub(crate) fn write(dir: &std::path::Path, pair: &Pair, authority: &Pair) {
    std::fs::write(dir.join(CERTIFICATE), &pair.certificate).unwrap();
    std::fs::write(dir.join(KEY), &pair.key).unwrap();
    std::fs::write(dir.join(AUTHORITIES), &authority.certificate).unwrap();
}

#[test]
fn a_broker_takes_its_own_certificate_only() {
    on_one_thread(async {
        let ca = authority();
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let none = credentials::keep(dir.path(), BrokerId(2), &metrics).unwrap_err();
        assert!(format!("{none:#}").contains("tls.crt"), "{none:#}");
        write(dir.path(), &pair(&ca, ONE), &ca);
        let other = credentials::keep(dir.path(), BrokerId(2), &metrics).unwrap_err();
        let text = format!("{other:#}");
        assert!(text.contains("is that of chronik://prod/demo/broker/1, and this is"), "{text}");
        write(dir.path(), &pair(&ca, TWO), &ca);
        let current = credentials::keep(dir.path(), BrokerId(2), &metrics).unwrap();
        assert_eq!(current.borrow().identity(), &who(TWO));
        let expires = metric(&metrics, "chronik_certificate_expires_seconds{port=\"peer\"}");
        assert_eq!(expires as i64, current.borrow().not_after());
    });
}

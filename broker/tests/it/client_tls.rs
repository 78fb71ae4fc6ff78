//! Kafka clients within TLS: requests and answers of every size, files, a certificate that changes
//! under open connections, and those who do not speak it.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use chronik_broker::metrics::Metrics;
use chronik_broker::net::listener::Limits;
use chronik_broker::net::tls;
use chronik_core::core::input::{Input, Token};
use chronik_core::core::output::Output;
use chronik_core::log::disk::Disk;
use chronik_core::meta::Listener;
use chronik_core::wire::fetch::{FetchResponse, FetchedPartition, FetchedTopic};
use chronik_core::wire::{Part, Request, ResponseBody, StrBytes, TopicRef};
use chronik_tls::issue::{self, Pair, Validity};
use chronik_tls::keeper::LOOK_EVERY;
use chronik_tls::material::{CERTIFICATE, KEY, certificates};
use chronik_tls::provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fake_core::{World, on_one_thread};

const PRODUCE_LIKE: usize = 3_000_000;

fn pair() -> Pair {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let validity = Validity { not_before: now - 60, not_after: now + 3600 };
    issue::server("broker.test", validity).unwrap()
}

fn put(dir: &Path, pair: &Pair) {
    // The key first: a moment of both that do not fit is not taken over.
    std::fs::write(dir.join(KEY), &pair.key).unwrap();
    std::fs::write(dir.join(CERTIFICATE), &pair.certificate).unwrap();
}

fn trusting(pair: &Pair) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificates(CERTIFICATE, pair.certificate.as_bytes()).unwrap().remove(0)).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn connect(world: &World, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(world.kafka).await.unwrap();
    connector.connect(ServerName::try_from("broker.test").unwrap(), socket).await
}

/// A world whose clients speak TLS with what is in `dir`.
async fn start(dir: &Path) -> (World, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let tls = tls::keep(dir, &metrics).unwrap();
    let world = World::with(1, Limits::default(), true, None, tls);
    tokio::task::yield_now().await;
    let metrics = Arc::clone(&world.metrics);
    (world, metrics)
}

/// A Fetch request of version 4 for no topics, followed by a client's name of any size.
fn fetch(correlation: i32) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_i16(1);
    body.put_i16(4);
    body.put_i32(correlation);
    body.put_i16(-1);
    for value in [-1i32, 100, 1, 1 << 20] {
        body.put_i32(value);
    }
    body.put_u8(0);
    body.put_i32(0);
    let mut frame = BytesMut::new();
    frame.put_i32(body.len().try_into().unwrap());
    frame.put_slice(&body);
    frame
}

async fn request(world: &World) -> (Token, Request) {
    match world.script.next().await {
        Input::Request { token, request, .. } => (token, request),
        other => panic!("{other:?}"),
    }
}

fn fetched(token: Token, request: &Request, records: Vec<Part>) -> Output {
    let mut partition = FetchedPartition::read(0, 10, 0);
    partition.records = records;
    let topic = TopicRef::Name(StrBytes::from_static_str("t"));
    let topics = vec![FetchedTopic { topic, partitions: vec![partition] }];
    let response = FetchResponse { topics, ..FetchResponse::default() };
    Output::Reply { token, response: Some(request.respond(ResponseBody::Fetch(response))) }
}

/// Asks once and is answered with `parts`, which are these bytes at the end of the answer.
async fn exchange(
    world: &World,
    stream: &mut TlsStream<TcpStream>,
    correlation: i32,
    parts: Vec<Part>,
    expected: &[u8],
) {
    stream.write_all(&fetch(correlation)).await.unwrap();
    stream.flush().await.unwrap();
    let (token, request) = request(world).await;
    world.put_out([fetched(token, &request, parts)]).await;
    let len = stream.read_i32().await.unwrap();
    let mut body = vec![0; len.try_into().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    assert_eq!(body[..4], correlation.to_be_bytes());
    assert!(body.ends_with(expected), "{} bytes are not those", body.len());
}

#[test]
fn requests_and_answers_of_every_size_pass() {
    on_one_thread(async {
        let (dir, pair) = (tempfile::tempdir().unwrap(), pair());
        put(dir.path(), &pair);
        let (world, _) = start(dir.path()).await;
        let mut stream = connect(&world, &trusting(&pair)).await.unwrap();
        for (i, size) in [0, 1, 16_384, 16_385, 65_536, PRODUCE_LIKE].into_iter().enumerate() {
            let bytes = Bytes::from_iter((0..size).map(|at| (at * 7 + at / 251) as u8));
            let parts = vec![Part::Memory(bytes.clone())];
            exchange(&world, &mut stream, i as i32, parts, &bytes).await;
        }
        // Many requests in one piece, answered in order.
        let all: BytesMut = (100..200).flat_map(|i| fetch(i).to_vec()).collect();
        stream.write_all(&all).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..100 {
            let (token, request) = request(&world).await;
            answers.push(fetched(token, &request, vec![]));
        }
        world.put_out(answers).await;
        for i in 100..200 {
            let len = stream.read_i32().await.unwrap();
            let mut body = vec![0; len.try_into().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            assert_eq!(body[..4], i32::to_be_bytes(i));
        }
    });
}

#[test]
fn clients_outside_speak_it_too_and_are_told_apart() {
    on_one_thread(async {
        let (dir, pair) = (tempfile::tempdir().unwrap(), pair());
        put(dir.path(), &pair);
        let (world, _) = start(dir.path()).await;
        // Kept open, so that nothing but requests comes.
        let mut open = Vec::new();
        for (address, expected) in
            [(world.external, Listener::External), (world.kafka, Listener::Internal)]
        {
            let socket = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("broker.test").unwrap();
            let mut stream = trusting(&pair).connect(name, socket).await.unwrap();
            stream.write_all(&fetch(1)).await.unwrap();
            stream.flush().await.unwrap();
            match world.script.next().await {
                Input::Request { listener, .. } => assert_eq!(listener, expected),
                other => panic!("{other:?}"),
            }
            open.push(stream);
        }
    });
}

#[test]
fn files_are_sent_from_where_they_are() {
    on_one_thread(async {
        let (dir, pair) = (tempfile::tempdir().unwrap(), pair());
        put(dir.path(), &pair);
        let (world, _) = start(dir.path()).await;
        let disk = &world.disk;
        let file = disk.open("segment", true).unwrap();
        let bytes: Vec<u8> = (0..300_000u32).map(|at| (at * 13 + at / 241) as u8).collect();
        disk.write_at(file, 0, &[&bytes]).unwrap();
        let mut stream = connect(&world, &trusting(&pair)).await.unwrap();
        let parts = vec![
            Part::Memory(Bytes::from_static(b"head")),
            Part::File { file, pos: 100, len: 250_000 },
        ];
        let expected = [b"head", &bytes[100..250_100]].concat();
        exchange(&world, &mut stream, 1, parts, &expected).await;
    });
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    on_one_thread(async {
        let (dir, old, new) = (tempfile::tempdir().unwrap(), pair(), pair());
        put(dir.path(), &old);
        let (world, _) = start(dir.path()).await;
        let mut stream = connect(&world, &trusting(&old)).await.unwrap();
        put(dir.path(), &new);
        let until = tokio::time::Instant::now() + LOOK_EVERY * 3;
        let mut later = loop {
            match connect(&world, &trusting(&new)).await {
                Ok(later) => break later,
                Err(error) => assert!(tokio::time::Instant::now() < until, "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        world.script.came();
        exchange(&world, &mut later, 1, vec![], b"").await;
        exchange(&world, &mut stream, 2, vec![], b"").await;
    });
}

#[test]
fn those_who_do_not_speak_tls_are_counted_and_closed() {
    on_one_thread(async {
        let (dir, pair) = (tempfile::tempdir().unwrap(), pair());
        put(dir.path(), &pair);
        let (world, metrics) = start(dir.path()).await;
        let mut plain = TcpStream::connect(world.kafka).await.unwrap();
        plain.write_all(&fetch(1)).await.unwrap();
        let mut rest = Vec::new();
        let _ = plain.read_to_end(&mut rest).await;
        let text = metrics.render(&chronik_broker::node::engine::Inspection {
            state: chronik_core::admin::NodeState::Member,
            ready: true,
            roles: vec![],
            gauges: vec![],
            counters: vec![],
        });
        let line = "chronik_handshakes_refused_total{port=\"kafka\"} 1";
        assert!(text.lines().any(|l| l == line), "{text}");
        assert_eq!(metrics.connections.get(), 0);
        // No request of it has reached the core.
        let came = world.script.came();
        assert!(came.iter().all(|input| matches!(input, Input::Disconnected(_))), "{came:?}");
    });
}

//! Kafka clients over real sockets: order, back-pressure, files, garbage, limits.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_broker::net::listener::Limits;
use chronik_broker::net::outbox::Room;
use chronik_broker::node::Ending;
use chronik_core::core::input::{Input, Token};
use chronik_core::core::output::Output;
use chronik_core::log::disk::Disk;
use chronik_core::meta::Listener;
use chronik_core::wire::fetch::{FetchResponse, FetchedPartition, FetchedTopic};
use chronik_core::wire::{Part, Request, ResponseBody, StrBytes, TopicRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fake_core::{World, on_one_thread};

const API_VERSIONS: i16 = 18;
const FETCH: i16 = 1;

fn frame(body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i32(body.len().try_into().unwrap());
    frame.put_slice(body);
    frame
}

fn header(api: i16, version: i16, correlation: i32) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_i16(api);
    body.put_i16(version);
    body.put_i32(correlation);
    body
}

/// An ApiVersions request of version 0: a header and nothing else.
fn api_versions(correlation: i32) -> BytesMut {
    let mut body = header(API_VERSIONS, 0, correlation);
    body.put_i16(-1);
    frame(&body)
}

/// A Fetch request of version 4: replica, wait, min, max, isolation, no topics.
fn fetch(correlation: i32) -> BytesMut {
    let mut body = header(FETCH, 4, correlation);
    body.put_i16(-1);
    for value in [-1i32, 100, 1, 1 << 20] {
        body.put_i32(value);
    }
    body.put_u8(0);
    body.put_i32(0);
    frame(&body)
}

/// The answer to it with these records.
fn fetched(token: Token, request: &Request, records: Vec<Part>) -> Output {
    let mut partition = FetchedPartition::read(0, 10, 0);
    partition.records = records;
    let topic = TopicRef::Name(StrBytes::from_static_str("t"));
    let topics = vec![FetchedTopic { topic, partitions: vec![partition] }];
    let response = FetchResponse { topics, ..FetchResponse::default() };
    Output::Reply { token, response: Some(request.respond(ResponseBody::Fetch(response))) }
}

async fn request(world: &World) -> (Token, Request) {
    match world.script.next().await {
        Input::Request { token, host, listener, request } => {
            assert_eq!((&*host, listener), ("127.0.0.1", Listener::Internal));
            (token, request)
        }
        other => panic!("{other:?}"),
    }
}

fn reply(token: Token, request: &Request) -> Output {
    let body = ResponseBody::empty(request.header.api);
    Output::Reply { token, response: Some(request.respond(body)) }
}

/// The correlation id and the rest of the next answer.
async fn answer(socket: &mut TcpStream) -> (i32, Vec<u8>) {
    let len = socket.read_i32().await.unwrap();
    let mut body = vec![0; len.try_into().unwrap()];
    socket.read_exact(&mut body).await.unwrap();
    (i32::from_be_bytes(body[..4].try_into().unwrap()), body.split_off(4))
}

async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is a close, too: the client had sent more than was read.
    socket.read_to_end(&mut rest).await.is_err() || rest.is_empty()
}

#[test]
fn answers_leave_in_the_order_of_the_requests() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let mut socket = TcpStream::connect(world.kafka).await.unwrap();
        let all: BytesMut = (0..50).flat_map(|i| api_versions(i).to_vec()).collect();
        // In pieces that end anywhere.
        for piece in all.chunks(7) {
            socket.write_all(piece).await.unwrap();
        }
        let mut requests = Vec::new();
        for seq in 0..50 {
            let (token, request) = request(&world).await;
            assert_eq!((token.seq, request.header.correlation_id), (seq, seq as i32));
            requests.push((token, request));
        }
        // Answered backwards, one of them with nothing (as acks=0 is).
        let outputs = requests.iter().rev().map(|(token, request)| match token.seq {
            20 => Output::Reply { token: *token, response: None },
            _ => reply(*token, request),
        });
        world.put_out(outputs).await;
        for seq in (0..50).filter(|seq| *seq != 20) {
            assert_eq!(answer(&mut socket).await.0, seq);
        }
        drop(socket);
        assert!(matches!(world.script.next().await, Input::Disconnected(_)));
    });
}

#[test]
fn records_leave_from_the_file_even_if_the_core_closes_it() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let file = world.disk.open("segment", true).unwrap();
        let records: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        world.disk.write_at(file, 0, &[&records]).unwrap();
        let mut socket = TcpStream::connect(world.kafka).await.unwrap();
        socket.write_all(&fetch(5)).await.unwrap();
        let (token, request) = request(&world).await;
        let part = |pos: u64, len: u32| Part::File { file, pos, len };
        let front = Part::Memory(Bytes::copy_from_slice(&records[..100]));
        let all = vec![front, part(100, 2_000_000), part(2_000_100, 999_900)];
        world.put_out([fetched(token, &request, all)]).await;
        world.disk.close(file);
        let (correlation, rest) = answer(&mut socket).await;
        assert_eq!(correlation, 5);
        assert!(rest.ends_with(&records));
        assert!(world.metrics.sent_bytes.get() > 3_000_000);
    });
}

#[test]
fn a_connection_with_too_much_outstanding_is_read_no_further() {
    on_one_thread(async {
        let room = Room { requests_max: 4, ..Room::default() };
        let world = World::start(1, Limits { room, ..Limits::default() }).await;
        let mut socket = TcpStream::connect(world.kafka).await.unwrap();
        for correlation in 0..6 {
            socket.write_all(&api_versions(correlation)).await.unwrap();
        }
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(request(&world).await);
        }
        // Another client's request overtakes the fifth: that one is held back, not just late.
        let mut other = TcpStream::connect(world.kafka).await.unwrap();
        other.write_all(&api_versions(100)).await.unwrap();
        let (_, overtaking) = request(&world).await;
        assert_eq!(overtaking.header.correlation_id, 100);
        assert!(world.script.came().is_empty());
        let (token, first) = &open[0];
        world.put_out([reply(*token, first)]).await;
        assert_eq!(answer(&mut socket).await.0, 0);
        assert_eq!(request(&world).await.1.header.correlation_id, 4);
        assert!(world.script.came().is_empty());
    });
}

#[test]
fn too_many_bytes_that_wait_for_slow_clients_cost_the_slowest_its_connection() {
    on_one_thread(async {
        // More than the sockets' buffers take, less than two of them.
        let answer_bytes: usize = 32 << 20;
        let limits = Limits { answer_bytes_max: answer_bytes * 3 / 2, ..Limits::default() };
        let world = World::start(1, limits).await;
        let records = Bytes::from(vec![7; answer_bytes]);
        let mut slow = TcpStream::connect(world.kafka).await.unwrap();
        slow.write_all(&fetch(1)).await.unwrap();
        let (token, asked) = request(&world).await;
        world.put_out([fetched(token, &asked, vec![Part::Memory(records.clone())])]).await;
        assert_eq!(world.metrics.connections_slow.get(), 0);
        for correlation in [2, 3] {
            let mut quick = TcpStream::connect(world.kafka).await.unwrap();
            quick.write_all(&fetch(correlation)).await.unwrap();
            let (token, asked) = request(&world).await;
            world.put_out([fetched(token, &asked, vec![Part::Memory(records.clone())])]).await;
            let (answered, body) = answer(&mut quick).await;
            assert_eq!(answered, correlation);
            assert!(body.ends_with(&records));
            drop(quick);
            // The slow one's end comes first, then this one's.
            let ends = if correlation == 2 { 2 } else { 1 };
            for _ in 0..ends {
                assert!(matches!(world.script.next().await, Input::Disconnected(_)));
            }
        }
        assert_eq!(world.metrics.connections_slow.get(), 1);
        let mut rest = Vec::new();
        let read = slow.read_to_end(&mut rest).await;
        assert!(read.is_err() || rest.len() < answer_bytes, "its answer was cut");
    });
}

#[test]
fn a_node_that_ends_answers_what_it_has_taken_and_takes_no_more() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let mut socket = TcpStream::connect(world.kafka).await.unwrap();
        socket.write_all(&fetch(1)).await.unwrap();
        let (token, asked) = request(&world).await;
        world.put_out([Output::Drained]).await;
        // A consumer asks on, before it is answered and after.
        socket.write_all(&fetch(2)).await.unwrap();
        world.put_out([fetched(token, &asked, Vec::new())]).await;
        assert_eq!(answer(&mut socket).await.0, 1);
        socket.write_all(&fetch(3)).await.unwrap();
        assert_eq!(world.running.await.unwrap(), Ending::Clean);
        let came = world.script.came();
        assert!(!came.iter().any(|input| matches!(input, Input::Request { .. })), "{came:?}");
    });
}

#[test]
fn garbage_closes_the_connection_after_earlier_answers() {
    on_one_thread(async {
        let limits = Limits { request_bytes_max: 1 << 20, ..Limits::default() };
        let world = World::start(1, limits).await;
        let mut lying = header(3, 9, 1);
        lying.put_i16(-1);
        lying.put_u8(0);
        lying.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x7f]);
        let garbage: [&[u8]; 6] = [
            b"\xff\xff\xff\xff",
            b"GET / HTTP/1.1\r\n\r\n",
            &(1i32 << 30).to_be_bytes(),
            &frame(b"\0"),
            &frame(&header(999, 0, 1)),
            &frame(&lying),
        ];
        for (tried, bytes) in garbage.iter().enumerate() {
            let mut socket = TcpStream::connect(world.kafka).await.unwrap();
            socket.write_all(&api_versions(7)).await.unwrap();
            socket.write_all(bytes).await.unwrap();
            let (token, first) = request(&world).await;
            world.put_out([reply(token, &first)]).await;
            assert_eq!(answer(&mut socket).await.0, 7);
            assert!(is_closed(&mut socket).await, "{bytes:?}");
            assert_eq!(world.metrics.malformed_frames.get(), tried as u64 + 1);
            assert!(matches!(world.script.next().await, Input::Disconnected(_)));
        }
    });
}

#[test]
fn an_unknown_version_of_api_versions_gets_the_table_and_the_connection_goes_on() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let mut socket = TcpStream::connect(world.kafka).await.unwrap();
        socket.write_all(&frame(&header(API_VERSIONS, 77, 9))).await.unwrap();
        let (correlation, body) = answer(&mut socket).await;
        assert_eq!((correlation, &body[..2]), (9, &35i16.to_be_bytes()[..]));
        socket.write_all(&api_versions(10)).await.unwrap();
        assert_eq!(request(&world).await.1.header.correlation_id, 10);
    });
}

#[test]
fn the_core_can_end_a_connection_in_place_of_an_answer() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let mut socket = TcpStream::connect(world.kafka).await.unwrap();
        socket.write_all(&api_versions(1)).await.unwrap();
        socket.write_all(&api_versions(2)).await.unwrap();
        let (first, asked) = request(&world).await;
        let (second, _) = request(&world).await;
        world.put_out([Output::Close(second), reply(first, &asked)]).await;
        assert_eq!(answer(&mut socket).await.0, 1);
        assert!(is_closed(&mut socket).await);
    });
}

#[test]
fn connections_have_a_limit_and_idle_ones_end() {
    on_one_thread(async {
        let idle = Duration::from_millis(300);
        let world = World::start(1, Limits { connections_max: 1, idle, ..Limits::default() }).await;
        let mut first = TcpStream::connect(world.kafka).await.unwrap();
        first.write_all(&api_versions(1)).await.unwrap();
        let (token, asked) = request(&world).await;
        let mut second = TcpStream::connect(world.kafka).await.unwrap();
        assert!(is_closed(&mut second).await);
        assert_eq!(world.metrics.connections_refused.get(), 1);
        // An open request is no idleness.
        tokio::time::sleep(2 * idle).await;
        world.put_out([reply(token, &asked)]).await;
        assert_eq!(answer(&mut first).await.0, 1);
        assert!(is_closed(&mut first).await);
        assert!(matches!(world.script.next().await, Input::Disconnected(_)));
        assert_eq!(world.metrics.connections.get(), 0);
    });
}

#[test]
fn clients_are_refused_until_the_core_can_tell_them_about_the_cluster() {
    on_one_thread(async {
        let world = World::begin(1, Limits::default(), false);
        world.handle.inspect().await.unwrap();
        let refused = TcpStream::connect(world.kafka).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

        world.script.serves_clients.set(true);
        world.handle.inspect().await.unwrap();
        let mut socket = loop {
            match TcpStream::connect(world.kafka).await {
                Ok(socket) => break socket,
                // The node has invited; the acceptor's task has not had its turn yet.
                Err(_) => tokio::task::yield_now().await,
            }
        };
        socket.write_all(&api_versions(7)).await.unwrap();
        let (token, asked) = request(&world).await;
        world.put_out([reply(token, &asked)]).await;
        assert_eq!(answer(&mut socket).await.0, 7);
    });
}

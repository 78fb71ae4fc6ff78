//! Streams between brokers: order, hello, what a reconnect drops, and the unary call.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use chronik_broker::net::listener::Limits;
use chronik_broker::peer::accept::Connections;
use chronik_broker::peer::codec::RawCodec;
use chronik_broker::peer::hello;
use chronik_broker::peer::{FRAME_BYTES_MAX, STREAM_PATH};
use chronik_broker::proto::admin::{self, admin_client::AdminClient};
use chronik_broker::proto::peer::{RaftMessage, peer_client::PeerClient};
use chronik_broker::run;
use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::core::input::{Hello, Input};
use chronik_core::core::output::Output;
use chronik_core::ids::{BrokerId, Uuid};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Streaming};

use crate::fake_core::{World, hello, on_one_thread};

/// Serves the peer port of `world`.
async fn serve(world: &World, address: &str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections::new(listener, None, Arc::clone(&world.metrics));
    let server = run::peer_server(connections, world.handle.clone());
    let task = tokio::spawn(async move { server.await.unwrap() });
    (address, task)
}

/// A stream opened by hand.
async fn open(address: SocketAddr) -> (mpsc::UnboundedSender<Vec<Bytes>>, Streaming<Bytes>) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut grpc = Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let (frames, rest) = mpsc::unbounded_channel();
    let request = tonic::Request::new(UnboundedReceiverStream::new(rest));
    let path = PathAndQuery::from_static(STREAM_PATH);
    let answers = grpc.streaming(request, path, RawCodec).await.unwrap();
    (frames, answers.into_inner())
}

fn said(input: Input) -> Hello {
    match input {
        Input::PeerConnected(hello) => hello,
        other => panic!("{other:?}"),
    }
}

fn frame(input: Input) -> (u32, Bytes) {
    match input {
        Input::PeerFrame { from, frame } => (from.0, frame),
        other => panic!("{other:?}"),
    }
}

/// Until our stream is open, or is not; its number.
async fn until_reachable(world: &World, wanted: bool) -> Option<u64> {
    loop {
        match world.script.next().await {
            Input::PeerReachable { stream, .. } if stream.is_some() == wanted => return stream,
            Input::PeerReachable { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn frames_arrive_in_order_between_two_nodes() {
    on_one_thread(async {
        let one = World::start(1, Limits::default()).await;
        let two = World::start(2, Limits::default()).await;
        let (address, _server) = serve(&two, "127.0.0.1:0").await;
        one.put_out([Output::Peers(vec![(BrokerId(2), address.to_string())])]).await;
        let first = until_reachable(&one, true).await;
        let greeting = said(two.script.next().await);
        assert_eq!((greeting.broker, Some(greeting.stream)), (BrokerId(1), first));
        let payload = Bytes::from(vec![7; 300_000]);
        for i in 0..200u32 {
            let parts = vec![Bytes::copy_from_slice(&i.to_be_bytes()), payload.clone()];
            one.put_out([Output::Send { to: BrokerId(2), frame: parts }]).await;
            if i % 50 == 49 {
                for j in i - 49..=i {
                    let (from, got) = frame(two.script.next().await);
                    assert_eq!((from, &got[..4]), (1, &j.to_be_bytes()[..]));
                    assert_eq!(got[4..], payload);
                }
            }
        }
        // A changed identity is said again, on a stream of its own.
        one.script.set_hello(Hello { cluster_id: Some("c".into()), ..hello(1) });
        assert!(matches!(two.script.next().await, Input::PeerGone { from: BrokerId(1) }));
        let again = said(two.script.next().await);
        assert_eq!(again.cluster_id.as_deref(), Some("c"));
        assert!(again.stream > greeting.stream, "a stream's number is its own");
        assert_eq!(until_reachable(&one, true).await, Some(again.stream));
        // A peer that is wanted no more loses its stream.
        one.put_out([Output::Peers(vec![])]).await;
        assert!(matches!(two.script.next().await, Input::PeerGone { from: BrokerId(1) }));
    });
}

#[test]
fn a_peer_that_comes_back_is_found_again_and_older_frames_are_gone() {
    on_one_thread(async {
        let one = World::start(1, Limits::default()).await;
        let two = World::start(2, Limits::default()).await;
        let (address, server) = serve(&two, "127.0.0.1:0").await;
        one.put_out([Output::Peers(vec![(BrokerId(2), address.to_string())])]).await;
        until_reachable(&one, true).await;
        said(two.script.next().await);
        // Aborting the server leaves its connections; those end from the other side.
        server.abort();
        assert!(server.await.is_err());
        one.put_out([Output::Peers(vec![])]).await;
        until_reachable(&one, false).await;
        one.put_out([Output::Peers(vec![(BrokerId(2), address.to_string())])]).await;
        until_reachable(&one, false).await;
        let lost = Output::Send { to: BrokerId(2), frame: vec![Bytes::from_static(b"lost")] };
        one.put_out([lost]).await;
        let (_, _server) = serve(&two, &address.to_string()).await;
        until_reachable(&one, true).await;
        let kept = Output::Send { to: BrokerId(2), frame: vec![Bytes::from_static(b"kept")] };
        one.put_out([kept]).await;
        assert!(matches!(two.script.next().await, Input::PeerGone { .. }));
        said(two.script.next().await);
        assert_eq!(frame(two.script.next().await).1, &b"kept"[..]);
    });
}

#[test]
fn frames_of_an_older_stream_are_dropped() {
    on_one_thread(async {
        let two = World::start(2, Limits::default()).await;
        let (address, _server) = serve(&two, "127.0.0.1:0").await;
        let (old, mut old_end) = open(address).await;
        old.send(vec![hello::encode(&hello(1))]).unwrap();
        said(two.script.next().await);
        old.send(vec![Bytes::from_static(b"first")]).unwrap();
        assert_eq!(frame(two.script.next().await).1, &b"first"[..]);
        let (new, _new_end) = open(address).await;
        new.send(vec![hello::encode(&Hello { boot: 2, ..hello(1) })]).unwrap();
        assert_eq!(said(two.script.next().await).boot, 2);
        old.send(vec![Bytes::from_static(b"late")]).unwrap();
        let end = old_end.message().await.unwrap_err();
        assert_eq!(end.code(), Code::Aborted);
        new.send(vec![Bytes::from_static(b"new")]).unwrap();
        // Neither the late frame nor the old stream's end is heard of.
        assert_eq!(frame(two.script.next().await).1, &b"new"[..]);
        drop(new);
        assert!(matches!(two.script.next().await, Input::PeerGone { from: BrokerId(1) }));
    });
}

#[test]
fn a_second_process_with_a_brokers_id_does_not_take_its_place() {
    on_one_thread(async {
        let two = World::start(2, Limits::default()).await;
        let ours = Uuid::from_u128(1);
        two.script.registered.set(Some(ours));
        let (address, _server) = serve(&two, "127.0.0.1:0").await;
        let (first, _first_end) = open(address).await;
        first.send(vec![hello::encode(&hello(1))]).unwrap();
        assert_eq!(said(two.script.next().await).directory, ours);
        let fresh = Hello { directory: Uuid::from_u128(9), ..hello(1) };
        let copy = Hello { boot: 2, peer_address: "elsewhere:9192".into(), ..hello(1) };
        for stranger in [fresh.clone(), copy] {
            let (frames, mut end) = open(address).await;
            frames.send(vec![hello::encode(&stranger)]).unwrap();
            let refused = end.message().await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition);
            assert!(refused.message().contains("broker-1:9192"), "{refused}");
        }
        assert_eq!(two.metrics.peer_refused.get(), 2);
        // Nothing of them has reached the core, and the first stream goes on.
        first.send(vec![Bytes::from_static(b"on")]).unwrap();
        assert_eq!(frame(two.script.next().await).1, &b"on"[..]);
        // With the other one gone, it is the core that judges.
        drop(first);
        assert!(matches!(two.script.next().await, Input::PeerGone { .. }));
        let (frames, _end) = open(address).await;
        frames.send(vec![hello::encode(&fresh)]).unwrap();
        assert_eq!(said(two.script.next().await).directory, fresh.directory);
        // And the true one need not wait for it.
        let (frames, _end) = open(address).await;
        frames.send(vec![hello::encode(&hello(1))]).unwrap();
        assert_eq!(said(two.script.next().await).directory, ours);
    });
}

#[test]
fn a_stream_that_says_nothing_is_ended() {
    on_one_thread(async {
        let two = World::start(2, Limits::default()).await;
        let (address, _server) = serve(&two, "127.0.0.1:0").await;
        let (_frames, mut end) = open(address).await;
        assert_eq!(end.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    });
}

#[test]
fn a_stream_without_a_sound_hello_is_refused() {
    on_one_thread(async {
        let two = World::start(2, Limits::default()).await;
        let (address, _server) = serve(&two, "127.0.0.1:0").await;
        let (frames, mut end) = open(address).await;
        frames.send(vec![Bytes::from_static(b"\x01garbage")]).unwrap();
        assert_eq!(end.message().await.unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(two.metrics.peer_malformed.get(), 1);
        let (frames, mut end) = open(address).await;
        frames.send(vec![hello::encode(&hello(1))]).unwrap();
        said(two.script.next().await);
        frames.send(vec![Bytes::from(vec![0; FRAME_BYTES_MAX + 1])]).unwrap();
        assert_eq!(end.message().await.unwrap_err().code(), Code::OutOfRange);
        assert!(matches!(two.script.next().await, Input::PeerGone { .. }));
    });
}

#[test]
fn unary_calls_reach_the_core_and_come_back() {
    on_one_thread(async {
        let world = World::start(1, Limits::default()).await;
        let (address, _server) = serve(&world, "127.0.0.1:0").await;
        let url = format!("http://{address}");
        let mut peer = PeerClient::connect(url.clone()).await.unwrap();
        let message = RaftMessage {
            topic: "__meta".into(),
            partition: 0,
            message: Bytes::from_static(b"raft"),
        };
        let core = async {
            let Input::Step { topic, message, token, .. } = world.script.next().await else {
                panic!("no step");
            };
            assert_eq!((topic.as_str(), &message[..]), ("__meta", &b"raft"[..]));
            world.put_out([Output::StepReply { token, result: Err("no such group".into()) }]).await;
        };
        let (answer, ()) = tokio::join!(peer.step(message), core);
        let answer = answer.unwrap().into_inner();
        assert_eq!((answer.success, answer.error.as_str()), (false, "no such group"));

        let mut operator = AdminClient::connect(url).await.unwrap();
        let core = async {
            let Input::Admin { token, request } = world.script.next().await else {
                panic!("no admin call");
            };
            assert!(matches!(request, AdminRequest::Cordon(BrokerId(4))));
            world.put_out([Output::AdminReply { token, result: Ok(AdminResponse::Done) }]).await;
            let Input::Admin { token, .. } = world.script.next().await else {
                panic!("no admin call");
            };
            let error = AdminError::NotLeader { what: "__meta".into(), leader: Some(BrokerId(3)) };
            world.put_out([Output::AdminReply { token, result: Err(error) }]).await;
            let Input::Admin { token, request } = world.script.next().await else {
                panic!("no admin call");
            };
            let AdminRequest::SetRack { broker: BrokerId(4), directory, rack } = request else {
                panic!("another call");
            };
            assert_eq!((directory.as_u128(), rack.as_deref()), (5, Some("r")));
            world.put_out([Output::AdminReply { token, result: Ok(AdminResponse::Done) }]).await;
            let Input::Admin { token, request } = world.script.next().await else {
                panic!("no admin call");
            };
            let AdminRequest::SetAdvertised { broker: BrokerId(4), directory, address } = request
            else {
                panic!("another call");
            };
            assert_eq!((directory.as_u128(), address.as_deref()), (5, Some("h:1")));
            world.put_out([Output::AdminReply { token, result: Ok(AdminResponse::Done) }]).await;
        };
        let calls = async {
            let broker = admin::BrokerRequest { broker: 4 };
            operator.cordon(broker).await.unwrap();
            let refused = operator.uncordon(broker).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable);
            assert_eq!(refused.metadata().get("chronik-leader").unwrap(), "3");
            let rack = Some("r".to_owned());
            let directory = Uuid::from_u128(5).to_string();
            let request = admin::SetRackRequest { broker: 4, directory: directory.clone(), rack };
            operator.set_rack(request).await.unwrap();
            let address = Some("h:1".to_owned());
            let request = admin::SetAdvertisedRequest { broker: 4, directory, address };
            operator.set_advertised(request).await.unwrap();
            let wrong = operator.wipe(admin::WipeRequest { directory: "x".into() }).await;
            assert_eq!(wrong.unwrap_err().code(), Code::InvalidArgument);
        };
        tokio::join!(calls, core);
    });
}

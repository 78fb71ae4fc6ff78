//! The broker as users run it, with a listener inside and one outside: clients of either are told the
//! addresses of their own.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_broker::proto::admin::{InitializeRequest, NodeState, SetAdvertisedRequest};
use kafka_protocol::messages::{self as m, ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fake_core::on_one_thread;
use crate::process::{Broker, command};

/// Asks a broker at this address once.
async fn ask<R: Decodable>(
    at: SocketAddr,
    api: ApiKey,
    version: i16,
    request: &impl Encodable,
) -> R {
    let mut body = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .encode(&mut body, api.request_header_version(version))
        .unwrap();
    request.encode(&mut body, version).unwrap();
    let mut frame = BytesMut::new();
    frame.put_i32(body.len().try_into().unwrap());
    frame.put_slice(&body);
    // Until clients are served they are refused. The whole test has a deadline.
    let mut socket = loop {
        match TcpStream::connect(at).await {
            Ok(socket) => break socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    socket.write_all(&frame).await.unwrap();
    let len = socket.read_i32().await.unwrap();
    let mut answer = vec![0; len.try_into().unwrap()];
    socket.read_exact(&mut answer).await.unwrap();
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, api.response_header_version(version)).unwrap();
    R::decode(&mut answer, version).unwrap()
}

/// What each answer that names brokers says of broker 1, as `host:port`.
async fn told(at: SocketAddr) -> [Option<String>; 3] {
    let address = |host: &StrBytes, port: i32| format!("{host}:{port}");
    let all = m::MetadataRequest::default();
    let metadata: m::MetadataResponse = ask(at, ApiKey::Metadata, 12, &all).await;
    let all = m::DescribeClusterRequest::default();
    let cluster: m::DescribeClusterResponse = ask(at, ApiKey::DescribeCluster, 1, &all).await;
    let key = m::FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
    let found: m::FindCoordinatorResponse = ask(at, ApiKey::FindCoordinator, 3, &key).await;
    [
        metadata.brokers.first().map(|broker| address(&broker.host, broker.port)),
        cluster.brokers.first().map(|broker| address(&broker.host, broker.port)),
        (found.error_code == 0).then(|| address(&found.host, found.port)),
    ]
}

/// Asks until all answers say this: an order is carried out a moment after it is given, and so is an
/// election.
async fn until(at: SocketAddr, expected: Option<&str>) {
    let expected = [0; 3].map(|_| expected.map(str::to_owned));
    while told(at).await != expected {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn clients_are_told_the_addresses_of_the_listener_that_they_came_through() {
    let data = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let mut with_both = command(data.path());
        with_both.arg("--kafka-external-listen=127.0.0.1:0");
        let broker = Broker::run(&mut with_both);
        let (inside, outside) =
            (broker.address("kafka").unwrap(), broker.address("kafka_external").unwrap());
        let request = InitializeRequest { cluster_id: "alone".into(), brokers: 1 };
        broker.admin().await.initialize(request).await.unwrap();
        let member = broker.until(NodeState::Member).await;
        until(inside, Some(&inside.to_string())).await;
        // Nobody has said yet where clients outside find it.
        until(outside, None).await;
        let advertise = async |address: Option<&str>| {
            let (directory, address) = (member.directory.clone(), address.map(str::to_owned));
            let request = SetAdvertisedRequest { broker: 1, directory, address };
            broker.admin().await.set_advertised(request).await.map(drop)
        };
        advertise(Some("kafka-1.example:30001")).await.unwrap();
        until(outside, Some("kafka-1.example:30001")).await;
        until(inside, Some(&inside.to_string())).await;
        for wrong in ["kafka-1.example", "kafka-1.example:0", ":1", ""] {
            let refused = advertise(Some(wrong)).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{wrong}");
        }
        assert_eq!(broker.stop(Signal::TERM).0, Some(0));

        // What was told outlives the process; without the flag nobody listens outside.
        let broker = Broker::run(&mut with_both);
        let outside = broker.address("kafka_external").unwrap();
        until(outside, Some("kafka-1.example:30001")).await;
        broker.stop(Signal::KILL);
        let broker = Broker::run(&mut command(data.path()));
        assert_eq!(broker.address("kafka_external"), None);
        broker.stop(Signal::TERM);
    });
}

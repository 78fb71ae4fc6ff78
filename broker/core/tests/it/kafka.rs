//! A Kafka client for one broker: requests and answers go through their bytes, in the version that
//! the test names.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_core::admin::AdminRequest;
use chronik_core::core::input::{ConnId, Input, Token};
use chronik_core::ids::BrokerId;
use chronik_core::log::disk::Disk;
use chronik_core::meta::Listener;
use chronik_core::wire::api::ApiKey;
use chronik_core::wire::{Part, decode_request, encode_response};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::cluster::Cluster;

/// A cluster with a client.
pub(crate) struct Client {
    pub(crate) cluster: Cluster,
    pub(crate) broker: BrokerId,
    seq: u64,
    /// The listener that it comes through.
    pub(crate) listener: Listener,
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

impl Client {
    /// A cluster of one broker.
    pub(crate) fn new() -> Client {
        let mut cluster = Cluster::new(1);
        let request = AdminRequest::Initialize { cluster_id: "c".into(), brokers: 1 };
        cluster.order(BrokerId(1), request).unwrap();
        cluster.run(3_000);
        Client::of(cluster, BrokerId(1))
    }

    /// A client of one of a cluster's brokers.
    pub(crate) fn of(cluster: Cluster, broker: BrokerId) -> Client {
        Client { cluster, broker, seq: 0, listener: Listener::Internal }
    }

    /// Sends a request and lets nothing but the disk act.
    pub(crate) fn send(&mut self, api: ApiKey, version: i16, request: &impl Encodable) -> Token {
        let token = Token { conn: ConnId(1), seq: self.seq };
        self.seq += 1;
        let flexible = api.flexible(version);
        let mut frame = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(api.code())
            .with_request_api_version(version)
            .with_correlation_id(7)
            .with_client_id(Some(text("client")))
            .encode(&mut frame, if flexible { 2 } else { 1 })
            .unwrap();
        request
            .encode(&mut frame, version)
            .unwrap_or_else(|error| panic!("{} v{version}: {error}", api.name()));
        let request = decode_request(frame.freeze())
            .unwrap_or_else(|error| panic!("{} v{version}: {error}", api.name()));
        let (host, listener) = (Arc::from("127.0.0.1"), self.listener);
        let input = Input::Request { token, host, listener, request };
        self.cluster.input(self.broker, input);
        token
    }

    /// The answer to a request, waited for up to 20 s; it must be whole and nothing more.
    pub(crate) fn answer<R: Decodable>(&mut self, api: ApiKey, version: i16, token: Token) -> R {
        let name = format!("{} v{version}", api.name());
        for _ in 0..200 {
            if self.cluster.replies.contains_key(&token) {
                break;
            }
            self.cluster.run(100);
        }
        let reply = self.cluster.replies.remove(&token);
        let reply = reply.unwrap_or_else(|| panic!("{name}: no answer")).unwrap();
        let parts = encode_response(reply).unwrap_or_else(|error| panic!("{name}: {error}"));
        let bytes: Vec<u8> = parts
            .iter()
            .flat_map(|part| match part {
                Part::Memory(bytes) => bytes.to_vec(),
                Part::File { file, pos, len } => {
                    let disk = &self.cluster.nodes[&self.broker].disk;
                    disk.read_at(*file, *pos, *len as usize).unwrap().to_vec()
                }
            })
            .collect();
        let mut bytes = Bytes::from(bytes).split_off(4);
        let header = i16::from(api.tagged_response_header(version));
        assert_eq!(ResponseHeader::decode(&mut bytes, header).unwrap().correlation_id, 7, "{name}");
        let body = R::decode(&mut bytes, version).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(bytes.is_empty(), "{name}: {} bytes too many", bytes.len());
        body
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask<R: Decodable>(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &impl Encodable,
    ) -> R {
        let token = self.send(api, version, request);
        self.answer(api, version, token)
    }
}

//! The life of three nodes: birth, election, heartbeats through `Step`, death of the leader.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use chronik_e2e::admin;
use chronik_e2e::cluster::{Cluster, STALL};
use chronik_e2e::wait::{self, Look};
use chronik_raft_bridge::encode_raft_message;
use raft::eraftpb::MessageType;
use raft::prelude::Message as RaftMessage;

use crate::scenario::{ensure, equal};

#[test]
fn three_nodes_elect_beat_and_survive_their_leader() {
    let result = (|| -> Result<()> {
        let mut cluster = Cluster::start(3)?;
        let leader = cluster.meta_leader()?;
        let address = cluster.broker(leader)?.peer;
        let described = admin::describe(&address)?;
        let group = described.groups.iter().find(|group| group.topic == "__meta");
        let group = group.context("the leader describes __meta")?;
        let members = admin::members(group)?;
        equal("voters", members.voters.len(), 3)?;

        // A heartbeat of the leader to each follower, through the unary call.
        for peer in members.voters.iter().filter(|peer| **peer != group.leader) {
            let broker = u32::try_from(peer & 0xf_ffff)?;
            let heartbeat = RaftMessage {
                msg_type: MessageType::MsgHeartbeat as i32,
                to: *peer,
                from: group.leader,
                term: group.term,
                ..Default::default()
            };
            let follower = cluster.broker(broker)?.peer;
            let bytes = encode_raft_message(&heartbeat)?;
            admin::step(&follower, "__meta", 0, bytes.clone())
                .with_context(|| format!("heartbeat to broker {broker}"))?;
            // The topic's id may be named too, and what makes no sense is an answer, not an end.
            let nonsense = admin::step(&follower, "__meta", 0, vec![0x08, 0x7f]);
            ensure(nonsense.is_err(), "a message of type 127 was taken")?;
            ensure(
                admin::step(&follower, "no-such-topic", 0, bytes).is_err(),
                "a stranger's topic",
            )?;
        }

        // Without the operator, which would start it again in time to lead once more.
        cluster.kill_operator();
        cluster.kill_broker(leader)?;
        let next = wait::until("another leader", STALL, || match cluster.meta_leader() {
            Ok(next) if next != leader => Ok(Look::Done(next)),
            other => wait::at(other.map_err(|error| error.to_string())),
        })?;
        let address = cluster.broker(next)?.peer;
        let described = admin::describe(&address)?;
        let after = described.groups.iter().find(|group| group.topic == "__meta");
        ensure(after.context("__meta")?.term > group.term, "the term did not grow")?;
        cluster.start_operator(None)?;
        cluster.wait_converged(3)?;

        for broker in cluster.brokers() {
            equal("/healthz", get(&broker.http, "/healthz")?.0, 200)?;
            equal("/readyz", get(&broker.http, "/readyz")?.0, 200)?;
            let (code, metrics) = get(&broker.http, "/metrics")?;
            equal("/metrics", code, 200)?;
            ensure(metrics.contains("# TYPE "), format!("no metrics: {metrics}"))?;
            equal("an unknown page", get(&broker.http, "/nothing")?.0, 404)?;
        }

        // Whoever leads hands over when asked.
        let leader = cluster.meta_leader()?;
        let address = cluster.broker(leader)?.peer;
        admin::transfer_leadership(&address, "__meta", 0, None)?;
        wait::until_true("a handover", Duration::from_secs(20), || {
            cluster.meta_leader().is_ok_and(|now| now != leader)
        })?;
        cluster.stop()?;
        cluster.check_logs()
    })();
    result.expect("three nodes live");
}

/// The status and the body of a page.
fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).context("a status line")?.parse()?;
    let body = answer.split_once("\r\n\r\n").context("an empty line")?.1.to_owned();
    Ok((code, body))
}

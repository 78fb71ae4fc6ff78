//! The life of three raft nodes whose messages all pass through the bridge and the unary `Step`
//! call: election, heartbeats, ten entries, the death of the leader.
//!
//! Chronik's own nodes are not involved (see the cluster tests for those): this is raft 0.7.0, the
//! bridge and tonic, with their three generations of protobuf, in one process.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod node;

use std::collections::BTreeMap;
use std::time::Duration;

use raft::eraftpb::MessageType;

use crate::node::{Node, Report};

const STALL: Duration = Duration::from_secs(30);

/// Reports of all nodes until `is_done` says so; a stall is a failure with the last of them.
async fn watch(
    nodes: &mut BTreeMap<u64, Node>,
    what: &str,
    is_done: impl Fn(&BTreeMap<u64, Report>) -> bool,
) -> BTreeMap<u64, Report> {
    let mut last = BTreeMap::new();
    loop {
        for (id, node) in nodes.iter() {
            last.insert(*id, node.report.borrow().clone());
        }
        if is_done(&last) {
            return last;
        }
        let changes = nodes.values_mut().map(|node| Box::pin(node.report.changed()));
        let changes: Vec<_> = changes.collect();
        let next = tokio::time::timeout(STALL, first_of(changes)).await;
        assert!(next.is_ok(), "waited for {what}: {last:?}");
    }
}

/// Completes with whichever comes first.
async fn first_of<F: Future + Unpin>(mut futures: Vec<F>) -> F::Output {
    std::future::poll_fn(|context| {
        for future in &mut futures {
            if let std::task::Poll::Ready(value) = std::pin::Pin::new(future).poll(context) {
                return std::task::Poll::Ready(value);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn leader(reports: &BTreeMap<u64, Report>) -> Option<u64> {
    let led = reports.values().next()?.leader;
    (led != 0 && reports.values().all(|report| report.leader == led)).then_some(led)
}

#[tokio::test]
async fn three_nodes_live_through_step() {
    let mut nodes = node::start(&[1, 2, 3]).await;

    let reports = watch(&mut nodes, "a leader", |reports| leader(reports).is_some()).await;
    let first = leader(&reports).unwrap();

    let heartbeat = MessageType::MsgHeartbeat as i32;
    let answer = MessageType::MsgHeartbeatResponse as i32;
    let count = |report: &Report, kind: i32| report.received.get(&kind).copied().unwrap_or(0);
    watch(&mut nodes, "ten heartbeats each way", |reports| {
        reports.iter().all(|(id, report)| {
            let kind = if *id == first { answer } else { heartbeat };
            count(report, kind) >= 10
        })
    })
    .await;

    for number in 0..10u8 {
        nodes[&first].propose(vec![number]).await;
    }
    let expected: Vec<Vec<u8>> = (0..10).map(|number| vec![number]).collect();
    let reports = watch(&mut nodes, "ten entries everywhere", |reports| {
        reports.values().all(|report| report.applied == expected)
    })
    .await;
    let term = reports[&first].term;

    nodes.remove(&first).unwrap().stop();
    let reports = watch(&mut nodes, "another leader", |reports| {
        leader(reports).is_some_and(|now| now != first)
    })
    .await;
    let second = leader(&reports).unwrap();
    assert!(reports[&second].term > term);
    nodes[&second].propose(b"after".to_vec()).await;
    watch(&mut nodes, "an entry of the new leader", |reports| {
        reports.values().all(|report| report.applied.last().is_some_and(|data| data == b"after"))
    })
    .await;
}

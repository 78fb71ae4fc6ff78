//! Which answers come, in which order, and what they say about leaders and names.

use std::time::Duration;

use anyhow::{Context, Result};
use chronik_e2e::raw::{Connection, NO_SEQUENCE, batch};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchResponse, ProduceResponse,
};

use super::reads::{fetch, fetch_request};
use crate::scenario::{ensure, equal};
use crate::target::{Target, text};

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text("e2e"))
        .with_client_software_version(text("1"))
}

/// A fetch that has to wait, and behind it a request that is ready at once.
pub(crate) fn in_order(target: &Target) -> Result<()> {
    let topic = target.topic("in-order", 1, &[])?;
    let mut connection = topic.leader()?;
    let waits = fetch_request(&topic, 12, 0, 1 << 20).with_max_wait_ms(700).with_min_bytes(1);
    let first = connection.send(ApiKey::Fetch, 12, &waits)?;
    let second = connection.send(ApiKey::ApiVersions, 3, &api_versions())?;
    let _: FetchResponse = connection.receive(ApiKey::Fetch, 12, first)?;
    let _: ApiVersionsResponse = connection.receive(ApiKey::ApiVersions, 3, second)?;
    Ok(())
}

pub(crate) fn none_for_acks_0(target: &Target) -> Result<()> {
    let topic = target.topic("acks-0", 1, &[])?;
    let mut connection = topic.leader()?;
    let silent = topic.produce_request(9, 0, batch(1, NO_SEQUENCE, &[b"quiet"]));
    connection.send(ApiKey::Produce, 9, &silent)?;
    ensure(connection.is_silent(Duration::from_millis(300))?, "acks=0 was answered")?;
    let next = connection.send(ApiKey::ApiVersions, 3, &api_versions())?;
    let _: ApiVersionsResponse = connection.receive(ApiKey::ApiVersions, 3, next)?;
    // A second record with acks=all comes behind the first, which is therefore there.
    let answer = topic.produce(&mut connection, 9, batch(1, NO_SEQUENCE, &[b"loud"]))?;
    equal("offset of the next record", answer.base_offset, 1)
}

/// KIP-951: the error comes with the leader and where to reach it.
pub(crate) fn leader_hint(target: &Target) -> Result<()> {
    let topic = target.topic("hint", 1, &[])?;
    let leader = topic.leaders.first().context("a leader")?;
    let metadata = target.metadata(9, None, false)?;
    let address = |host: &str, port: i32| format!("{host}:{port}");
    let follower = metadata.brokers.iter().find_map(|broker| {
        let address = address(broker.host.as_str(), broker.port);
        (address != *leader).then_some(address)
    });
    let mut connection = Connection::open(&follower.context("a broker that does not lead")?)?;
    let request = topic.produce_request(10, -1, batch(1, NO_SEQUENCE, &[b"x"]));
    let answer: ProduceResponse = connection.call(ApiKey::Produce, 10, &request)?;
    let topic_answer = answer.responses.first().context("an answer for the topic")?;
    let partition = topic_answer.partition_responses.first().context("for the partition")?;
    equal("Produce: error", partition.error_code, 6)?;
    let hinted = partition.current_leader.leader_id;
    let endpoint = answer.node_endpoints.iter().find(|node| node.node_id == hinted);
    let endpoint = endpoint.context("Produce: no endpoint for the hinted leader")?;
    equal("Produce: hint", address(endpoint.host.as_str(), endpoint.port), leader.clone())
}

pub(crate) fn auto_create(target: &Target) -> Result<()> {
    let name = format!("auto-{}", std::process::id());
    let refused = target.metadata(9, Some(&[&name]), false)?;
    equal("not to be made", refused.topics.first().context("an answer")?.error_code, 3)?;
    target.metadata(9, Some(&[&name]), true)?;
    let made = chronik_e2e::wait::until_true("the topic", Duration::from_secs(20), || {
        target.leaders(&name).is_ok_and(|leaders| !leaders.is_empty())
    });
    made.context("a topic that the client allowed to be made")?;
    let bad = target.metadata(9, Some(&["not a name!"]), true)?;
    equal("an impossible name", bad.topics.first().context("an answer")?.error_code, 17)
}

pub(crate) fn unknown_topic_id(target: &Target) -> Result<()> {
    let mut topic = target.topic("wrong-id", 1, &[])?;
    let mut connection = topic.leader()?;
    topic.id = uuid::Uuid::from_u128(0xdead_beef);
    let answer = topic.produce(&mut connection, 13, batch(1, NO_SEQUENCE, &[b"x"]))?;
    equal("Produce v13", answer.error_code, 100)?;
    equal("Fetch v13", fetch(&topic, &mut connection, 13, 0, 1 << 20)?.error_code, 100)
}

//! The admin service's orders about topics, blocking, with the status that refuses them.

use std::sync::Arc;

use anyhow::{Context, Result};
use chronik_tls::material::Material;
use tonic::{Response, Status};

use super::proto::admin_client::AdminClient;
use super::proto::{
    AlterTopicRequest, CreateTopicRequest, DeleteTopicRequest, DescribeTopicRequest, Topic,
};
use super::{block_on, channel, channel_as};

/// What a broker answered: a value, or the status of its refusal.
pub type Answer<T> = Result<T, Box<Status>>;

fn answer<T>(answer: Result<Response<T>, Status>) -> Answer<T> {
    answer.map(Response::into_inner).map_err(Box::new)
}

/// Asks the broker whose peer port is `address` about a topic.
pub fn describe(address: &str, name: &str) -> Result<Answer<Topic>> {
    let request = DescribeTopicRequest { name: name.to_owned() };
    block_on(async {
        let mut client = AdminClient::new(channel(address).await?);
        Ok(answer(client.describe_topic(request).await))
    })
}

/// As [`describe`], of a broker that asks for a certificate: with the operator's.
pub fn describe_as(
    address: &str,
    broker: u32,
    operator: Arc<Material>,
    name: &str,
) -> Result<Answer<Topic>> {
    let request = DescribeTopicRequest { name: name.to_owned() };
    block_on(async {
        let mut client = AdminClient::new(channel_as(address, broker, operator).await?);
        Ok(answer(client.describe_topic(request).await))
    })
}

/// Orders a topic.
pub fn create(address: &str, request: CreateTopicRequest) -> Result<Answer<Topic>> {
    block_on(async {
        let mut client = AdminClient::new(channel(address).await?);
        Ok(answer(client.create_topic(request).await))
    })
}

/// Orders a change of a topic.
pub fn alter(address: &str, request: AlterTopicRequest) -> Result<Answer<Topic>> {
    block_on(async {
        let mut client = AdminClient::new(channel(address).await?);
        Ok(answer(client.alter_topic(request).await))
    })
}

/// Orders the end of a topic.
pub fn delete(address: &str, name: &str, id: &str) -> Result<Answer<()>> {
    let request = DeleteTopicRequest { name: name.to_owned(), id: id.to_owned() };
    block_on(async {
        let mut client = AdminClient::new(channel(address).await?);
        Ok(answer(client.delete_topic(request).await).map(drop))
    })
}

/// The broker that a "not the leader" names.
pub fn leader_named(status: &Status) -> Result<u32> {
    let leader = status.metadata().get("chronik-leader").context("no leader is named")?;
    Ok(leader.to_str()?.parse()?)
}

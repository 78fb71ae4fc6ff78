//! The admin and peer services as a caller sees them, blocking: tests play the operator.

pub mod topics;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chronik_raft_bridge::decode_conf_state;
use chronik_tls::dial::Connector;
use chronik_tls::identity::Role;
use chronik_tls::material::Material;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

/// Generated from broker/proto/admin.proto.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod proto {
    tonic::include_proto!("chronik.admin.v1");
}

/// Generated from broker/proto/peer.proto.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod peer {
    tonic::include_proto!("chronik.peer.v1");
}

use proto::admin_client::AdminClient;
use proto::{DescribeRequest, DescribeResponse, Group};

/// No call takes longer: an unreachable broker is an answer too.
const CALL: Duration = Duration::from_secs(5);

/// Runs one call to its end on a runtime of its own.
fn block_on<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(call)
}

fn endpoint(address: &str) -> Result<Endpoint> {
    Ok(Endpoint::new(format!("http://{address}"))?.connect_timeout(CALL).timeout(CALL))
}

async fn channel(address: &str) -> Result<Channel> {
    endpoint(address)?.connect().await.with_context(|| format!("cannot reach {address}"))
}

/// To a broker that asks for a certificate: with the operator's.
async fn channel_as(address: &str, broker: u32, operator: Arc<Material>) -> Result<Channel> {
    let (_, current) = watch::channel(operator);
    let connector = Connector::new(address, Role::Broker(broker), current);
    Ok(endpoint(address)?.connect_with_connector(connector).await?)
}

/// What the broker whose peer port is `address` says of itself and sees.
pub fn describe(address: &str) -> Result<DescribeResponse> {
    block_on(async {
        let mut client = AdminClient::new(channel(address).await?);
        Ok(client.describe(DescribeRequest { detail: true }).await?.into_inner())
    })
}

/// As [`describe`], of a broker that asks for a certificate: with the operator's.
pub fn describe_as(
    address: &str,
    broker: u32,
    operator: Arc<Material>,
) -> Result<DescribeResponse> {
    block_on(async {
        let mut client = AdminClient::new(channel_as(address, broker, operator).await?);
        Ok(client.describe(DescribeRequest { detail: true }).await?.into_inner())
    })
}

/// Makes a cluster of the one broker whose peer port is `address`.
pub fn initialize(address: &str, cluster_id: &str) -> Result<()> {
    let request = proto::InitializeRequest { cluster_id: cluster_id.to_owned(), brokers: 1 };
    block_on(async {
        AdminClient::new(channel(address).await?).initialize(request).await?;
        Ok(())
    })
}

/// Hands the leadership of a group over to a peer, or to whom its leader likes.
pub fn transfer_leadership(
    address: &str,
    topic: &str,
    partition: u32,
    to: Option<u64>,
) -> Result<()> {
    let to = to.unwrap_or(0);
    let request = proto::TransferLeadershipRequest { topic: topic.to_owned(), partition, to };
    block_on(async {
        AdminClient::new(channel(address).await?).transfer_leadership(request).await?;
        Ok(())
    })
}

/// One raft message through the unary `Step` call; its error text is an error here.
pub fn step(address: &str, topic: &str, partition: u32, message: Vec<u8>) -> Result<()> {
    let request = peer::RaftMessage { topic: topic.to_owned(), partition, message };
    block_on(async {
        let mut client = peer::peer_client::PeerClient::new(channel(address).await?);
        let answer = client.step(request).await?.into_inner();
        if !answer.success {
            bail!("{}", answer.error);
        }
        Ok(())
    })
}

/// A group's members as raft has them: voters, learners, and whether it is between two sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Peers that vote.
    pub voters: Vec<u64>,
    /// Peers that do not.
    pub learners: Vec<u64>,
    /// In a joint state.
    pub is_joint: bool,
}

/// Reads the members out of a described group.
pub fn members(group: &Group) -> Result<Members> {
    let state = decode_conf_state(&Bytes::from(group.conf_state.clone()))?;
    Ok(Members {
        is_joint: !state.voters_outgoing.is_empty(),
        voters: state.voters,
        learners: state.learners,
    })
}

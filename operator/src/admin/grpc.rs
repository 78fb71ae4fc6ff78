//! The admin client: one lazy channel a broker, a deadline on every call. A deadline that passes
//! means "unknown", never "done" and never "gone".

use std::collections::BTreeMap;
use std::time::Duration;

use chronik_plan::{BrokerId, Step};
use tonic::transport::{Channel, Endpoint};

use super::convert::{self, ConvertError};
use super::proto::admin_client::AdminClient;
use super::proto::{self, DescribeRequest, DescribeResponse};

/// How long one call may take.
pub const RPC_DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum AdminError {
    #[error("address {address} of broker {broker} makes no sense")]
    Address { broker: BrokerId, address: String, source: tonic::transport::Error },
    #[error("broker {broker}: {}", .status.message())]
    Refused { broker: BrokerId, status: Box<tonic::Status> },
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error("{0} is not a call to a broker")]
    NotACall(String),
}

/// Channels to brokers, by address.
#[derive(Debug, Default)]
pub struct Admin {
    channels: BTreeMap<String, AdminClient<Channel>>,
}

impl Admin {
    /// A client of one broker; it connects when it is first used.
    pub fn client(
        &mut self,
        broker: BrokerId,
        address: &str,
    ) -> Result<AdminClient<Channel>, AdminError> {
        if let Some(client) = self.channels.get(address) {
            return Ok(client.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|source| AdminError::Address { broker, address: address.into(), source })?
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(RPC_DEADLINE);
        let client =
            AdminClient::new(endpoint.connect_lazy()).max_decoding_message_size(64 * 1024 * 1024);
        self.channels.insert(address.into(), client.clone());
        Ok(client)
    }
}

/// Asks one broker what it is and sees.
pub async fn describe(mut client: AdminClient<Channel>) -> Result<DescribeResponse, tonic::Status> {
    let call = client.describe(DescribeRequest { detail: true });
    match tokio::time::timeout(RPC_DEADLINE, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(tonic::Status::deadline_exceeded("no answer within 5 s")),
    }
}

/// Carries out a step that is a call to a broker.
pub async fn perform(
    mut client: AdminClient<Channel>,
    to: BrokerId,
    step: &Step,
) -> Result<(), AdminError> {
    let refused = |status| AdminError::Refused { broker: to, status: Box::new(status) };
    let broker_request = |broker: &BrokerId| proto::BrokerRequest { broker: *broker };
    match step {
        Step::Initialize { cluster_id, brokers, .. } => {
            let cluster_id = cluster_id.clone();
            let request = proto::InitializeRequest { cluster_id, brokers: *brokers };
            client.initialize(request).await.map(drop).map_err(refused)
        }
        Step::ChangeMembership { topic, partition, change, expected_conf_index, .. } => {
            let request = proto::ChangeMembershipRequest {
                topic: topic.clone(),
                partition: *partition,
                change: convert::change(change)?,
                expected_conf_index: *expected_conf_index,
            };
            client.change_membership(request).await.map(drop).map_err(refused)
        }
        Step::TransferLeadership { topic, partition, peer, .. } => {
            let (topic, partition, to) = (topic.clone(), *partition, *peer);
            let request = proto::TransferLeadershipRequest { topic, partition, to };
            client.transfer_leadership(request).await.map(drop).map_err(refused)
        }
        Step::Cordon { broker, .. } => {
            client.cordon(broker_request(broker)).await.map(drop).map_err(refused)
        }
        Step::Uncordon { broker, .. } => {
            client.uncordon(broker_request(broker)).await.map(drop).map_err(refused)
        }
        Step::Drain { broker, .. } => {
            client.drain(broker_request(broker)).await.map(drop).map_err(refused)
        }
        Step::Rebalance { .. } => {
            client.rebalance(proto::RebalanceRequest {}).await.map(drop).map_err(refused)
        }
        Step::SetRack { broker, directory, rack, .. } => {
            let (directory, rack) = (directory.clone(), rack.clone());
            let request = proto::SetRackRequest { broker: *broker, directory, rack };
            client.set_rack(request).await.map(drop).map_err(refused)
        }
        Step::RemoveBroker { broker, directory, .. } => {
            let directory = directory.clone();
            let request = proto::RemoveBrokerRequest { broker: *broker, directory };
            client.remove_broker(request).await.map(drop).map_err(refused)
        }
        Step::Wipe { directory, .. } => {
            let request = proto::WipeRequest { directory: directory.clone() };
            client.wipe(request).await.map(drop).map_err(refused)
        }
        Step::Start(_)
        | Step::Stop(_)
        | Step::Update(_)
        | Step::DeleteVolume(_)
        | Step::Replace(_) => Err(AdminError::NotACall(step.to_string())),
    }
}

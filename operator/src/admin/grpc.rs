//! The admin client: one lazy channel a broker, a deadline on every call. A deadline that passes
//! means "unknown", never "done" and never "gone".

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_plan::{BrokerId, Step};
use chronik_tls::dial::{Connector, HANDSHAKE_MAX};
use chronik_tls::identity::Role;
use chronik_tls::material::Material;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use super::convert::{self, ConvertError};
use super::proto::admin_client::AdminClient;
use super::proto::{self, DescribeRequest, DescribeResponse};
use crate::reconcile::describe as describe_error;

/// How long one call may take.
pub const RPC_DEADLINE: Duration = Duration::from_secs(5);
/// How long connecting may take; a TLS handshake, for which the broker has to find time, comes on top.
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
    #[error("broker {0} is not asked: the operator has no certificate to show yet")]
    NoCertificate(BrokerId),
    #[error("{0} is not a call to a broker")]
    NotACall(String),
}

/// Who the operator is to brokers.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// Nobody asks.
    #[default]
    Plain,
    /// The holder of this certificate; connections that are made later show the newest.
    Certificate(watch::Receiver<Arc<Material>>),
    /// Brokers ask, and there is nothing to show.
    Missing,
}

/// Channels to brokers, by id and address: the next broker at an address is another.
#[derive(Debug, Default)]
pub struct Admin {
    credentials: Credentials,
    channels: BTreeMap<(BrokerId, String), AdminClient<Channel>>,
}

impl Admin {
    /// Who the operator is from now on; channels that are open stay.
    pub fn identify(&mut self, credentials: Credentials) {
        let is_same = match (&self.credentials, &credentials) {
            (Credentials::Plain, Credentials::Plain) => true,
            (Credentials::Missing, Credentials::Missing) => true,
            (Credentials::Certificate(old), Credentials::Certificate(new)) => old.same_channel(new),
            (Credentials::Plain | Credentials::Missing | Credentials::Certificate(_), _) => false,
        };
        if !is_same {
            self.channels.clear();
            self.credentials = credentials;
        }
    }

    /// A client of one broker; it connects when it is first used.
    pub fn client(
        &mut self,
        broker: BrokerId,
        address: &str,
    ) -> Result<AdminClient<Channel>, AdminError> {
        let key = (broker, address.to_owned());
        if let Some(client) = self.channels.get(&key) {
            return Ok(client.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|source| AdminError::Address { broker, address: address.into(), source })?
            .connect_timeout(match &self.credentials {
                Credentials::Plain | Credentials::Missing => CONNECT_DEADLINE,
                Credentials::Certificate(_) => CONNECT_DEADLINE + HANDSHAKE_MAX,
            })
            .timeout(RPC_DEADLINE);
        let channel =
            match &self.credentials {
                Credentials::Plain => endpoint.connect_lazy(),
                Credentials::Certificate(own) => endpoint.connect_with_connector_lazy(
                    Connector::new(address, Role::Broker(broker), own.clone()),
                ),
                Credentials::Missing => return Err(AdminError::NoCertificate(broker)),
            };
        let client = AdminClient::new(channel).max_decoding_message_size(64 * 1024 * 1024);
        self.channels.insert(key, client.clone());
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

/// What to tell of a call that failed because one side does not take the other for who it is; none if
/// it failed in another way.
#[must_use]
pub fn mistrust(broker: BrokerId, status: &tonic::Status) -> Option<String> {
    let text = describe_error(status);
    let is_mistrust = text.contains("TLS with ") || text.contains("fatal alert");
    is_mistrust.then(|| format!("broker {broker}: {text}"))
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
        Step::SetAdvertised { broker, directory, address, .. } => {
            let (directory, address) = (directory.clone(), address.clone());
            let request = proto::SetAdvertisedRequest { broker: *broker, directory, address };
            client.set_advertised(request).await.map(drop).map_err(refused)
        }
        Step::SetCatchUpRate { bytes_per_second, .. } => {
            let request = proto::SetCatchUpRateRequest { bytes_per_second: *bytes_per_second };
            client.set_catch_up_rate(request).await.map(drop).map_err(refused)
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

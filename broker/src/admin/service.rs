//! The admin service: each call is one [`AdminRequest`]; what an answer means is the core's.

use chronik_core::admin::topic::TopicOrder;
use chronik_core::admin::{AdminError, AdminRequest, AdminResponse};
use chronik_core::ids::BrokerId;
use chronik_tls::identity::{Identity, Role};
use tonic::{Request, Response, Status};

use super::{convert, topics};
use crate::node::handle::{Handle, Stopped};
use crate::peer::accept::Caller;
use crate::proto::admin as proto;
use crate::proto::admin::admin_server::Admin;
use crate::proto::admin::{
    BrokerRequest, ChangeMembershipRequest, ChangeMembershipResponse, DescribeRequest,
    DescribeResponse, Done, InitializeRequest, RebalanceRequest, RemoveBrokerRequest,
    SetAdvertisedRequest, SetCatchUpRateRequest, SetRackRequest, TransferLeadershipRequest,
    WipeRequest,
};

/// The metadata key that names the leader in a "not leader" status.
pub const LEADER_METADATA: &str = "chronik-leader";

/// Serves `chronik.admin.v1.Admin`.
#[derive(Debug, Clone)]
pub struct AdminService {
    node: Handle,
}

impl AdminService {
    /// Asks `node`.
    #[must_use]
    pub fn new(node: Handle) -> AdminService {
        AdminService { node }
    }

    async fn ask(&self, request: AdminRequest) -> Result<AdminResponse, Status> {
        let answer = self.node.admin(request).await;
        answer.map_err(|e: Stopped| Status::unavailable(e.to_string()))?.map_err(|e| status(&e))
    }

    /// An order that names nothing but a broker.
    async fn order_about(
        &self,
        request: Request<BrokerRequest>,
        order: fn(BrokerId) -> AdminRequest,
    ) -> Result<Response<Done>, Status> {
        let BrokerRequest { broker } = request.into_inner();
        self.order(order(convert::broker_id(broker)?)).await
    }

    async fn order(&self, request: AdminRequest) -> Result<Response<Done>, Status> {
        match self.ask(request).await? {
            AdminResponse::Done => Ok(Response::new(Done {})),
            AdminResponse::Described(_)
            | AdminResponse::MembershipChanged { .. }
            | AdminResponse::Topic(_) => Err(mismatched()),
        }
    }

    async fn topic(&self, order: TopicOrder) -> Result<Response<proto::Topic>, Status> {
        match self.ask(AdminRequest::Topic(order)).await? {
            AdminResponse::Topic(topic) => Ok(Response::new(topics::described(topic))),
            AdminResponse::Done
            | AdminResponse::Described(_)
            | AdminResponse::MembershipChanged { .. } => Err(mismatched()),
        }
    }
}

/// Orders come from the operator only, where callers are asked who they are.
pub fn only_operator(request: Request<()>) -> Result<Request<()>, Status> {
    match Caller::of(request.extensions())? {
        Caller::Anybody | Caller::Known(Identity { role: Role::Operator, .. }) => Ok(request),
        Caller::Known(other @ Identity { role: Role::Broker(_), .. }) => Err(
            Status::permission_denied(format!("{other} is not the operator, and gives no orders")),
        ),
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn describe(
        &self,
        request: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        let DescribeRequest { detail } = request.into_inner();
        match self.ask(AdminRequest::Describe { detail }).await? {
            AdminResponse::Described(d) => Ok(Response::new(convert::description(*d))),
            AdminResponse::Done
            | AdminResponse::MembershipChanged { .. }
            | AdminResponse::Topic(_) => Err(mismatched()),
        }
    }

    async fn initialize(
        &self,
        request: Request<InitializeRequest>,
    ) -> Result<Response<Done>, Status> {
        let InitializeRequest { cluster_id, brokers } = request.into_inner();
        self.order(AdminRequest::Initialize { cluster_id, brokers }).await
    }

    async fn change_membership(
        &self,
        request: Request<ChangeMembershipRequest>,
    ) -> Result<Response<ChangeMembershipResponse>, Status> {
        let request = convert::change_membership(request.into_inner());
        match self.ask(request).await? {
            AdminResponse::MembershipChanged { applied_index, conf_state } => {
                Ok(Response::new(ChangeMembershipResponse { applied_index, conf_state }))
            }
            AdminResponse::Done | AdminResponse::Described(_) | AdminResponse::Topic(_) => {
                Err(mismatched())
            }
        }
    }

    async fn transfer_leadership(
        &self,
        request: Request<TransferLeadershipRequest>,
    ) -> Result<Response<Done>, Status> {
        self.order(convert::transfer(request.into_inner())).await
    }

    async fn cordon(&self, request: Request<BrokerRequest>) -> Result<Response<Done>, Status> {
        self.order_about(request, AdminRequest::Cordon).await
    }

    async fn uncordon(&self, request: Request<BrokerRequest>) -> Result<Response<Done>, Status> {
        self.order_about(request, AdminRequest::Uncordon).await
    }

    async fn drain(&self, request: Request<BrokerRequest>) -> Result<Response<Done>, Status> {
        self.order_about(request, AdminRequest::Drain).await
    }

    async fn rebalance(
        &self,
        request: Request<RebalanceRequest>,
    ) -> Result<Response<Done>, Status> {
        let RebalanceRequest {} = request.into_inner();
        self.order(AdminRequest::Rebalance).await
    }

    async fn set_rack(&self, request: Request<SetRackRequest>) -> Result<Response<Done>, Status> {
        let SetRackRequest { broker, directory, rack } = request.into_inner();
        let broker = convert::broker_id(broker)?;
        let directory = convert::directory(&directory)?;
        self.order(AdminRequest::SetRack { broker, directory, rack }).await
    }

    async fn set_advertised(
        &self,
        request: Request<SetAdvertisedRequest>,
    ) -> Result<Response<Done>, Status> {
        let SetAdvertisedRequest { broker, directory, address } = request.into_inner();
        let broker = convert::broker_id(broker)?;
        let directory = convert::directory(&directory)?;
        self.order(AdminRequest::SetAdvertised { broker, directory, address }).await
    }

    async fn set_catch_up_rate(
        &self,
        request: Request<SetCatchUpRateRequest>,
    ) -> Result<Response<Done>, Status> {
        let SetCatchUpRateRequest { bytes_per_second } = request.into_inner();
        self.order(AdminRequest::SetCatchUpRate(bytes_per_second)).await
    }

    async fn remove_broker(
        &self,
        request: Request<RemoveBrokerRequest>,
    ) -> Result<Response<Done>, Status> {
        let RemoveBrokerRequest { broker, directory } = request.into_inner();
        let broker = convert::broker_id(broker)?;
        let directory = convert::directory(&directory)?;
        self.order(AdminRequest::RemoveBroker { broker, directory }).await
    }

    async fn wipe(&self, request: Request<WipeRequest>) -> Result<Response<Done>, Status> {
        let directory = convert::directory(&request.into_inner().directory)?;
        self.order(AdminRequest::Wipe { directory }).await
    }

    async fn describe_topic(
        &self,
        request: Request<proto::DescribeTopicRequest>,
    ) -> Result<Response<proto::Topic>, Status> {
        let proto::DescribeTopicRequest { name } = request.into_inner();
        self.topic(TopicOrder::Describe { name }).await
    }

    async fn create_topic(
        &self,
        request: Request<proto::CreateTopicRequest>,
    ) -> Result<Response<proto::Topic>, Status> {
        self.topic(topics::create(request.into_inner())?).await
    }

    async fn alter_topic(
        &self,
        request: Request<proto::AlterTopicRequest>,
    ) -> Result<Response<proto::Topic>, Status> {
        self.topic(topics::alter(request.into_inner())?).await
    }

    async fn delete_topic(
        &self,
        request: Request<proto::DeleteTopicRequest>,
    ) -> Result<Response<Done>, Status> {
        let proto::DeleteTopicRequest { name, id } = request.into_inner();
        let id = topics::id(&id)?;
        self.order(AdminRequest::Topic(TopicOrder::Delete { name, id })).await
    }
}

/// The table at the head of `admin.proto`.
fn status(error: &AdminError) -> Status {
    let text = error.to_string();
    match error {
        AdminError::NotLeader { leader, .. } => {
            let mut status = Status::unavailable(text);
            if let Some(leader) = leader {
                status.metadata_mut().insert(LEADER_METADATA, leader.0.into());
            }
            status
        }
        AdminError::Stale(_) => Status::aborted(text),
        AdminError::Refused(_) => Status::failed_precondition(text),
        AdminError::NotFound(_) => Status::not_found(text),
        AdminError::Invalid(_) => Status::invalid_argument(text),
        AdminError::Unknown(_) => Status::deadline_exceeded(text),
    }
}

fn mismatched() -> Status {
    Status::internal("the answer does not belong to this question")
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn errors_become_the_statuses_of_the_proto() {
        let not_leader =
            status(&AdminError::NotLeader { what: "t-0".into(), leader: Some(BrokerId(7)) });
        assert_eq!(not_leader.code(), Code::Unavailable);
        assert_eq!(not_leader.metadata().get(LEADER_METADATA).unwrap(), "7");
        let unknown_leader = status(&AdminError::NotLeader { what: "t-0".into(), leader: None });
        assert!(unknown_leader.metadata().get(LEADER_METADATA).is_none());
        for (error, code) in [
            (AdminError::Stale("a".into()), Code::Aborted),
            (AdminError::Refused("a".into()), Code::FailedPrecondition),
            (AdminError::NotFound("a".into()), Code::NotFound),
            (AdminError::Invalid("a".into()), Code::InvalidArgument),
            (AdminError::Unknown("a".into()), Code::DeadlineExceeded),
        ] {
            assert_eq!(status(&error).code(), code, "{error:?}");
            assert_eq!(status(&error).message(), "a");
        }
    }
}

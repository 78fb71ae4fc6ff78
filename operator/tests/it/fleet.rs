//! The model cluster of the plan's tests behind the real admin service: one gRPC server a broker,
//! and a platform that starts and stops the model's brokers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use chronik_operator::admin::proto::admin_server::{Admin, AdminServer};
use chronik_operator::admin::proto::{self, Done};
use chronik_operator::platform::{Addresses, Outcome, Platform};
use chronik_operator::validate::Wanted;
use chronik_plan::{BrokerId, Change, Group, Node, NodeState, Process, Step};
use chronik_raft_bridge::{decode_conf_change_v2, encode_conf_state};
use raft::eraftpb::{ConfChangeType, ConfState};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::model::World;

type Shared = Arc<Mutex<World>>;

pub(crate) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("no test panicked while it held the world")
}

/// A platform whose brokers are the model's.
pub(crate) struct Fleet {
    pub(crate) world: Shared,
    ports: BTreeMap<BrokerId, u16>,
}

impl Fleet {
    /// Servers for brokers 1 to `most`, on ports that the system chooses.
    pub(crate) async fn new(world: World, most: BrokerId) -> Fleet {
        let world = Arc::new(Mutex::new(world));
        let mut ports = BTreeMap::new();
        for id in 1..=most {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            ports.insert(id, listener.local_addr().unwrap().port());
            let service = AdminServer::new(Broker { id, world: world.clone() });
            let router = tonic::transport::Server::builder().add_service(service);
            tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        }
        Fleet { world, ports }
    }
}

impl Platform for Fleet {
    type Error = Infallible;

    async fn observe(&mut self) -> Result<BTreeMap<BrokerId, Process>, Infallible> {
        Ok(lock(&self.world).observe(0).processes)
    }

    fn addresses(&self, broker: BrokerId) -> Addresses {
        let at = format!("127.0.0.1:{}", self.ports[&broker]);
        Addresses { kafka: at.clone(), peer: at.clone(), http: at }
    }

    fn racks(&self) -> BTreeMap<BrokerId, String> {
        lock(&self.world).observe(0).racks
    }

    fn advertised(&self) -> BTreeMap<BrokerId, String> {
        lock(&self.world).observe(0).advertised
    }

    fn configure(&mut self, _: &Wanted) {}

    async fn execute(&mut self, step: &Step) -> Result<Outcome, Infallible> {
        lock(&self.world).execute(step);
        Ok(Outcome::Done)
    }

    fn cluster_id(&mut self) -> Result<String, Infallible> {
        Ok("c1".into())
    }

    fn formed(&self) -> bool {
        lock(&self.world).formed
    }

    fn set_formed(&mut self, _: &str) -> Result<(), Infallible> {
        lock(&self.world).formed = true;
        Ok(())
    }
}

struct Broker {
    id: BrokerId,
    world: Shared,
}

impl Broker {
    fn order(&self, step: &Step) -> Result<Response<Done>, Status> {
        let mut world = lock(&self.world);
        if !world.running.contains(&self.id) {
            return Err(Status::unavailable("nobody is here"));
        }
        if world.execute(step) {
            return Ok(Response::new(Done {}));
        }
        Err(Status::failed_precondition(format!("refused: {step}")))
    }
}

#[tonic::async_trait]
impl Admin for Broker {
    async fn describe(
        &self,
        _: Request<proto::DescribeRequest>,
    ) -> Result<Response<proto::DescribeResponse>, Status> {
        let world = lock(&self.world);
        if !world.running.contains(&self.id) {
            return Err(Status::unavailable("nobody is here"));
        }
        Ok(Response::new(description(self.id, &world.describe(self.id))))
    }

    async fn initialize(
        &self,
        request: Request<proto::InitializeRequest>,
    ) -> Result<Response<Done>, Status> {
        let proto::InitializeRequest { cluster_id, brokers } = request.into_inner();
        self.order(&Step::Initialize { to: self.id, cluster_id, brokers })
    }

    async fn change_membership(
        &self,
        request: Request<proto::ChangeMembershipRequest>,
    ) -> Result<Response<proto::ChangeMembershipResponse>, Status> {
        let request = request.into_inner();
        let step = Step::ChangeMembership {
            to: self.id,
            topic: request.topic,
            partition: request.partition,
            change: change(&request.change),
            expected_conf_index: request.expected_conf_index,
        };
        self.order(&step)?;
        Ok(Response::new(proto::ChangeMembershipResponse::default()))
    }

    async fn transfer_leadership(
        &self,
        request: Request<proto::TransferLeadershipRequest>,
    ) -> Result<Response<Done>, Status> {
        let proto::TransferLeadershipRequest { topic, partition, to } = request.into_inner();
        self.order(&Step::TransferLeadership { to: self.id, topic, partition, peer: to })
    }

    async fn cordon(&self, r: Request<proto::BrokerRequest>) -> Result<Response<Done>, Status> {
        self.order(&Step::Cordon { to: self.id, broker: r.into_inner().broker })
    }

    async fn uncordon(&self, r: Request<proto::BrokerRequest>) -> Result<Response<Done>, Status> {
        self.order(&Step::Uncordon { to: self.id, broker: r.into_inner().broker })
    }

    async fn drain(&self, r: Request<proto::BrokerRequest>) -> Result<Response<Done>, Status> {
        self.order(&Step::Drain { to: self.id, broker: r.into_inner().broker })
    }

    async fn rebalance(
        &self,
        _: Request<proto::RebalanceRequest>,
    ) -> Result<Response<Done>, Status> {
        self.order(&Step::Rebalance { to: self.id })
    }

    async fn remove_broker(
        &self,
        request: Request<proto::RemoveBrokerRequest>,
    ) -> Result<Response<Done>, Status> {
        let proto::RemoveBrokerRequest { broker, directory } = request.into_inner();
        self.order(&Step::RemoveBroker { to: self.id, broker, directory })
    }

    async fn set_rack(
        &self,
        request: Request<proto::SetRackRequest>,
    ) -> Result<Response<Done>, Status> {
        let proto::SetRackRequest { broker, directory, rack } = request.into_inner();
        self.order(&Step::SetRack { to: self.id, broker, directory, rack })
    }

    async fn set_advertised(
        &self,
        request: Request<proto::SetAdvertisedRequest>,
    ) -> Result<Response<Done>, Status> {
        let proto::SetAdvertisedRequest { broker, directory, address } = request.into_inner();
        self.order(&Step::SetAdvertised { to: self.id, broker, directory, address })
    }

    async fn set_catch_up_rate(
        &self,
        request: Request<proto::SetCatchUpRateRequest>,
    ) -> Result<Response<Done>, Status> {
        let proto::SetCatchUpRateRequest { bytes_per_second } = request.into_inner();
        self.order(&Step::SetCatchUpRate { to: self.id, bytes_per_second })
    }

    async fn wipe(&self, request: Request<proto::WipeRequest>) -> Result<Response<Done>, Status> {
        self.order(&Step::Wipe { to: self.id, directory: request.into_inner().directory })
    }

    async fn describe_topic(
        &self,
        _: Request<proto::DescribeTopicRequest>,
    ) -> Result<Response<proto::Topic>, Status> {
        Err(no_topics())
    }

    async fn create_topic(
        &self,
        _: Request<proto::CreateTopicRequest>,
    ) -> Result<Response<proto::Topic>, Status> {
        Err(no_topics())
    }

    async fn alter_topic(
        &self,
        _: Request<proto::AlterTopicRequest>,
    ) -> Result<Response<proto::Topic>, Status> {
        Err(no_topics())
    }

    async fn delete_topic(
        &self,
        _: Request<proto::DeleteTopicRequest>,
    ) -> Result<Response<Done>, Status> {
        Err(no_topics())
    }
}

/// The model has groups, but no topics as objects.
fn no_topics() -> Status {
    Status::unimplemented("the model makes no topics")
}

/// Reads a change as a broker would: by what it asks of each peer.
fn change(bytes: &[u8]) -> Change {
    let change = decode_conf_change_v2(bytes).unwrap();
    let (mut promote, mut demote, mut remove) = (Vec::new(), Vec::new(), Vec::new());
    for single in &change.changes {
        match single.change_type() {
            ConfChangeType::AddNode => promote.push(single.node_id),
            ConfChangeType::AddLearnerNode => demote.push(single.node_id),
            ConfChangeType::RemoveNode => remove.push(single.node_id),
        }
    }
    match (promote.as_slice(), demote.as_slice(), remove.as_slice()) {
        ([], [], []) => Change::LeaveJoint,
        ([], [peer], []) => Change::AddLearner(*peer),
        ([], [], [peer]) => Change::Remove(*peer),
        _ => Change::Joint { promote, demote, remove },
    }
}

fn description(id: BrokerId, node: &Node) -> proto::DescribeResponse {
    let state = match node.state {
        NodeState::Uninitialized => proto::NodeState::Uninitialized,
        NodeState::Joining => proto::NodeState::Joining,
        NodeState::Member => proto::NodeState::Member,
        NodeState::Retired => proto::NodeState::Retired,
    };
    let meta = node.meta.as_ref().map(|m| proto::Meta {
        applied: m.applied,
        open: m.open,
        partitions: m.partitions,
        off_target: m.off_target,
        largest_topic: m.largest.clone().map_or(String::new(), |(t, _)| t),
        largest_replication: m.largest.as_ref().map_or(0, |(_, n)| *n),
        catch_up_rate: m.catch_up_rate,
        brokers: m
            .brokers
            .iter()
            .map(|(id, b)| proto::Broker {
                id: *id,
                directory: b.directory.clone(),
                meta_peer: b.meta_peer,
                cordoned: b.cordoned,
                fenced: b.fenced,
                told_rack: b.told_rack.clone(),
                advertised: b.advertised.clone(),
                replicas: b.replicas,
                ..proto::Broker::default()
            })
            .collect(),
        ..proto::Meta::default()
    });
    proto::DescribeResponse {
        broker: id,
        directory: node.directory.clone(),
        state: state.into(),
        cluster_id: node.cluster_id.clone().unwrap_or_default(),
        meta,
        groups: node.groups.iter().map(group).collect(),
        leaders: node.leaders,
        quorum_losses: node.quorum_losses.iter().map(|(id, n)| (*id, *n)).collect(),
        needed: node.needed.iter().map(|(id, n)| (*id, *n)).collect(),
        ..proto::DescribeResponse::default()
    }
}

fn group(group: &Group) -> proto::Group {
    let state = ConfState {
        voters: group.conf.voters.iter().copied().collect(),
        voters_outgoing: group.conf.outgoing.iter().copied().collect(),
        learners: group.conf.learners.iter().copied().collect(),
        learners_next: group.conf.learners_next.iter().copied().collect(),
        ..ConfState::default()
    };
    let progress = group.progress.iter().map(|(peer, p)| proto::Progress {
        peer: *peer,
        matched: p.matched,
        active: p.active,
        caught_up: p.caught_up,
        percent: p.percent,
    });
    proto::Group {
        topic: group.topic.clone(),
        partition: group.partition,
        leader: group.leader,
        term: group.term,
        conf_state: encode_conf_state(&state).unwrap(),
        conf_index: group.conf_index,
        target: group.target.iter().copied().collect(),
        progress: progress.collect(),
        ..proto::Group::default()
    }
}

//! What the operator orders, carried out. Every order is checked against what the caller believed.

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};

use super::node::Membership;
use super::output::Output;
use super::proposals::ProposeError;
use super::replica::ChangeWaiter;
use super::{Core, with_causes};
use crate::admin::{AdminError, AdminRequest, AdminResponse};
use crate::error::KafkaError;
use crate::ids::{BrokerId, Index, PartitionId, PeerId, Uuid};
use crate::log::disk::Disk;
use crate::meta::applied::Refusal;
use crate::meta::brokers::host_port;
use crate::meta::command::{Command, ConfigResource};
use crate::meta::configs::broker_config;
use crate::meta::configs::table::CATCH_UP_RATE;
use crate::meta::placement;
use crate::raft::group::{NotProposed, Proposed};
use crate::raft::membership::ChangeRefused;
use crate::raft::ready::Committed;

/// The longest name of a rack.
const RACK_BYTES_MAX: usize = 255;
/// The longest address that clients are told: a name has at most 253 bytes, a port five digits.
const ADDRESS_BYTES_MAX: usize = 260;

impl<D: Disk> Core<D> {
    pub(super) fn order(&mut self, token: u64, request: AdminRequest) {
        let answer = match request {
            AdminRequest::Describe { detail } => return self.order_description(token, detail),
            AdminRequest::Initialize { cluster_id, brokers } => {
                self.initialize(cluster_id, brokers)
            }
            AdminRequest::ChangeMembership { topic, partition, change, expected_conf_index } => {
                match self.change_membership(token, &topic, partition, &change, expected_conf_index)
                {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            AdminRequest::TransferLeadership { topic, partition, to } => {
                self.transfer_leadership(&topic, partition, to)
            }
            AdminRequest::Cordon(broker) => {
                return self.order_meta(token, &Command::SetCordoned { broker, cordoned: true });
            }
            AdminRequest::Uncordon(broker) => {
                return self.order_meta(token, &Command::SetCordoned { broker, cordoned: false });
            }
            AdminRequest::Drain(broker) => match placement::drain(&self.meta, broker) {
                Ok(targets) => return self.order_targets(token, targets),
                Err(error) => Err(AdminError::Refused(error.to_string())),
            },
            AdminRequest::Rebalance => {
                return self.order_targets(token, placement::rebalance(&self.meta));
            }
            AdminRequest::SetRack { broker, directory, rack } => {
                match check_rack(rack.as_deref()) {
                    Ok(()) => {
                        let command = Command::SetRack { broker, directory, rack };
                        return self.order_meta(token, &command);
                    }
                    Err(error) => Err(error),
                }
            }
            AdminRequest::SetAdvertised { broker, directory, address } => {
                match check_address(address.as_deref()) {
                    Ok(()) => {
                        let command = Command::SetAdvertised { broker, directory, address };
                        return self.order_meta(token, &command);
                    }
                    Err(error) => Err(error),
                }
            }
            AdminRequest::SetCatchUpRate(rate) => match set_catch_up_rate(rate) {
                Ok(command) => return self.order_meta(token, &command),
                Err(error) => Err(error),
            },
            AdminRequest::RemoveBroker { broker, directory } => {
                return self.order_meta(token, &Command::RemoveBroker { broker, directory });
            }
            AdminRequest::Wipe { directory } => self.wipe(directory),
            AdminRequest::Topic(order) => {
                return crate::handlers::order_topic(self, order, move |core, answer| {
                    core.answer_order(token, answer);
                });
            }
        };
        self.answer_order(token, answer);
    }

    pub(super) fn answer_order(&mut self, token: u64, result: Result<AdminResponse, AdminError>) {
        self.outputs.push(Output::AdminReply { token, result });
    }

    fn initialize(
        &mut self,
        cluster_id: String,
        brokers: u32,
    ) -> Result<AdminResponse, AdminError> {
        if cluster_id.is_empty() || brokers == 0 {
            return Err(AdminError::Invalid("a cluster needs an id and a broker".to_owned()));
        }
        match self.cluster_id() {
            Some(ours) if ours == cluster_id => {
                self.wanted_at_birth(brokers);
                return Ok(AdminResponse::Done);
            }
            Some(ours) => {
                let why = format!("this broker belongs to cluster {ours:?}, not {cluster_id:?}");
                return Err(AdminError::Refused(why));
            }
            None => {}
        }
        // The group is born at index 1, so this is the life that its first broker has in it.
        let meta_peer = PeerId::new(1, self.me());
        self.join(Membership { cluster_id, meta_peer, born_with: Some(brokers) });
        Ok(AdminResponse::Done)
    }

    /// The cluster was to be smaller after all: it opens with what it has, if that is enough.
    fn wanted_at_birth(&mut self, brokers: u32) {
        let voters = self.meta.partition(PartitionId::META).map_or(0, |meta| meta.voters.len());
        let wanted = crate::meta::State::meta_voters_of(brokers) as usize;
        if self.meta.cluster_id().is_some() && !self.meta.open() && voters >= wanted {
            self.propose_meta(&Command::Open, |_, _| {});
        }
    }

    fn change_membership(
        &mut self,
        token: u64,
        topic: &str,
        partition: u32,
        change: &[u8],
        expected: Index,
    ) -> Result<(), AdminError> {
        let decoded = chronik_raft_bridge::decode_conf_change_v2(change)
            .map_err(|error| AdminError::Invalid(with_causes(&error)))?;
        let id = self.named_group(topic, partition).map_err(AdminError::NotFound)?;
        self.check_placed(id, &decoded, expected)?;
        let not_leader = AdminError::NotLeader {
            what: format!("{topic}-{partition}"),
            leader: self.leader_of(id).map(|leader| leader.broker).filter(|b| *b != self.me()),
        };
        let Some(replica) = self.replicas.get_mut(&id) else { return Err(not_leader) };
        match replica.group.check_change(&decoded, expected) {
            Ok(()) => {}
            Err(ChangeRefused::NotLeader) => return Err(not_leader),
            Err(ChangeRefused::OfLeader) => {
                // It hands over, and the caller finds whoever leads then.
                replica.group.transfer_leadership(None);
                self.dirty.insert(id);
                return Err(not_leader);
            }
            Err(error @ ChangeRefused::Stale { .. }) => {
                return Err(AdminError::Stale(error.to_string()));
            }
            Err(error @ (ChangeRefused::Pending | ChangeRefused::Unsafe(_))) => {
                return Err(AdminError::Refused(format!("{topic}-{partition}: {error}")));
            }
        }
        match replica.group.propose_change(bytes::Bytes::copy_from_slice(change)) {
            Ok(at) => {
                let Proposed { index, term, .. } = at;
                replica.changes.push(ChangeWaiter { index, term, token, made: None });
                self.dirty.insert(id);
                Ok(())
            }
            Err(NotProposed::NotLeader | NotProposed::Busy) => Err(not_leader),
        }
    }

    /// Only what `__meta` has placed can enter a group, once `__meta` knows the membership that it
    /// enters. A replica that is wanted and was removed has ended, and another one takes its place as
    /// soon as `__meta` hears of it: added again before that, it would be destroyed as a voter.
    fn check_placed(
        &self,
        id: PartitionId,
        change: &ConfChangeV2,
        expected: Index,
    ) -> Result<(), AdminError> {
        let stays = |single: &ConfChangeSingle| {
            single.get_change_type() == ConfChangeType::RemoveNode || id == PartitionId::META
        };
        let known = self.meta.partition(id).map_or(0, |partition| partition.conf_index);
        if known < expected && !change.changes.iter().all(stays) {
            let why = format!(
                "the cluster has not heard yet of the change at index {expected} of group {id}"
            );
            return Err(AdminError::Stale(why));
        }
        for single in change.changes.iter() {
            let peer = PeerId(single.node_id);
            let placed = if id == PartitionId::META {
                self.meta.brokers().any(|broker| broker.meta_peer == peer)
            } else {
                self.meta.partition(id).is_some_and(|partition| partition.target.contains(&peer))
            };
            if single.get_change_type() != ConfChangeType::RemoveNode && !placed {
                let why = format!("peer {peer} is not placed in group {id} (any more)");
                return Err(AdminError::Stale(why));
            }
        }
        Ok(())
    }

    /// An entry of a group is applied: operators that wait for its index and got something else
    /// are answered, the others when it is synced.
    pub(super) fn decide_changes(&mut self, id: PartitionId, entry: &Committed) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        if replica.changes.is_empty() {
            return;
        }
        let conf =
            entry.conf.as_ref().and_then(|conf| chronik_raft_bridge::encode_conf_state(conf).ok());
        let mut displaced = Vec::new();
        for mut waiter in std::mem::take(&mut replica.changes) {
            if waiter.index == entry.index && waiter.term == entry.term {
                waiter.made.clone_from(&conf);
            }
            // raft turns a change that it refuses into an empty entry, without a word.
            if waiter.index <= entry.index && waiter.made.is_none() {
                displaced.push(waiter.token);
            } else {
                replica.changes.push(waiter);
            }
        }
        for token in displaced {
            let why = "another entry took the change's place".to_owned();
            self.answer_order(token, Err(AdminError::Stale(why)));
        }
    }

    /// A membership of a group is synced: it is shown from now on, and operators are told.
    pub(super) fn show_conf(&mut self, id: PartitionId) {
        self.report_due = true;
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        let (_, synced) = replica.group.synced_conf();
        let shown = replica.changes.extract_if(.., |waiter| waiter.index <= synced);
        for waiter in shown.collect::<Vec<_>>() {
            let Some(conf_state) = waiter.made else { continue };
            let result =
                AdminResponse::MembershipChanged { applied_index: waiter.index, conf_state };
            self.answer_order(waiter.token, Ok(result));
        }
    }

    pub(super) fn fail_changes(&mut self, id: PartitionId) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        for waiter in std::mem::take(&mut replica.changes) {
            let why = "the leadership was lost before the change was decided".to_owned();
            self.answer_order(waiter.token, Err(AdminError::Unknown(why)));
        }
    }

    fn transfer_leadership(
        &mut self,
        topic: &str,
        partition: u32,
        to: Option<PeerId>,
    ) -> Result<AdminResponse, AdminError> {
        let id = self.named_group(topic, partition).map_err(AdminError::NotFound)?;
        let what = format!("{topic}-{partition}");
        let leader = self.leader_of(id).map(|leader| leader.broker).filter(|b| *b != self.me());
        let replica = self.replicas.get_mut(&id).filter(|replica| replica.group.leads());
        let Some(replica) = replica else { return Err(AdminError::NotLeader { what, leader }) };
        let taken = replica.group.transfer_leadership(to);
        self.dirty.insert(id);
        if taken {
            return Ok(AdminResponse::Done);
        }
        let whom = to.map_or("no other voter".to_owned(), |to| format!("peer {to}, if it votes,"));
        Err(AdminError::Refused(format!("{what}: {whom} is not alive to take the leadership")))
    }

    /// Hands the leadership of a group to the replica on `to`, or to the best one.
    pub(crate) fn transfer(
        &mut self,
        id: PartitionId,
        to: Option<BrokerId>,
    ) -> Result<(), KafkaError> {
        let replica = self.replicas.get_mut(&id).filter(|replica| replica.group.leads());
        let replica = replica.ok_or(KafkaError::NotLeaderOrFollower)?;
        let (conf, _) = replica.group.log().conf();
        let peer = to.and_then(|to| {
            conf.voters.iter().map(|id| PeerId(*id)).find(|peer| peer.broker() == to)
        });
        if to.is_some() && peer.is_none() {
            return Err(KafkaError::PreferredLeaderNotAvailable);
        }
        let taken = replica.group.transfer_leadership(peer);
        self.dirty.insert(id);
        if taken { Ok(()) } else { Err(KafkaError::PreferredLeaderNotAvailable) }
    }

    fn order_meta(&mut self, token: u64, command: &Command) {
        if self.meta.cluster_id().is_none() {
            let error = AdminError::Refused("this broker belongs to no cluster yet".to_owned());
            return self.answer_order(token, Err(error));
        }
        self.propose_meta(command, move |core, result| {
            let result = match result {
                Ok(_) => Ok(AdminResponse::Done),
                Err(ProposeError::Refused(refusal @ Refusal::UnknownBroker(_))) => {
                    Err(AdminError::NotFound(refusal.to_string()))
                }
                Err(ProposeError::Refused(refusal)) => {
                    Err(AdminError::Refused(refusal.to_string()))
                }
                Err(error @ ProposeError::TimedOut) => Err(AdminError::Unknown(error.to_string())),
            };
            core.answer_order(token, result);
        });
    }

    fn order_targets(&mut self, token: u64, targets: Vec<(PartitionId, Vec<BrokerId>)>) {
        if targets.is_empty() {
            return self.answer_order(token, Ok(AdminResponse::Done));
        }
        self.order_meta(token, &Command::SetTargets { targets });
    }

    fn wipe(&mut self, directory: Uuid) -> Result<AdminResponse, AdminError> {
        if directory != self.config.directory {
            let why = format!("this directory is {}, not {directory}", self.config.directory);
            return Err(AdminError::Stale(why));
        }
        if !self.node.retired {
            return Err(AdminError::Refused("only a removed broker can be wiped".to_owned()));
        }
        self.outputs.push(Output::Wipe);
        Ok(AdminResponse::Done)
    }
}

/// The command for a rate, if it can be one.
fn set_catch_up_rate(rate: u64) -> Result<Command, AdminError> {
    let value = rate.to_string();
    let def = broker_config(CATCH_UP_RATE);
    if let Some(Err(error)) = def.map(|def| def.check(&value)) {
        return Err(AdminError::Invalid(format!("{CATCH_UP_RATE} {value}: {error}")));
    }
    let resource = ConfigResource::Broker(None);
    let changes = [(CATCH_UP_RATE.to_owned(), Some(value))].into();
    Ok(Command::SetConfigs { resource, changes })
}

fn check_rack(rack: Option<&str>) -> Result<(), AdminError> {
    match rack.map(str::len) {
        None | Some(1..=RACK_BYTES_MAX) => Ok(()),
        Some(bytes) => Err(AdminError::Invalid(format!(
            "a rack's name has 1 to {RACK_BYTES_MAX} bytes, not {bytes}"
        ))),
    }
}

fn check_address(address: Option<&str>) -> Result<(), AdminError> {
    let Some(address) = address else { return Ok(()) };
    let reachable = host_port(address).is_some_and(|(_, port)| port > 0);
    if reachable && address.len() <= ADDRESS_BYTES_MAX {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "an advertised address is host:port of at most {ADDRESS_BYTES_MAX} bytes, not {address:?}"
    )))
}

//! Tests of the whole state machine: one file a subject, and what they share.

mod advertised;
mod configs;
mod golden;
mod model;
mod placement;
mod racks;
mod rules;
mod sizes;

use std::collections::BTreeMap;

use super::*;
use crate::ids::{BrokerId, Index, PartitionId, PeerId, Uuid};

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn broker(id: u32) -> BrokerId {
    BrokerId(id)
}

fn brokers(ids: &[u32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn registration(id: u32, directory: u128, boot: u64) -> Registration {
    Registration {
        id: BrokerId(id),
        directory: uuid(directory),
        boot,
        kafka_address: format!("host{id}:9092"),
        peer_address: format!("host{id}:9192"),
        rack: None,
        version: "0.1.0".into(),
    }
}

/// The directory that [`cluster`] gives a broker.
fn directory(id: u32) -> Uuid {
    uuid(100 + u128::from(id))
}

fn create(name: &str, id: u128, partitions: &[&[u32]]) -> Command {
    Command::CreateTopic {
        name: name.into(),
        id: uuid(id),
        partitions: partitions.iter().map(|ids| brokers(ids)).collect(),
        configs: BTreeMap::new(),
        internal: false,
    }
}

fn partition_id(topic: u128, partition: u32) -> PartitionId {
    PartitionId::new(uuid(topic), partition)
}

fn peer(index: Index, id: u32) -> PeerId {
    PeerId::new(index, BrokerId(id))
}

fn peers(index: Index, ids: &[u32]) -> Vec<PeerId> {
    ids.iter().map(|id| peer(index, *id)).collect()
}

fn conf(id: PartitionId, conf: ConfReport) -> Command {
    let from = BrokerId(1);
    Command::Report { from, rows: vec![GroupReport { id, leader: None, conf: Some(conf) }] }
}

fn voters(conf_index: Index, voters: Vec<PeerId>) -> ConfReport {
    ConfReport { conf_index, voters, ..ConfReport::default() }
}

fn set_rack(id: u32, rack: Option<&str>) -> Command {
    let rack = rack.map(str::to_owned);
    Command::SetRack { broker: broker(id), directory: directory(id), rack }
}

fn set_advertised(id: u32, address: Option<&str>) -> Command {
    let address = address.map(str::to_owned);
    Command::SetAdvertised { broker: broker(id), directory: directory(id), address }
}

/// A state with the index of its next command.
#[derive(Debug, Clone)]
struct Cluster {
    state: State,
    next: Index,
}

/// Brokers 1 to `n`; the first was born at 3, the others registered at 4, 5, ...
fn cluster(n: u32) -> Cluster {
    let mut cluster = Cluster { state: State::new(), next: 3 };
    let first = Registration { directory: directory(1), ..registration(1, 0, 1) };
    cluster.accept(&Command::Genesis { cluster_id: "c".into(), brokers: n, first });
    for id in 2..=n {
        let new = Registration { directory: directory(id), ..registration(id, 0, 1) };
        cluster.accept(&Command::RegisterBroker(new));
    }
    cluster
}

impl Cluster {
    fn accept(&mut self, command: &Command) -> (Index, Applied) {
        let index = self.next;
        self.next += 1;
        let applied = self.state.apply(index, command);
        (index, applied.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}")))
    }

    #[track_caller]
    fn refuse(&mut self, command: &Command, expected: &str) {
        let before = self.state.clone();
        let refusal = self.state.apply(self.next, command).expect_err("refused");
        self.next += 1;
        assert_eq!(refusal.to_string(), expected);
        assert_eq!(self.state, before, "a refused command changed the state");
    }

    fn target(&self, topic: u128, partition: u32) -> Vec<PeerId> {
        self.state.partition(partition_id(topic, partition)).unwrap().target.clone()
    }
}

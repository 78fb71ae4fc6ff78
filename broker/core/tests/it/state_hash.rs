//! The state of replicas in numbers: what tells two apart, and what does not.

use chronik_core::core::state_hash::StateHash;
use chronik_core::ids::{BrokerId, PartitionId};
use chronik_core::wire::records::BatchBuilder;

use crate::cluster::Cluster;
use crate::kafka::Client;
use crate::membership::three;
use crate::offsets::delete;
use crate::records::{NOW_MS, lead, leader, produce, put, with_topic};

fn group(cluster: &Cluster, broker: BrokerId) -> PartitionId {
    let mut views = cluster.nodes[&broker].core.replica_views();
    views.find(|view| view.id != PartitionId::META).unwrap().id
}

/// The state at every broker, from the first entry that all of them have.
fn hashes(cluster: &Cluster, id: PartitionId) -> Vec<StateHash> {
    let cores = || cluster.nodes.values().map(|node| &node.core);
    let views = cores().flat_map(|core| core.replica_views()).filter(|view| view.id == id);
    let from = views.map(|view| view.first).max().unwrap();
    cores().map(|core| core.state_hash(id, from).unwrap().unwrap()).collect()
}

fn same(client: &mut Client, id: PartitionId) -> StateHash {
    client.cluster.run(2_000);
    let hashes = hashes(&client.cluster, id);
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    hashes[0]
}

#[test]
fn replicas_have_one_state_which_each_entry_changes() {
    let mut client = with_topic(three(), &[]);
    let first = leader(&mut client, "t");
    let id = group(&client.cluster, first);
    let empty = same(&mut client, id);

    put(&mut client, "t", b"a record");
    let plain = same(&mut client, id);
    assert!(plain.applied > empty.applied && plain.log_end == empty.log_end + 1);
    assert_ne!(plain.log, empty.log, "another entry");
    assert_eq!(plain.machine, empty.machine, "that nobody has to remember");

    let named = BatchBuilder::new(NOW_MS).producer(7, 0, 0).record(None, Some(b"a name")).build();
    assert_eq!(produce(&mut client, "t", -1, named).0, 0);
    let named = same(&mut client, id);
    assert_ne!(named.machine, plain.machine, "a producer that is remembered");
    assert_eq!(named.members, empty.members);

    client.broker = first;
    assert_eq!(delete(&mut client, 1).0, 0);
    assert_eq!((named.log_start, same(&mut client, id).log_start), (Some(0), Some(1)));

    // Who leads, in which term and who was elected by whom is no part of it.
    let other = client.cluster.nodes.keys().copied().find(|id| *id != first).unwrap();
    lead(&mut client, "t", other);
    let led = same(&mut client, id);
    assert!(led.applied > named.applied, "the new leader's own entry");
    assert_eq!(led.machine, named.machine);
}

#[test]
fn meta_and_what_is_not_there() {
    let mut client = with_topic(three(), &[]);
    let leads = leader(&mut client, "t");
    let id = group(&client.cluster, leads);
    let meta = same(&mut client, PartitionId::META);
    assert_eq!(meta.log_start, None, "its image replaces its entries");
    let core = &client.cluster.nodes[&BrokerId(1)].core;
    let unknown = PartitionId::new(id.topic, 99);
    assert!(core.state_hash(unknown, 1).is_none());
    assert!(core.machine_hash(unknown).is_none());
    assert!(core.state_hash(id, 0).unwrap().is_err(), "no entry lies before the first");
}

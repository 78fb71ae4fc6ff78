//! The whole state as bytes: a version, then table after table in the order of its keys, so equal
//! states have equal bytes. Where the bytes are kept is left to the group of `__meta`.

use bytes::Bytes;

use super::askers::Askers;
use super::brokers::Broker;
use super::command::Registration;
use super::configs::Overrides;
use super::fields::{
    get_broker, get_configs, get_partition_id, get_peers, get_text, put_broker, put_configs,
    put_partition_id, put_peers, put_text,
};
use super::partitions::Partition;
use super::state::State;
use super::topics::Topic;
use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{BrokerId, PeerId};
use crate::mutant::{self, Mutant};

/// Without who asked for what.
const V1: u8 = 1;
/// Without racks that the operator has set. Still written while there are none, so that brokers of
/// the version before can read it.
const V2: u8 = 2;
/// Without addresses of the external listener. Still written while there are none.
const V3: u8 = 3;
const V4: u8 = 4;

impl State {
    /// The state's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let State {
            cluster_id,
            brokers_wanted,
            open,
            next_producer_id,
            brokers,
            topics,
            partitions,
            overrides,
            askers,
        } = self;
        let mut w = Writer::new();
        let racks: Vec<_> = brokers
            .by_id
            .values()
            .filter_map(|broker| Some((broker.id(), broker.told_rack.as_deref()?)))
            .collect();
        let advertised: Vec<_> = brokers
            .by_id
            .values()
            .filter_map(|broker| Some((broker.id(), broker.advertised.as_deref()?)))
            .collect();
        let version = match (racks.is_empty(), advertised.is_empty()) {
            (true, true) => V2,
            (false, true) => V3,
            (_, false) => V4,
        };
        w.u8(version);
        put_text(&mut w, cluster_id);
        w.u32(*brokers_wanted).bool(*open).i64(*next_producer_id);
        w.list(brokers.by_id.values(), put_registered);
        w.list(brokers.retired.iter(), |w, (directory, broker)| {
            w.uuid(*directory);
            put_broker(w, *broker);
        });
        w.list(topics.iter(), put_topic);
        w.list(partitions.iter(), |w, (id, partition)| {
            put_partition_id(w, *id);
            put_partition(w, partition);
        });
        put_configs(&mut w, &overrides.cluster);
        w.list(overrides.brokers.iter(), |w, (id, configs)| {
            put_broker(w, *id);
            put_configs(w, configs);
        });
        askers.put(&mut w);
        if version >= V3 {
            put_told(&mut w, &racks);
        }
        if version >= V4 {
            put_told(&mut w, &advertised);
        }
        w.finish()
    }

    /// The state of these bytes.
    pub fn decode(bytes: Bytes) -> Result<State, CodecError> {
        let mut r = Reader::new(bytes);
        let version = r.u8("state version")?;
        if !(V1..=V4).contains(&version) {
            return Err(CodecError::Unknown { what: "state version", value: version.into() });
        }
        let mut state = State {
            cluster_id: get_text(&mut r, "cluster id")?,
            brokers_wanted: r.u32("wanted brokers")?,
            open: r.bool("open")?,
            next_producer_id: r.i64("next producer id")?,
            ..State::default()
        };
        let brokers = r.list("brokers", get_registered)?;
        state.brokers.by_id = brokers.into_iter().map(|broker| (broker.id(), broker)).collect();
        let retired =
            r.list("retired directories", |r| Ok((r.uuid("directory")?, get_broker(r)?)))?;
        state.brokers.retired = retired.into_iter().collect();
        for topic in r.list("topics", get_topic)? {
            state.topics.insert(topic);
        }
        let partitions = r.list("partitions", |r| Ok((get_partition_id(r)?, get_partition(r)?)))?;
        state.partitions = partitions.into_iter().collect();
        state.overrides = get_overrides(&mut r)?;
        if version != V1 {
            state.askers = Askers::get(&mut r)?;
        }
        if version >= V3 {
            for (broker, rack) in get_told(&mut r, "racks")? {
                if let Some(broker) = state.brokers.by_id.get_mut(&broker) {
                    broker.told_rack = Some(rack);
                }
            }
        }
        if version >= V4 {
            for (broker, address) in get_told(&mut r, "advertised addresses")? {
                if let Some(broker) = state.brokers.by_id.get_mut(&broker) {
                    broker.advertised = Some(address);
                }
            }
        }
        r.end()?;
        if mutant::is(Mutant::ImageForgetsProducerIds) {
            state.next_producer_id = 0;
        }
        Ok(state)
    }
}

/// What the operator has told of brokers.
fn put_told(w: &mut Writer, told: &[(BrokerId, &str)]) {
    w.list(told.iter(), |w, (broker, text)| {
        put_broker(w, *broker);
        w.str(text);
    });
}

fn get_told(r: &mut Reader, what: &'static str) -> Result<Vec<(BrokerId, String)>, CodecError> {
    r.list(what, |r| Ok((get_broker(r)?, r.str(what)?)))
}

fn get_overrides(r: &mut Reader) -> Result<Overrides, CodecError> {
    let cluster = get_configs(r)?;
    let brokers = r.list("broker configs", |r| Ok((get_broker(r)?, get_configs(r)?)))?;
    Ok(Overrides { cluster, brokers: brokers.into_iter().collect() })
}

fn put_registered(w: &mut Writer, broker: &Broker) {
    // What the operator has told comes last, of all brokers.
    let Broker { registration, meta_peer, fenced, cordoned, told_rack: _, advertised: _ } = broker;
    let Registration { id, directory, boot, kafka_address, peer_address, rack, version } =
        registration;
    put_broker(w, *id);
    w.uuid(*directory).u64(*boot).str(kafka_address).str(peer_address);
    put_text(w, rack);
    w.str(version).u64(meta_peer.0).bool(*fenced).bool(*cordoned);
}

fn get_registered(r: &mut Reader) -> Result<Broker, CodecError> {
    Ok(Broker {
        registration: Registration {
            id: get_broker(r)?,
            directory: r.uuid("directory")?,
            boot: r.u64("boot")?,
            kafka_address: r.str("kafka address")?,
            peer_address: r.str("peer address")?,
            rack: get_text(r, "rack")?,
            version: r.str("version")?,
        },
        meta_peer: PeerId(r.u64("meta peer")?),
        fenced: r.bool("fenced")?,
        cordoned: r.bool("cordoned")?,
        told_rack: None,
        advertised: None,
    })
}

fn put_topic(w: &mut Writer, topic: &Topic) {
    let Topic { id, name, partitions, configs, internal, created_at } = topic;
    w.uuid(*id).str(name).u32(*partitions);
    put_configs(w, configs);
    w.bool(*internal).u64(*created_at);
}

fn get_topic(r: &mut Reader) -> Result<Topic, CodecError> {
    Ok(Topic {
        id: r.uuid("topic id")?,
        name: r.str("topic name")?,
        partitions: r.u32("partition count")?,
        configs: get_configs(r)?,
        internal: r.bool("internal")?,
        created_at: r.u64("creating index")?,
    })
}

fn put_partition(w: &mut Writer, partition: &Partition) {
    let Partition {
        target,
        birth,
        voters,
        outgoing,
        learners,
        learners_next,
        conf_index,
        leader,
        leader_term,
        created_at,
    } = partition;
    for peers in [target, birth, voters, outgoing, learners, learners_next] {
        put_peers(w, peers);
    }
    w.u64(*conf_index);
    w.option(*leader, |w, leader| {
        w.u64(leader.0);
    });
    w.u64(*leader_term).u64(*created_at);
}

fn get_partition(r: &mut Reader) -> Result<Partition, CodecError> {
    Ok(Partition {
        target: get_peers(r)?,
        birth: get_peers(r)?,
        voters: get_peers(r)?,
        outgoing: get_peers(r)?,
        learners: get_peers(r)?,
        learners_next: get_peers(r)?,
        conf_index: r.u64("conf index")?,
        leader: r.option("leader", |r| Ok(PeerId(r.u64("leader")?)))?,
        leader_term: r.u64("leader term")?,
        created_at: r.u64("creating index")?,
    })
}

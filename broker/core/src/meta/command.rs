//! Every command of `__meta` and its bytes: a tag, the layout's version, the fields. What a command
//! does is in `apply`; a new layout of a command gets the next version and the old one stays
//! readable, as entries outlive the software that wrote them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::fields::{
    get_broker, get_brokers, get_configs, get_partition_id, get_peers, get_text, put_broker,
    put_brokers, put_configs, put_partition_id, put_peers, put_text,
};
use crate::codec::{CodecError, Reader, Writer};
use crate::ids::{BrokerId, Index, PartitionId, PeerId, Term, Uuid};

/// One change of the cluster's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The first command of a cluster.
    Genesis {
        /// The cluster's id.
        cluster_id: String,
        /// How many brokers are wanted at birth.
        brokers: u32,
        /// The broker that `__meta` was born on.
        first: Registration,
    },
    /// A broker came up: new, known, or a known id on a new directory (a new incarnation).
    RegisterBroker(Registration),
    /// A broker's session expired, or it is back.
    SetFenced {
        /// The broker.
        broker: BrokerId,
        /// Its directory, so that a newer incarnation is not meant.
        directory: Uuid,
        /// Expired or back.
        fenced: bool,
    },
    /// Place no new replicas on a broker, or do so again.
    SetCordoned {
        /// The broker.
        broker: BrokerId,
        /// Cordoned or not.
        cordoned: bool,
    },
    /// Where a broker stands, as the operator sees it: it counts for more than the broker's own word.
    SetRack {
        /// The broker.
        broker: BrokerId,
        /// Its directory, so that a newer incarnation is not meant.
        directory: Uuid,
        /// The rack; none to go by what the broker says again.
        rack: Option<String>,
    },
    /// Where clients of the external listener find a broker, as the operator sees it.
    SetAdvertised {
        /// The broker.
        broker: BrokerId,
        /// Its directory, so that a newer incarnation is not meant.
        directory: Uuid,
        /// `host:port`; none if such clients cannot reach it.
        address: Option<String>,
    },
    /// Forget a cordoned broker that holds nothing any more; its directory is retired.
    RemoveBroker {
        /// The broker.
        broker: BrokerId,
        /// Its directory, so that a newer incarnation is not meant.
        directory: Uuid,
    },
    /// Make a topic; the named replicas are born with the topic.
    CreateTopic {
        /// Its name.
        name: String,
        /// Its id, drawn by the proposer.
        id: Uuid,
        /// The brokers of each partition, the first one to lead.
        partitions: Vec<Vec<BrokerId>>,
        /// Its configs.
        configs: BTreeMap<String, String>,
        /// Made by the cluster for itself.
        internal: bool,
    },
    /// Add partitions to a topic.
    CreatePartitions {
        /// The topic.
        topic: Uuid,
        /// How many it has now; any other count is refused.
        expected: u32,
        /// The brokers of each new partition, the first one to lead.
        partitions: Vec<Vec<BrokerId>>,
    },
    /// Delete a topic with its partitions.
    DeleteTopic {
        /// The topic.
        id: Uuid,
    },
    /// Set (`Some`) or unset (`None`) configs of one resource, all or none.
    SetConfigs {
        /// Whose configs.
        resource: ConfigResource,
        /// Name to new value.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Where replicas should be, all or none.
    SetTargets {
        /// The brokers of each group, the first one to lead.
        targets: Vec<(PartitionId, Vec<BrokerId>)>,
    },
    /// What groups say of themselves.
    Report {
        /// The broker that reports.
        from: BrokerId,
        /// One row a group.
        rows: Vec<GroupReport>,
    },
    /// Reserve a block of producer ids.
    AllocateProducerIds {
        /// The broker that hands them out.
        broker: BrokerId,
        /// How many.
        count: u32,
    },
    /// `__meta` has reached its first size: serve produce.
    Open,
    /// A replica is damaged and cannot come back: its place goes to a new life on the same broker.
    ReplaceReplica {
        /// The group.
        id: PartitionId,
        /// The life that ended.
        peer: PeerId,
    },
}

/// What a broker says of itself when it comes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub id: BrokerId,
    /// Its data directory.
    pub directory: Uuid,
    /// How often that directory was started.
    pub boot: u64,
    /// `host:port` for Kafka clients.
    pub kafka_address: String,
    /// `host:port` for peers and the operator.
    pub peer_address: String,
    /// Where it stands.
    pub rack: Option<String>,
    /// Its software.
    pub version: String,
}

/// Whose configs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic's, by name.
    Topic(String),
    /// One broker's, or (`None`) the default of all brokers.
    Broker(Option<BrokerId>),
}

/// What one group says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    /// The group.
    pub id: PartitionId,
    /// Who leads, and in which term.
    pub leader: Option<(PeerId, Term)>,
    /// Who its members are.
    pub conf: Option<ConfReport>,
}

/// The members of a group as of one applied change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfReport {
    /// The index of the change that made this.
    pub conf_index: Index,
    /// Voters (in a joint state: the incoming ones).
    pub voters: Vec<PeerId>,
    /// In a joint state: the voters before it.
    pub outgoing: Vec<PeerId>,
    /// Learners.
    pub learners: Vec<PeerId>,
    /// In a joint state: outgoing voters that will be learners.
    pub learners_next: Vec<PeerId>,
}

/// The version that all layouts have so far.
const V1: u8 = 1;

impl Command {
    /// The command's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        w.u8(self.tag()).u8(V1);
        self.put_fields(&mut w);
        w.finish()
    }

    /// The command of these bytes.
    pub fn decode(bytes: Bytes) -> Result<Command, CodecError> {
        let mut r = Reader::new(bytes);
        let tag = r.u8("command")?;
        let version = r.u8("command version")?;
        if version != V1 {
            return Err(CodecError::Unknown { what: "command version", value: version.into() });
        }
        let command = get_fields(tag, &mut r)?;
        r.end()?;
        Ok(command)
    }

    fn tag(&self) -> u8 {
        match self {
            Command::Genesis { .. } => 1,
            Command::RegisterBroker(_) => 2,
            Command::SetFenced { .. } => 3,
            Command::SetCordoned { .. } => 4,
            Command::RemoveBroker { .. } => 5,
            Command::CreateTopic { .. } => 6,
            Command::CreatePartitions { .. } => 7,
            Command::DeleteTopic { .. } => 8,
            Command::SetConfigs { .. } => 9,
            Command::SetTargets { .. } => 10,
            Command::Report { .. } => 11,
            Command::AllocateProducerIds { .. } => 12,
            Command::Open => 13,
            Command::ReplaceReplica { .. } => 14,
            Command::SetRack { .. } => 15,
            Command::SetAdvertised { .. } => 16,
        }
    }

    fn put_fields(&self, w: &mut Writer) {
        match self {
            Command::Genesis { cluster_id, brokers, first } => {
                w.str(cluster_id).u32(*brokers);
                first.put(w);
            }
            Command::RegisterBroker(registration) => registration.put(w),
            Command::SetFenced { broker, directory, fenced } => {
                put_broker(w, *broker);
                w.uuid(*directory).bool(*fenced);
            }
            Command::SetCordoned { broker, cordoned } => {
                put_broker(w, *broker);
                w.bool(*cordoned);
            }
            Command::RemoveBroker { broker, directory } => {
                put_broker(w, *broker);
                w.uuid(*directory);
            }
            Command::CreateTopic { name, id, partitions, configs, internal } => {
                w.str(name).uuid(*id);
                w.list(partitions.iter(), |w, brokers| put_brokers(w, brokers));
                put_configs(w, configs);
                w.bool(*internal);
            }
            Command::CreatePartitions { topic, expected, partitions } => {
                w.uuid(*topic).u32(*expected);
                w.list(partitions.iter(), |w, brokers| put_brokers(w, brokers));
            }
            Command::DeleteTopic { id } => {
                w.uuid(*id);
            }
            Command::SetConfigs { resource, changes } => {
                resource.put(w);
                w.list(changes.iter(), |w, (name, value)| {
                    w.str(name);
                    put_text(w, value);
                });
            }
            Command::SetTargets { targets } => {
                w.list(targets.iter(), |w, (id, brokers)| {
                    put_partition_id(w, *id);
                    put_brokers(w, brokers);
                });
            }
            Command::Report { from, rows } => {
                put_broker(w, *from);
                w.list(rows.iter(), |w, row| row.put(w));
            }
            Command::AllocateProducerIds { broker, count } => {
                put_broker(w, *broker);
                w.u32(*count);
            }
            Command::Open => {}
            Command::ReplaceReplica { id, peer } => {
                put_partition_id(w, *id);
                w.u64(peer.0);
            }
            Command::SetRack { broker, directory, rack } => {
                put_broker(w, *broker);
                w.uuid(*directory);
                put_text(w, rack);
            }
            Command::SetAdvertised { broker, directory, address } => {
                put_broker(w, *broker);
                w.uuid(*directory);
                put_text(w, address);
            }
        }
    }
}

fn get_fields(tag: u8, r: &mut Reader) -> Result<Command, CodecError> {
    Ok(match tag {
        1 => Command::Genesis {
            cluster_id: r.str("cluster id")?,
            brokers: r.u32("wanted brokers")?,
            first: Registration::get(r)?,
        },
        2 => Command::RegisterBroker(Registration::get(r)?),
        3 => Command::SetFenced {
            broker: get_broker(r)?,
            directory: r.uuid("directory")?,
            fenced: r.bool("fenced")?,
        },
        4 => Command::SetCordoned { broker: get_broker(r)?, cordoned: r.bool("cordoned")? },
        5 => Command::RemoveBroker { broker: get_broker(r)?, directory: r.uuid("directory")? },
        6 => Command::CreateTopic {
            name: r.str("topic name")?,
            id: r.uuid("topic id")?,
            partitions: r.list("partitions", get_brokers)?,
            configs: get_configs(r)?,
            internal: r.bool("internal")?,
        },
        7 => Command::CreatePartitions {
            topic: r.uuid("topic id")?,
            expected: r.u32("partition count")?,
            partitions: r.list("partitions", get_brokers)?,
        },
        8 => Command::DeleteTopic { id: r.uuid("topic id")? },
        9 => Command::SetConfigs { resource: ConfigResource::get(r)?, changes: get_changes(r)? },
        10 => Command::SetTargets {
            targets: r.list("targets", |r| Ok((get_partition_id(r)?, get_brokers(r)?)))?,
        },
        11 => Command::Report { from: get_broker(r)?, rows: r.list("reports", GroupReport::get)? },
        12 => Command::AllocateProducerIds { broker: get_broker(r)?, count: r.u32("id count")? },
        13 => Command::Open,
        14 => Command::ReplaceReplica { id: get_partition_id(r)?, peer: PeerId(r.u64("peer")?) },
        15 => Command::SetRack {
            broker: get_broker(r)?,
            directory: r.uuid("directory")?,
            rack: get_text(r, "rack")?,
        },
        16 => Command::SetAdvertised {
            broker: get_broker(r)?,
            directory: r.uuid("directory")?,
            address: get_text(r, "advertised address")?,
        },
        value => return Err(CodecError::Unknown { what: "command", value: value.into() }),
    })
}

fn get_changes(r: &mut Reader) -> Result<BTreeMap<String, Option<String>>, CodecError> {
    let changes =
        r.list("changes", |r| Ok((r.str("config name")?, get_text(r, "config value")?)))?;
    Ok(changes.into_iter().collect())
}

impl Registration {
    fn put(&self, w: &mut Writer) {
        let Registration { id, directory, boot, kafka_address, peer_address, rack, version } = self;
        put_broker(w, *id);
        w.uuid(*directory).u64(*boot).str(kafka_address).str(peer_address);
        put_text(w, rack);
        w.str(version);
    }

    fn get(r: &mut Reader) -> Result<Registration, CodecError> {
        Ok(Registration {
            id: get_broker(r)?,
            directory: r.uuid("directory")?,
            boot: r.u64("boot")?,
            kafka_address: r.str("kafka address")?,
            peer_address: r.str("peer address")?,
            rack: get_text(r, "rack")?,
            version: r.str("version")?,
        })
    }
}

impl ConfigResource {
    fn put(&self, w: &mut Writer) {
        match self {
            ConfigResource::Topic(name) => {
                w.u8(1).str(name);
            }
            ConfigResource::Broker(None) => {
                w.u8(2);
            }
            ConfigResource::Broker(Some(id)) => {
                w.u8(3);
                put_broker(w, *id);
            }
        }
    }

    fn get(r: &mut Reader) -> Result<ConfigResource, CodecError> {
        match r.u8("config resource")? {
            1 => Ok(ConfigResource::Topic(r.str("topic name")?)),
            2 => Ok(ConfigResource::Broker(None)),
            3 => Ok(ConfigResource::Broker(Some(get_broker(r)?))),
            value => Err(CodecError::Unknown { what: "config resource", value: value.into() }),
        }
    }
}

impl GroupReport {
    fn put(&self, w: &mut Writer) {
        let GroupReport { id, leader, conf } = self;
        put_partition_id(w, *id);
        w.option(*leader, |w, (peer, term)| {
            w.u64(peer.0).u64(term);
        });
        w.option(conf.as_ref(), |w, conf| conf.put(w));
    }

    fn get(r: &mut Reader) -> Result<GroupReport, CodecError> {
        Ok(GroupReport {
            id: get_partition_id(r)?,
            leader: r.option("leader", |r| Ok((PeerId(r.u64("leader")?), r.u64("term")?)))?,
            conf: r.option("members", ConfReport::get)?,
        })
    }
}

impl ConfReport {
    fn put(&self, w: &mut Writer) {
        let ConfReport { conf_index, voters, outgoing, learners, learners_next } = self;
        w.u64(*conf_index);
        for peers in [voters, outgoing, learners, learners_next] {
            put_peers(w, peers);
        }
    }

    fn get(r: &mut Reader) -> Result<ConfReport, CodecError> {
        Ok(ConfReport {
            conf_index: r.u64("conf index")?,
            voters: get_peers(r)?,
            outgoing: get_peers(r)?,
            learners: get_peers(r)?,
            learners_next: get_peers(r)?,
        })
    }
}

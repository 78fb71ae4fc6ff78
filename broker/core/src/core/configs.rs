//! What topic and cluster configs mean to the replicas here, and where brokers are to be found.

use std::sync::Arc;

use super::{Core, Machine};
use crate::ids::{BrokerId, PartitionId, Uuid};
use crate::log::disk::Disk;
use crate::meta::Listener;
use crate::meta::configs::TopicConfig;
use crate::wire::{NodeEndpoint, StrBytes};

impl<D: Disk> Core<D> {
    /// Gives every replica the configs of its topic, after some have changed.
    pub(crate) fn configure(&mut self) {
        let ids: Vec<PartitionId> = self.replicas.keys().copied().collect();
        for id in ids {
            self.configure_replica(id);
        }
    }

    /// Gives one replica the configs of its topic.
    pub(super) fn configure_replica(&mut self, id: PartitionId) {
        let groups = self.group_config();
        let Some(topic) = self.meta.topic(id.topic) else { return };
        let config = TopicConfig::on(&self.meta, topic, self.config.broker);
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        match &mut replica.machine {
            Machine::Meta => {}
            Machine::Groups(coordinator) => coordinator.set_config(groups),
            Machine::Records(partition) => {
                let most = self.config.limits.log.segment_bytes;
                replica.group.log_mut().set_segment_bytes(config.segment_bytes.min(most));
                partition.config = Arc::new(config);
            }
        }
    }

    /// Where clients of a listener find a broker.
    pub(crate) fn endpoint(&self, broker: BrokerId, listener: Listener) -> Option<NodeEndpoint> {
        let known = self.meta.broker(broker)?;
        let (host, port) = known.kafka_host_port(listener)?;
        Some(NodeEndpoint {
            node_id: i32::try_from(broker.0).ok()?,
            host: StrBytes::from_string(host.to_owned()),
            port: i32::from(port),
            rack: known.rack().map(|rack| StrBytes::from_string(rack.to_owned())),
        })
    }

    /// A new id, from the node's seed and a count: no two of a run are equal, nor of two runs.
    pub(crate) fn new_uuid(&mut self) -> Uuid {
        self.uuids += 1;
        let mut words = [0u64; 2];
        let inputs = [
            self.config.seed,
            self.node.boot,
            self.uuids,
            u64::from(self.config.broker.0),
            self.now.wall_ms.cast_unsigned(),
        ];
        for (salt, word) in words.iter_mut().enumerate() {
            *word = inputs.iter().fold(salt as u64 + 1, |hash, input| {
                let hash = (hash ^ input).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                hash ^ (hash >> 29)
            });
        }
        let [high, low] = words;
        uuid::Builder::from_bytes(Uuid::from_u64_pair(high, low).into_bytes())
            .with_version(uuid::Version::Random)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid()
    }
}

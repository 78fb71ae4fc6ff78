//! The table of brokers: who is registered, with which directory, and which directories are retired.
//! What a broker holds is in the table of partitions.

use std::collections::BTreeMap;

use super::applied::Refusal;
use super::command::Registration;
use crate::ids::{BrokerId, Index, PeerId, Uuid};
use crate::mutant::{self, Mutant};

/// Through which of a broker's listeners a client came. It is told addresses of that one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The one whose address brokers register.
    Internal,
    /// The one whose addresses the operator tells the cluster.
    External,
}

/// One registered broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// What it last said of itself.
    pub registration: Registration,
    /// Its replica of `__meta`, placed by the command that made this incarnation.
    pub meta_peer: PeerId,
    /// Its session has expired.
    pub fenced: bool,
    /// Takes no new replicas.
    pub cordoned: bool,
    /// Where it stands, as the operator sees it.
    pub told_rack: Option<String>,
    /// `host:port` for clients of the external listener, as the operator sees it.
    pub advertised: Option<String>,
}

impl Broker {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> BrokerId {
        self.registration.id
    }

    /// Its data directory.
    #[must_use]
    pub fn directory(&self) -> Uuid {
        self.registration.directory
    }

    /// Whether new replicas may be placed on it by our own choice.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.cordoned
    }

    /// Where it stands: as the operator sees it, or else as it says itself.
    #[must_use]
    pub fn rack(&self) -> Option<&str> {
        self.told_rack.as_deref().or(self.registration.rack.as_deref())
    }

    /// Host and port for Kafka clients of a listener; none if they cannot reach it.
    #[must_use]
    pub fn kafka_host_port(&self, listener: Listener) -> Option<(&str, u16)> {
        match listener {
            Listener::Internal => host_port(&self.registration.kafka_address),
            Listener::External => host_port(self.advertised.as_deref()?),
        }
    }

    /// Whether a peer that was placed at some time belongs to this incarnation, not to a lost disk.
    #[must_use]
    pub fn is_alive(&self, peer: PeerId) -> bool {
        peer.broker() == self.id() && peer.placed_at() >= self.meta_peer.placed_at()
    }
}

/// What a registration would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A new id.
    New,
    /// The known directory of a known id.
    Again,
    /// A new directory for a known id.
    Incarnation,
}

/// All registered brokers and all directories that must not come back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Brokers {
    pub(super) by_id: BTreeMap<BrokerId, Broker>,
    /// Directories that were removed or replaced, and whose they were.
    pub(super) retired: BTreeMap<Uuid, BrokerId>,
}

impl Brokers {
    pub(super) fn get(&self, id: BrokerId) -> Result<&Broker, Refusal> {
        self.by_id.get(&id).ok_or(Refusal::UnknownBroker(id))
    }

    pub(super) fn get_mut(&mut self, id: BrokerId) -> Result<&mut Broker, Refusal> {
        self.by_id.get_mut(&id).ok_or(Refusal::UnknownBroker(id))
    }

    /// That the id and the directory still belong together.
    pub(super) fn check_directory(&self, id: BrokerId, meant: Uuid) -> Result<(), Refusal> {
        let current = self.get(id)?.directory();
        if current == meant {
            return Ok(());
        }
        Err(Refusal::OtherDirectory { broker: id, meant, current })
    }

    /// What this registration would be, if it is allowed.
    pub(super) fn classify(&self, new: &Registration) -> Result<Arrival, Refusal> {
        let (broker, directory) = (new.id, new.directory);
        if broker > BrokerId::MAX {
            return Err(Refusal::BrokerIdTooLarge(broker));
        }
        for address in [&new.kafka_address, &new.peer_address] {
            if host_port(address).is_none() {
                return Err(Refusal::InvalidAddress { broker, address: address.clone() });
            }
        }
        if self.retired.contains_key(&directory) {
            return Err(Refusal::Retired { broker, directory });
        }
        let owner = self.by_id.values().find(|b| b.directory() == directory).map(Broker::id);
        if let Some(owner) = owner.filter(|owner| *owner != broker) {
            return Err(Refusal::DirectoryTaken { broker, directory, owner });
        }
        let Some(known) = self.by_id.get(&broker) else { return Ok(Arrival::New) };
        if known.directory() == directory {
            let seen = known.registration.boot;
            if new.boot < seen {
                return Err(Refusal::RestoredVolume { broker, boot: new.boot, seen });
            }
            return Ok(Arrival::Again);
        }
        if !known.fenced {
            return Err(Refusal::StillAlive { broker, current: known.directory() });
        }
        Ok(Arrival::Incarnation)
    }

    /// Takes an allowed registration in and returns the broker's peer in `__meta`. It is alive, so
    /// a fence ends; a cordon stays, as it is somebody's intent. A new directory may stand, and be reached,
    /// elsewhere.
    pub(super) fn admit(&mut self, index: Index, arrival: Arrival, new: &Registration) -> PeerId {
        let id = new.id;
        let known = self.by_id.get(&id);
        let cordoned = known.is_some_and(|b| b.cordoned);
        let meta_peer = match (arrival, known) {
            (Arrival::Again, Some(known)) => known.meta_peer,
            (_, Some(known)) if mutant::is(Mutant::ReusePeerId) => known.meta_peer,
            (Arrival::New | Arrival::Incarnation | Arrival::Again, _) => PeerId::new(index, id),
        };
        let (told_rack, advertised) = match (arrival, known) {
            (Arrival::Again, Some(known)) => (known.told_rack.clone(), known.advertised.clone()),
            (Arrival::New | Arrival::Incarnation | Arrival::Again, _) => (None, None),
        };
        if let (Arrival::Incarnation, Some(known)) = (arrival, known) {
            self.retired.insert(known.directory(), id);
        }
        let registration = new.clone();
        let fenced = false;
        let broker = Broker { registration, meta_peer, fenced, cordoned, told_rack, advertised };
        self.by_id.insert(id, broker);
        meta_peer
    }

    /// Forgets a broker and retires its directory.
    pub(super) fn remove(&mut self, id: BrokerId) {
        if let Some(gone) = self.by_id.remove(&id) {
            self.retired.insert(gone.directory(), id);
        }
    }
}

/// The parts of `host:port`; an IPv6 host stands in brackets, which are taken off.
pub(crate) fn host_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(host_port("a.b:9092"), Some(("a.b", 9092)));
        assert_eq!(host_port("[::1]:1"), Some(("::1", 1)));
        for bad in ["", "a", ":1", "a:", "a:x", "a:70000", "::1:1", "[::1:1"] {
            assert_eq!(host_port(bad), None, "{bad}");
        }
    }
}

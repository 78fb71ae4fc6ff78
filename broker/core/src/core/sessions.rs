//! Being registered, and being heard of. A broker without a cluster asks to be let in; a member
//! keeps its registration true; the leader of `__meta` fences brokers that fell silent.

use super::node::{Membership, NodeRecord};
use super::peer_message::PeerMessage;
use super::proposals::ProposeError;
use super::{Core, Micros};
use crate::ids::{BrokerId, PartitionId, Uuid};
use crate::log::disk::Disk;
use crate::meta::applied::{Outcome, Refusal};
use crate::meta::command::{Command, Registration};

/// How often a broker says that it is alive, asks to be let in, or looks at its registration.
const ALIVE_EVERY: Micros = Micros::from_millis(500);

impl<D: Disk> Core<D> {
    pub(super) fn registration(&self) -> Registration {
        Registration {
            id: self.config.broker,
            directory: self.config.directory,
            boot: self.node.boot,
            kafka_address: self.config.kafka_address.clone(),
            peer_address: self.config.peer_address.clone(),
            rack: self.config.rack.clone(),
            version: self.config.version.clone(),
        }
    }

    /// Writes down what this node is. It is synced with the round.
    pub(super) fn remember_node(&mut self) {
        self.wal.set_node(self.node.encode());
        self.hold_description();
    }

    /// Enters a cluster: with an empty replica of `__meta`, or as its first broker.
    pub(super) fn join(&mut self, membership: Membership) {
        tracing::info!(cluster = %membership.cluster_id, meta_peer = %membership.meta_peer, "joins");
        self.node = NodeRecord { membership: Some(membership), ..self.node.clone() };
        self.remember_node();
        self.create_meta();
    }

    pub(super) fn not_registered(&mut self, cluster_id: &str, retired: bool, reason: &str) {
        tracing::warn!(cluster = cluster_id, reason, "not registered");
        let ours = self.cluster_id().is_none_or(|ours| ours == cluster_id);
        if retired && ours && !self.node.retired {
            self.node.retired = true;
            self.remember_node();
        }
    }

    pub(super) fn answer_registration(
        &mut self,
        to: BrokerId,
        directory: Uuid,
        result: Result<Outcome, ProposeError>,
    ) {
        let cluster_id = self.meta.cluster_id().unwrap_or_default().to_owned();
        let answer = match result {
            Ok(Outcome::Registered { meta_peer, .. }) => {
                PeerMessage::Registered { directory, cluster_id, meta_peer }
            }
            Err(ProposeError::Refused(refusal)) => PeerMessage::NotRegistered {
                directory,
                cluster_id,
                retired: matches!(refusal, Refusal::Retired { .. }),
                reason: refusal.to_string(),
            },
            // It asks again by itself.
            Ok(Outcome::None | Outcome::ProducerIds { .. }) | Err(ProposeError::TimedOut) => return,
        };
        self.outbox.broker(to, &answer.encode());
    }

    /// Every half second: a sign of life, and whatever registration is missing.
    pub(super) fn tick_node(&mut self) {
        if self.now.mono.since(self.said_alive) < ALIVE_EVERY {
            return;
        }
        self.said_alive = self.now.mono;
        let message = match &self.node.membership {
            _ if self.node.retired => return,
            Some(_) if self.is_shutting_down() || self.stalled => PeerMessage::Leaving,
            // A member that hears of no leader may have been removed, and nobody tells it so: whoever
            // answers knows.
            Some(_) if self.hears_leader() => PeerMessage::Alive,
            Some(_) | None => {
                PeerMessage::Register(Command::RegisterBroker(self.registration()).encode())
            }
        };
        self.say_to_all(&message);
        self.keep_registration();
        self.replace_damaged();
    }

    /// Says something to every broker that can be reached.
    pub(super) fn say_to_all(&mut self, message: &PeerMessage) {
        let peers: Vec<BrokerId> = self.peers.reachable().collect();
        for peer in peers {
            self.outbox.broker(peer, &message.encode());
        }
    }

    fn hears_leader(&self) -> bool {
        let meta = self.replicas.get(&PartitionId::META);
        meta.is_some_and(|replica| replica.group.hears_leader())
    }

    /// A member whose address, software or boot number is not what the cluster knows says so.
    fn keep_registration(&mut self) {
        if self.registering || self.meta.cluster_id().is_none() {
            return;
        }
        let mine = self.registration();
        let known = self.meta.broker(mine.id).map(|broker| &broker.registration);
        if known == Some(&mine) {
            return;
        }
        self.registering = true;
        self.propose_meta(&Command::RegisterBroker(mine), |core, result| {
            core.registering = false;
            if let Err(ProposeError::Refused(refusal)) = result {
                let retired = matches!(refusal, Refusal::Retired { .. });
                let cluster = core.cluster_id().unwrap_or_default().to_owned();
                core.not_registered(&cluster, retired, &refusal.to_string());
            }
        });
    }

    /// This node leads `__meta` from now on: everybody's session starts anew.
    pub(super) fn lead_meta(&mut self) {
        self.meta_led_since = self.now.mono;
    }

    /// The leader of `__meta` makes the birth happen, opens the cluster, and watches the sessions.
    pub(super) fn tick_sessions(&mut self) {
        let leads = self.replicas.get(&PartitionId::META).is_some_and(|r| r.leading.is_some());
        if !leads || self.deciding {
            return;
        }
        let command = self.birth().or_else(|| self.opening()).or_else(|| self.overdue_fence());
        if let Some(command) = command {
            self.deciding = true;
            self.propose_meta(&command, |core, result| {
                core.deciding = false;
                if let Err(ProposeError::Refused(refusal)) = result {
                    tracing::debug!(%refusal, "a decision of the leader was overtaken");
                }
            });
        }
    }

    fn birth(&self) -> Option<Command> {
        let membership = self.node.membership.as_ref()?;
        let brokers = membership.born_with?;
        self.meta.cluster_id().is_none().then(|| Command::Genesis {
            cluster_id: membership.cluster_id.clone(),
            brokers,
            first: self.registration(),
        })
    }

    fn opening(&self) -> Option<Command> {
        (!self.meta.open() && self.meta.can_open()).then_some(Command::Open)
    }

    fn overdue_fence(&self) -> Option<Command> {
        let timeout = self.config.limits.session_timeout;
        let now = self.now.mono;
        self.meta.brokers().find_map(|broker| {
            let directory = broker.registration.directory;
            let heard = self.peers.heard(broker.id(), directory).unwrap_or_default();
            let since = if broker.id() == self.me() {
                now
            } else {
                heard.max(if broker.fenced { Micros(0) } else { self.meta_led_since })
            };
            let silent = now.since(since) >= timeout || since == Micros(0);
            (silent != broker.fenced).then(|| Command::SetFenced {
                broker: broker.id(),
                directory,
                fenced: silent,
            })
        })
    }
}

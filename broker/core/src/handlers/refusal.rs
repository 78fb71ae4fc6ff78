//! Why the cluster's metadata did not change, as Kafka's errors with words for people.

use kafka_protocol::protocol::StrBytes;

use super::text;
use crate::core::ProposeError;
use crate::error::KafkaError;
use crate::meta::Refusal;
use crate::meta::applied::AssignmentError;
use crate::meta::configs::ConfigError;
use crate::meta::placement::PlaceError;

/// A part of a request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) error: KafkaError,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(error: KafkaError, message: impl Into<String>) -> Failure {
        Failure { error, message: message.into() }
    }

    pub(super) fn code(&self) -> i16 {
        self.error.code()
    }

    pub(super) fn text(&self) -> Option<StrBytes> {
        Some(text(self.message.clone()))
    }
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Failure {
        Failure::new(error, error.message())
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Failure {
        Failure::new(error_of(refusal), refusal.to_string())
    }
}

impl From<&ProposeError> for Failure {
    fn from(error: &ProposeError) -> Failure {
        match error {
            ProposeError::Refused(refusal) => Failure::from(refusal),
            ProposeError::TimedOut => {
                Failure::new(KafkaError::RequestTimedOut, format!("{error}, it may still happen"))
            }
        }
    }
}

impl From<&PlaceError> for Failure {
    fn from(error: &PlaceError) -> Failure {
        let kind = match error {
            PlaceError::TooFewBrokers { .. } | PlaceError::Replication(_) => {
                KafkaError::InvalidReplicationFactor
            }
            PlaceError::Partitions(_) => KafkaError::InvalidPartitions,
            PlaceError::CannotKeepReplication { .. } => KafkaError::InvalidReplicationFactor,
            PlaceError::UnknownBroker(_) => KafkaError::InvalidReplicaAssignment,
        };
        Failure::new(kind, error.to_string())
    }
}

fn error_of(refusal: &Refusal) -> KafkaError {
    match refusal {
        Refusal::Name(_) | Refusal::NameCollision { .. } | Refusal::InternalTopic(_) => {
            KafkaError::InvalidTopicException
        }
        Refusal::TopicExists(_) => KafkaError::TopicAlreadyExists,
        Refusal::UnknownTopicId(_) => KafkaError::UnknownTopicId,
        Refusal::UnknownTopic(_) | Refusal::UnknownPartition(_) => {
            KafkaError::UnknownTopicOrPartition
        }
        Refusal::PartitionCount { .. } | Refusal::PartitionsMoved { .. } => {
            KafkaError::InvalidPartitions
        }
        Refusal::Assignment { reason, .. } => match reason {
            AssignmentError::TooMany(_) => KafkaError::InvalidReplicationFactor,
            AssignmentError::Empty
            | AssignmentError::Twice(_)
            | AssignmentError::Unknown(_)
            | AssignmentError::Cordoned(_)
            | AssignmentError::Uneven { .. }
            | AssignmentError::Repeated
            | AssignmentError::Meta => KafkaError::InvalidReplicaAssignment,
        },
        Refusal::Config(reason) => match reason {
            ConfigError::ReadOnly(_) | ConfigError::ClusterOnly(_) => KafkaError::InvalidRequest,
            ConfigError::Unknown(_)
            | ConfigError::Invalid { .. }
            | ConfigError::AboveMajority { .. } => KafkaError::InvalidConfig,
        },
        Refusal::UnknownBroker(_) => KafkaError::BrokerIdNotRegistered,
        Refusal::NoCluster => KafkaError::CoordinatorNotAvailable,
        Refusal::ProducerIds(_) | Refusal::TopicIdTaken(_) => KafkaError::UnknownServerError,
        // Orders of the operator and of brokers; no Kafka request leads to them.
        Refusal::ClusterExists(_)
        | Refusal::InvalidGenesis
        | Refusal::BrokerIdTooLarge(_)
        | Refusal::InvalidAddress { .. }
        | Refusal::Retired { .. }
        | Refusal::DirectoryTaken { .. }
        | Refusal::RestoredVolume { .. }
        | Refusal::StillAlive { .. }
        | Refusal::OtherDirectory { .. }
        | Refusal::NotCordoned(_)
        | Refusal::NotSpared { .. }
        | Refusal::StillMember { .. } => KafkaError::InvalidRequest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_kafkas_code_and_our_words() {
        let failure = Failure::from(&Refusal::TopicExists("t".into()));
        assert_eq!(failure.error, KafkaError::TopicAlreadyExists);
        assert!(failure.message.contains("\"t\""));
        let late = Failure::from(&ProposeError::TimedOut);
        assert!(late.error.retriable());
        let few = PlaceError::TooFewBrokers { replication: 3, active: 1, registered: 2 };
        assert_eq!(Failure::from(&few).error, KafkaError::InvalidReplicationFactor);
    }
}

//! Kafka's error codes: number, name, words for people, and whether a client may try again.
//! Which error a situation calls for is decided where it arises.

use std::fmt;

/// The code of success; every other code is a [`KafkaError`].
pub const NONE: i16 = 0;

macro_rules! kafka_errors {
    ($($name:ident = $code:literal, $wire:literal, $retry:ident, $text:literal;)*) => {
        /// What a request can be answered with instead of success.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum KafkaError {
            $(#[doc = $text] $name = $code,)*
        }

        impl KafkaError {
            /// All of them, by code.
            pub const ALL: &'static [KafkaError] = &[$(KafkaError::$name,)*];

            /// The error with this code; none for 0 and for codes that this software does not know.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<KafkaError> {
                match code {
                    $($code => Some(KafkaError::$name),)*
                    _ => None,
                }
            }

            /// The protocol's name of it, as in Kafka's documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(KafkaError::$name => $wire,)* }
            }

            /// What it means, for people.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(KafkaError::$name => $text,)* }
            }

            /// Whether clients repeat the request, mostly after looking up metadata again.
            #[must_use]
            pub const fn retriable(self) -> bool {
                match self { $(KafkaError::$name => kafka_errors!(@ $retry),)* }
            }
        }
    };
    (@ retry) => { true };
    (@ fatal) => { false };
}

kafka_errors! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", fatal, "the broker met an error that it did not expect";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", fatal, "the offset is outside the partition's log";
    CorruptMessage = 2, "CORRUPT_MESSAGE", retry, "the record batch is damaged: its checksum, length or count is wrong";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", retry, "no such topic or partition on this broker";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", fatal, "the fetch size is invalid";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", retry, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", retry, "this broker does not lead the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", retry, "the request was not decided in time and may still take effect";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", fatal, "the broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", retry, "the replica is not available here";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", fatal, "the record batch is larger than max.message.bytes of the topic";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", fatal, "the controller has moved to another broker";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", fatal, "the text committed with an offset is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", retry, "the connection ended before the answer";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", retry, "the coordinator is still reading its log";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", retry, "the coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", retry, "this broker is not the coordinator";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", fatal, "the topic's name is not allowed";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", fatal, "the record batch is larger than a segment";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", retry, "fewer replicas are in sync than required";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retry, "the records were written to fewer replicas than required";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", fatal, "acks must be -1, 0 or 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", fatal, "the generation is not the group's current one";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", fatal, "the member's protocols do not fit those of the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", fatal, "the group id is not allowed";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", fatal, "the group has no member with this id";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", fatal, "the session timeout is outside the broker's limits";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", fatal, "the group is rebalancing, the member has to join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", fatal, "the committed offsets are too large";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", fatal, "not authorized for the topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", fatal, "not authorized for the group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", fatal, "not authorized for the cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", fatal, "a record's timestamp is outside the allowed range";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", fatal, "the broker does not offer this SASL mechanism";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", fatal, "the request is not valid in this state of the SASL exchange";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", fatal, "the broker does not serve this version of the API";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", fatal, "a topic with this name exists";
    InvalidPartitions = 37, "INVALID_PARTITIONS", fatal, "the number of partitions is not allowed";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", fatal, "the replication factor is below 1 or above the number of usable brokers";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", fatal, "the replica assignment is invalid";
    InvalidConfig = 40, "INVALID_CONFIG", fatal, "a configuration value is invalid";
    NotController = 41, "NOT_CONTROLLER", retry, "this broker is not the controller";
    InvalidRequest = 42, "INVALID_REQUEST", fatal, "the request contradicts itself or cannot be read";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", fatal, "the record format does not support the request";
    PolicyViolation = 44, "POLICY_VIOLATION", fatal, "the request violates a policy of the broker";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", fatal, "the batch does not follow the producer's last one";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", fatal, "the batch was written before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", fatal, "the producer's epoch is older than the current one";
    InvalidTxnState = 48, "INVALID_TXN_STATE", fatal, "the transaction is not in a state that allows this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", fatal, "the producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", fatal, "the transaction timeout is above the broker's limit";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", fatal, "another operation on the transaction is not finished";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", fatal, "the transaction coordinator was replaced by another";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", fatal, "not authorized for the transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", fatal, "security is switched off on this broker";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", fatal, "not attempted, because another part of the request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", retry, "the broker's disk is full or failed";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", fatal, "no such log directory";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", fatal, "authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", fatal, "nothing is known of the producer id any more";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", fatal, "the partition's replicas are being moved";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", fatal, "delegation tokens are switched off";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", fatal, "no such delegation token";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", fatal, "the delegation token belongs to somebody else";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", fatal, "delegation tokens are not served on this connection";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", fatal, "not authorized for the delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", fatal, "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", fatal, "unknown type of principal";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", fatal, "the group still has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", fatal, "no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", retry, "no such fetch session";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", retry, "the fetch session's epoch is not the next one";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", retry, "the leader has no listener of this name";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", fatal, "deleting topics is switched off";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", retry, "the leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", retry, "the leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", fatal, "the compression is not supported here";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", fatal, "the broker's epoch has changed";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", retry, "a new leader does not know its high watermark yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", fatal, "join again with the member id of this answer";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", retry, "the preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", fatal, "the group has as many members as it may";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", fatal, "another member has taken the instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retry, "no replica can become leader";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", retry, "the preferred replica leads already";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", fatal, "no replicas are being moved";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", fatal, "a member of the group is subscribed to the topic";
    InvalidRecord = 87, "INVALID_RECORD", fatal, "a record breaks a rule of the topic or of the format";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", retry, "a transaction that commits these offsets is still open";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", retry, "a quota is used up";
    ProducerFenced = 90, "PRODUCER_FENCED", fatal, "a newer producer has the same transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", fatal, "no such resource";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", fatal, "the request names a resource twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", fatal, "the credential is not acceptable";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", fatal, "the voters are not those that the broker knows";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", fatal, "the version of the update is invalid";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", fatal, "the features could not be updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", fatal, "the forwarded principal cannot be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", fatal, "no such snapshot";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", fatal, "the position is outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", retry, "no topic with this id on this broker";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", fatal, "the broker id is in use";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", fatal, "no broker with this id is registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", retry, "the topic's id is not the one of the request";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", fatal, "the cluster's id is not the one of the request";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", fatal, "no such transactional id";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", retry, "the fetch session mixes topic names and ids";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", fatal, "the replica cannot be in sync";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", fatal, "the change elected another leader";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", fatal, "the offset is in tiered storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", fatal, "the member's epoch is fenced, it has to join again";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", fatal, "another member still holds the instance id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", fatal, "the group cannot use this assignor";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", fatal, "the member's epoch is stale, it has to try with the next one";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", fatal, "the request belongs to another kind of endpoint";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", fatal, "this kind of endpoint is not supported";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", fatal, "no such controller";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", fatal, "the telemetry subscription is unknown or outdated";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", fatal, "the telemetry is too large";
    InvalidRegistration = 119, "INVALID_REGISTRATION", fatal, "the broker's registration is invalid";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", fatal, "the transaction has to be aborted";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", fatal, "the regular expression is invalid";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", fatal, "the client has to start from its bootstrap addresses again";
}

impl KafkaError {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The number on the wire of an outcome: 0 if there is no error.
    #[must_use]
    pub fn code_of(error: Option<KafkaError>) -> i16 {
        error.map_or(NONE, KafkaError::code)
    }
}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for KafkaError {}

#[cfg(test)]
mod tests {
    use kafka_protocol::ResponseError;

    use super::*;

    /// `NOT_LEADER_OR_FOLLOWER` for `NotLeaderOrFollower`.
    fn screaming(camel: &str) -> String {
        let mut out = String::new();
        for (i, c) in camel.char_indices() {
            if c.is_ascii_uppercase() && i > 0 {
                out.push('_');
            }
            out.push(c.to_ascii_uppercase());
        }
        out
    }

    #[test]
    fn codes_names_and_retriability_are_those_of_the_protocol() {
        for &error in KafkaError::ALL {
            let theirs = ResponseError::try_from_code(error.code()).expect("not success");
            assert_eq!(error.name(), screaming(&theirs.to_string()), "{}", error.code());
            assert_eq!(error.retriable(), theirs.is_retriable(), "{error:?}");
            assert_eq!(KafkaError::from_code(error.code()), Some(error));
        }
        assert_eq!(KafkaError::from_code(NONE), None);
        assert_eq!(KafkaError::from_code(30_000), None);
        assert_eq!(KafkaError::code_of(None), 0);
        assert_eq!(KafkaError::code_of(Some(KafkaError::UnknownServerError)), -1);
    }
}

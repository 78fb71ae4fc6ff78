//! The body of every API's request and response, as one enum each. Produce and Fetch are ours, the
//! rest are the messages of the `kafka-protocol` crate.

use bytes::Bytes;
use kafka_protocol::messages as m;
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::wire::api::ApiKey;
use crate::wire::fetch::{FetchRequest, FetchResponse};
use crate::wire::primitive::{Reader, WireError, Writer};
use crate::wire::produce::{ProduceRequest, ProduceResponse};
use crate::wire::skim;

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The bytes are not what the protocol says.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The message's decoder refused it, for instance because of a null that may not be one.
    #[error("{0}")]
    Message(String),
}

macro_rules! bodies {
    ($($api:ident($request:ident, $response:ident);)*) => {
        /// What a client asks.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "a request is moved once or twice")]
        pub enum RequestBody {
            /// Append records.
            Produce(ProduceRequest),
            /// Read records.
            Fetch(FetchRequest),
            $(#[doc = concat!("See `", stringify!($request), "` of the protocol.")]
            $api(m::$request),)*
        }

        /// What a client is answered.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "a response is moved once or twice")]
        pub enum ResponseBody {
            /// Where records were appended.
            Produce(ProduceResponse),
            /// Records.
            Fetch(FetchResponse),
            $(#[doc = concat!("See `", stringify!($response), "` of the protocol.")]
            $api(m::$response),)*
        }

        impl RequestBody {
            /// The API that it belongs to.
            #[must_use]
            pub const fn api(&self) -> ApiKey {
                match self {
                    RequestBody::Produce(_) => ApiKey::Produce,
                    RequestBody::Fetch(_) => ApiKey::Fetch,
                    $(RequestBody::$api(_) => ApiKey::$api,)*
                }
            }

            /// Reads a body from the bytes after the request's header.
            pub(super) fn decode(
                api: ApiKey,
                version: i16,
                bytes: &Bytes,
            ) -> Result<RequestBody, BodyError> {
                let mut r = Reader::new(bytes, api.flexible(version));
                match api {
                    ApiKey::Produce => {
                        Ok(RequestBody::Produce(ProduceRequest::decode(&mut r, version)?))
                    }
                    ApiKey::Fetch => Ok(RequestBody::Fetch(FetchRequest::decode(&mut r, version)?)),
                    $(ApiKey::$api => {
                        skim::skim(api, version, &mut r)?;
                        match m::$request::decode(&mut bytes.clone(), version) {
                            Ok(request) => Ok(RequestBody::$api(request)),
                            Err(error) => Err(BodyError::Message(error.to_string())),
                        }
                    })*
                }
            }
        }

        impl ResponseBody {
            /// The API that it belongs to.
            #[must_use]
            pub const fn api(&self) -> ApiKey {
                match self {
                    ResponseBody::Produce(_) => ApiKey::Produce,
                    ResponseBody::Fetch(_) => ApiKey::Fetch,
                    $(ResponseBody::$api(_) => ApiKey::$api,)*
                }
            }

            /// Appends the body, in a version that [`decode_request`](crate::wire::decode_request)
            /// has let in.
            pub(super) fn encode(self, w: &mut Writer, version: i16) -> Result<(), String> {
                match self {
                    ResponseBody::Produce(response) => response.encode(w, version),
                    ResponseBody::Fetch(response) => response.encode(w, version),
                    $(ResponseBody::$api(response) => {
                        response.encode(&mut w.buf, version).map_err(|e| e.to_string())?;
                    })*
                }
                Ok(())
            }

            /// A response of this API with nothing in it.
            #[must_use]
            pub fn empty(api: ApiKey) -> ResponseBody {
                match api {
                    ApiKey::Produce => ResponseBody::Produce(ProduceResponse::default()),
                    ApiKey::Fetch => ResponseBody::Fetch(FetchResponse::default()),
                    $(ApiKey::$api => ResponseBody::$api(m::$response::default()),)*
                }
            }
        }

        $(
            impl From<m::$request> for RequestBody {
                fn from(body: m::$request) -> RequestBody {
                    RequestBody::$api(body)
                }
            }

            impl From<m::$response> for ResponseBody {
                fn from(body: m::$response) -> ResponseBody {
                    ResponseBody::$api(body)
                }
            }
        )*
    };
}

bodies! {
    ListOffsets(ListOffsetsRequest, ListOffsetsResponse);
    Metadata(MetadataRequest, MetadataResponse);
    OffsetCommit(OffsetCommitRequest, OffsetCommitResponse);
    OffsetFetch(OffsetFetchRequest, OffsetFetchResponse);
    FindCoordinator(FindCoordinatorRequest, FindCoordinatorResponse);
    JoinGroup(JoinGroupRequest, JoinGroupResponse);
    Heartbeat(HeartbeatRequest, HeartbeatResponse);
    LeaveGroup(LeaveGroupRequest, LeaveGroupResponse);
    SyncGroup(SyncGroupRequest, SyncGroupResponse);
    DescribeGroups(DescribeGroupsRequest, DescribeGroupsResponse);
    ListGroups(ListGroupsRequest, ListGroupsResponse);
    ApiVersions(ApiVersionsRequest, ApiVersionsResponse);
    CreateTopics(CreateTopicsRequest, CreateTopicsResponse);
    DeleteTopics(DeleteTopicsRequest, DeleteTopicsResponse);
    DeleteRecords(DeleteRecordsRequest, DeleteRecordsResponse);
    InitProducerId(InitProducerIdRequest, InitProducerIdResponse);
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse);
    DescribeConfigs(DescribeConfigsRequest, DescribeConfigsResponse);
    AlterConfigs(AlterConfigsRequest, AlterConfigsResponse);
    DescribeLogDirs(DescribeLogDirsRequest, DescribeLogDirsResponse);
    CreatePartitions(CreatePartitionsRequest, CreatePartitionsResponse);
    DeleteGroups(DeleteGroupsRequest, DeleteGroupsResponse);
    ElectLeaders(ElectLeadersRequest, ElectLeadersResponse);
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse);
    OffsetDelete(OffsetDeleteRequest, OffsetDeleteResponse);
    DescribeQuorum(DescribeQuorumRequest, DescribeQuorumResponse);
    DescribeCluster(DescribeClusterRequest, DescribeClusterResponse);
    DescribeTopicPartitions(DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse);
}

impl From<ProduceResponse> for ResponseBody {
    fn from(body: ProduceResponse) -> ResponseBody {
        ResponseBody::Produce(body)
    }
}

impl From<FetchResponse> for ResponseBody {
    fn from(body: FetchResponse) -> ResponseBody {
        ResponseBody::Fetch(body)
    }
}

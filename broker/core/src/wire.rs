//! Kafka bytes, both directions: frames, requests, responses, record batches. What a request means
//! is decided in `handlers`; sockets are the shell's.
//!
//! ```text
//! socket -> frame::split -> decode_request -> Request -> handlers -> Response -> encode_response -> parts
//! ```
//!
//! Bytes come from strangers: every count and length is checked against the bytes that are there
//! before anything is allocated or handed to the `kafka-protocol` crate, which trusts them.

pub mod api;
pub mod batch;
mod body;
pub mod compression;
pub mod fetch;
mod fit;
pub mod frame;
mod primitive;
pub mod produce;
pub mod records;
mod skim;
#[cfg(test)]
mod tests;
pub mod topic;

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::messages::ApiVersionsResponse;
pub use kafka_protocol::protocol::StrBytes;

use crate::error::KafkaError;
use crate::log::disk::FileId;
use crate::wire::api::ApiKey;
pub use crate::wire::body::{BodyError, RequestBody, ResponseBody};
pub use crate::wire::primitive::WireError;
use crate::wire::primitive::{Reader, Writer};
pub use crate::wire::topic::{LeaderHint, NodeEndpoint, TopicRef};

/// A decoded request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which API and version, and how to answer.
    pub header: RequestHeader,
    /// What is asked; its variant is that of `header.api`.
    pub body: RequestBody,
}

/// What precedes every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API.
    pub api: ApiKey,
    /// Its version: one that is served.
    pub version: i16,
    /// To be repeated in the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<StrBytes>,
}

/// A response to encode.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// How it is encoded.
    pub header: ResponseHeader,
    /// The answer.
    pub body: ResponseBody,
}

/// What precedes every response, and the version of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The API.
    pub api: ApiKey,
    /// The version of the body: the request's, except in the answer to an unknown version of ApiVersions.
    pub version: i16,
    /// The request's.
    pub correlation_id: i32,
}

/// A piece of an encoded response; the pieces follow each other on the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes at hand.
    Memory(Bytes),
    /// A range of a file, to be read or sent by whoever has the file.
    File {
        /// The file.
        file: FileId,
        /// Where the range begins.
        pos: u64,
        /// How long it is.
        len: u32,
    },
}

impl Part {
    /// How many bytes it stands for.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Part::Memory(bytes) => bytes.len(),
            Part::File { len, .. } => *len as usize,
        }
    }

    /// Whether it stands for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a frame is no request that can be served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The API is served, but not in this version.
    #[error("{} version {version} is not served", api.name())]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version that was asked for.
        version: i16,
        /// What to answer, where the client can read an answer: after it the connection goes on.
        /// None: close the connection.
        answer: Option<Box<Response>>,
    },
    /// No such API here; close the connection.
    #[error("the api with key {key} (version {version}) is not served")]
    UnknownApi {
        /// The API's number.
        key: i16,
        /// The version that was asked for.
        version: i16,
    },
    /// The frame ends within the header; close the connection.
    #[error("a request's header cannot be read: {0}")]
    Header(#[source] WireError),
    /// The body is not what the API says; close the connection.
    #[error("a {} request of version {} cannot be read: {reason}", .header.api.name(), .header.version)]
    Malformed {
        /// Whose body it is.
        header: RequestHeader,
        /// What is wrong with it.
        reason: BodyError,
    },
}

/// Why a response cannot be sent. The connection is to be closed, since the client waits for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A value does not fit the response's version.
    #[error("a {} response of version {} cannot be written: {reason}", .header.api.name(), .header.version)]
    Message {
        /// The response's.
        header: ResponseHeader,
        /// The encoder's words.
        reason: String,
    },
    /// The body is of another API than the header.
    #[error("a {} request was answered with a {} response", .header.api.name(), .body.name())]
    Mismatch {
        /// The response's.
        header: ResponseHeader,
        /// What the body is.
        body: ApiKey,
    },
    /// More than 2 GiB.
    #[error("a {} response of {bytes} bytes is longer than the protocol allows", .api.name())]
    TooLarge {
        /// The API.
        api: ApiKey,
        /// Its size.
        bytes: usize,
    },
}

impl RequestHeader {
    /// The response to this request.
    #[must_use]
    pub fn respond(&self, body: impl Into<ResponseBody>) -> Response {
        let RequestHeader { api, version, correlation_id, client_id: _ } = *self;
        Response { header: ResponseHeader { api, version, correlation_id }, body: body.into() }
    }
}

impl Request {
    /// The response to this request.
    #[must_use]
    pub fn respond(&self, body: impl Into<ResponseBody>) -> Response {
        self.header.respond(body)
    }
}

/// Reads a request from a frame without its length prefix. Strings and records share the frame.
pub fn decode_request(mut frame: Bytes) -> Result<Request, DecodeError> {
    let mut r = Reader::new(&frame, false);
    let key = r.i16("the api key").map_err(DecodeError::Header)?;
    let version = r.i16("the api version").map_err(DecodeError::Header)?;
    let correlation_id = r.i32("the correlation id").map_err(DecodeError::Header)?;
    let Some(api) = ApiKey::from_code(key) else {
        return Err(DecodeError::UnknownApi { key, version });
    };
    if api == ApiKey::ApiVersions && !api.api().serves(version) {
        // What follows is laid out as a version that we do not know; the answer is of version 0.
        let answer = Some(Box::new(unsupported_api_versions(correlation_id)));
        return Err(DecodeError::UnsupportedVersion { api, version, answer });
    }
    if version < api.api().advertised_min() || version > api.api().max {
        return Err(DecodeError::UnsupportedVersion { api, version, answer: None });
    }
    // The client id is in the plain encoding in all versions of the header.
    let client_id = r.nullable_string("the client id").map_err(DecodeError::Header)?;
    r.set_flexible(api.flexible(version));
    r.skip_tags().map_err(DecodeError::Header)?;
    let header = RequestHeader { api, version, correlation_id, client_id };
    let taken = frame.len() - r.left();
    frame.advance(taken);
    match RequestBody::decode(api, version, &frame) {
        Ok(body) if api.api().serves(version) => Ok(Request { header, body }),
        Ok(body) => {
            let answer = unsupported_produce(&header, &body).map(Box::new);
            Err(DecodeError::UnsupportedVersion { api, version, answer })
        }
        Err(reason) => Err(DecodeError::Malformed { header, reason }),
    }
}

/// The answer to a version of ApiVersions that we do not know: version 0, an error, and the table.
fn unsupported_api_versions(correlation_id: i32) -> Response {
    let body = ApiVersionsResponse::default()
        .with_error_code(KafkaError::UnsupportedVersion.code())
        .with_api_keys(api::advertised());
    Response {
        header: ResponseHeader { api: ApiKey::ApiVersions, version: 0, correlation_id },
        body: body.into(),
    }
}

/// The answer to versions 0 to 2 of Produce, which are told of but not served. With acks=0 the
/// client reads none.
fn unsupported_produce(header: &RequestHeader, body: &RequestBody) -> Option<Response> {
    let RequestBody::Produce(request) = body else { return None };
    (request.acks != 0).then(|| header.respond(request.refused(KafkaError::UnsupportedVersion)))
}

/// Writes a response, with its length prefix, in parts that follow each other on the connection.
/// Record data is passed on as it was given: not copied, not read.
pub fn encode_response(response: Response) -> Result<Vec<Part>, EncodeError> {
    let Response { header, mut body } = response;
    let ResponseHeader { api, version, correlation_id } = header;
    if body.api() != api {
        return Err(EncodeError::Mismatch { header, body: body.api() });
    }
    fit::fit(&mut body, version);
    let mut w = Writer::new(api.flexible(version));
    w.i32(0);
    w.i32(correlation_id);
    if api.tagged_response_header(version) {
        w.no_tags();
    }
    body.encode(&mut w, version).map_err(|reason| EncodeError::Message { header, reason })?;
    let bytes = w.total() - size_of::<i32>();
    let prefix = i32::try_from(bytes).map_err(|_| EncodeError::TooLarge { api, bytes })?;
    let mut front = w.buf.get_mut(..size_of::<i32>()).unwrap_or_default();
    front.put_i32(prefix);
    Ok(w.finish())
}

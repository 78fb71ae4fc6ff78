//! Every row of the API table, every version: what the layout says is what the `kafka-protocol`
//! crate reads and writes, byte for byte. Then the versions that are not served.

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey as Theirs, ApiVersionsResponse, RequestKind};
use kafka_protocol::protocol::Decodable;

use crate::error::KafkaError;
use crate::wire::api::{APIS, ApiKey, advertised};
use crate::wire::tests::generator::{Chance, body, header};
use crate::wire::{
    DecodeError, Part, RequestBody, RequestHeader, ResponseBody, StrBytes, decode_request,
    encode_response,
};

#[test]
fn every_version_of_every_request_is_golden() {
    for api in APIS {
        for version in api.min..=api.max {
            let mut chance = Chance(u64::from(version.unsigned_abs()));
            for round in 0..40 {
                let bytes = body(api.key, version, round % 2 == 1, &mut chance);
                let what = format!("{} v{version} {bytes:?}", api.name);
                let theirs = Theirs::try_from(api.key.code()).unwrap();
                let mut rest = Bytes::from(bytes.clone());
                let kind = RequestKind::decode(theirs, &mut rest, version).expect(&what);
                assert!(rest.is_empty(), "{what}: {} bytes left", rest.len());
                let mut again = bytes::BytesMut::new();
                kind.encode(&mut again, version).expect(&what);
                assert_eq!(again, bytes, "{what}");

                let mut frame = header(api.key, version, 7);
                frame.extend(&bytes);
                let request = decode_request(Bytes::from(frame)).expect(&what);
                let client_id = Some(StrBytes::from_static_str("test"));
                let expected =
                    RequestHeader { api: api.key, version, correlation_id: 7, client_id };
                assert_eq!(request.header, expected);
                assert_eq!(request.body.api(), api.key);
            }
        }
    }
}

#[test]
fn a_client_may_have_no_name_and_tags_in_its_header() {
    let frame = b"\0\x12\0\x03\0\0\0\x09\xff\xff\x01\x07\x02hi\x04foo\x041.0\0";
    let request = decode_request(Bytes::from_static(frame)).unwrap();
    assert_eq!(request.header.client_id, None);
    assert_eq!(request.header.correlation_id, 9);
    let RequestBody::ApiVersions(body) = request.body else { panic!("{:?}", request.body) };
    assert_eq!((&*body.client_software_name, &*body.client_software_version), ("foo", "1.0"));
}

/// The bytes of parts that are all in memory.
fn flat(parts: Vec<Part>) -> Bytes {
    let bytes = |part| match part {
        Part::Memory(bytes) => bytes,
        Part::File { .. } => panic!("no files here"),
    };
    parts.into_iter().flat_map(bytes).collect()
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    // What follows the correlation id is laid out as nobody knows.
    let frame = b"\0\x12\x7f\xff\x12\x34\x56\x78\xff\xff\xff\xff\xff";
    let refused = decode_request(Bytes::from_static(frame)).unwrap_err();
    let DecodeError::UnsupportedVersion { api, version, answer } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((api, version), (ApiKey::ApiVersions, 0x7fff));
    let bytes = flat(encode_response(*answer.expect("an answer")).unwrap());
    let told = advertised();
    assert_eq!(&bytes[..4], u32::try_from(bytes.len() - 4).unwrap().to_be_bytes());
    assert_eq!(&bytes[4..8], b"\x12\x34\x56\x78", "the correlation id");
    assert_eq!(&bytes[8..10], b"\0\x23", "error 35, with no tagged fields before it");
    assert_eq!(bytes.len(), 4 + 4 + 2 + 4 + told.len() * 6);
    let body = ApiVersionsResponse::decode(&mut bytes.slice(8..), 0).unwrap();
    assert_eq!(body.error_code, KafkaError::UnsupportedVersion.code());
    assert_eq!(body.api_keys, told);
}

#[test]
fn the_old_versions_of_produce_are_refused_by_name() {
    for (version, response) in [
        (0, &b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05\0\x23\xff\xff\xff\xff\xff\xff\xff\xff"[..]),
        (1, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05\0\x23\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"),
        (
            2,
            b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05\0\x23\xff\xff\xff\xff\xff\xff\xff\xff\
              \xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        ),
    ] {
        let with_acks = |acks: &[u8]| {
            let mut frame = header(ApiKey::Produce, version, 7);
            frame.extend(acks);
            frame.extend(b"\0\0\0\x01\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05\0\0\0\x02ab");
            decode_request(Bytes::from(frame)).unwrap_err()
        };
        let DecodeError::UnsupportedVersion { answer: Some(answer), .. } = with_acks(b"\xff\xff")
        else {
            panic!("no answer to version {version}")
        };
        assert_eq!(flat(encode_response(*answer).unwrap())[8..], *response, "version {version}");
        let unanswered = with_acks(b"\0\0");
        let expected =
            DecodeError::UnsupportedVersion { api: ApiKey::Produce, version, answer: None };
        assert_eq!(unanswered, expected, "acks=0 reads no answer");
    }
}

#[test]
fn versions_and_apis_that_are_not_served_are_told_apart() {
    for api in APIS.iter().filter(|api| api.key != ApiKey::ApiVersions) {
        for version in [-1, api.advertised_min() - 1, api.max + 1, i16::MAX] {
            let frame = Bytes::from(header(api.key, version, 7));
            let expected = DecodeError::UnsupportedVersion { api: api.key, version, answer: None };
            assert_eq!(decode_request(frame), Err(expected));
        }
    }
    let unknown = decode_request(Bytes::from_static(b"\0\x04\0\x02\0\0\0\x01"));
    assert_eq!(unknown, Err(DecodeError::UnknownApi { key: 4, version: 2 }));
    let short = decode_request(Bytes::from_static(b"\0\x12\0\0\0\0"));
    assert!(matches!(short, Err(DecodeError::Header(_))));
    let no_body = decode_request(Bytes::from(header(ApiKey::Metadata, 1, 7)));
    assert!(matches!(no_body, Err(DecodeError::Malformed { .. })));
}

#[test]
fn answers_belong_to_their_request() {
    let frame = Bytes::from(header(ApiKey::ListGroups, 0, 7));
    let request = decode_request(frame).unwrap();
    let response = request.respond(ResponseBody::empty(ApiKey::ListGroups));
    assert_eq!(response.header.correlation_id, 7);
    assert!(encode_response(response).is_ok());
    let wrong = request.respond(ResponseBody::empty(ApiKey::Heartbeat));
    assert!(encode_response(wrong).is_err());
}

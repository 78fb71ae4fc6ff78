//! Every row of the API table, every version: the header that clients expect, then the body.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey as Theirs, ResponseHeader as TheirHeader, ResponseKind};
use kafka_protocol::protocol::Decodable;

use crate::log::disk::FileId;
use crate::wire::api::APIS;
use crate::wire::{Part, Response, ResponseBody, ResponseHeader, encode_response};

/// The bytes that go to the connection; files are full of `f`.
pub(super) fn flat(parts: &[Part]) -> Bytes {
    let mut out = BytesMut::new();
    for part in parts {
        match part {
            Part::Memory(bytes) => out.put_slice(bytes),
            Part::File { file, len, .. } => {
                assert_eq!(*file, FileId(6));
                out.put_bytes(b'f', *len as usize);
            }
        }
    }
    out.freeze()
}

#[test]
fn every_version_of_every_response_is_golden() {
    for api in APIS {
        let theirs = Theirs::try_from(api.key.code()).unwrap();
        for version in api.min..=api.max {
            let what = format!("{} v{version}", api.name);
            let header = ResponseHeader { api: api.key, version, correlation_id: 0x0102_0304 };
            let response = Response { header, body: ResponseBody::empty(api.key) };
            let parts = encode_response(response).expect(&what);
            let mut bytes = flat(&parts);
            let prefix = bytes.split_to(4);
            assert_eq!(prefix, u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], "{what}");
            let header_version = theirs.response_header_version(version);
            let header = TheirHeader::decode(&mut bytes, header_version).expect(&what);
            assert_eq!(header.correlation_id, 0x0102_0304, "{what}");
            let body = bytes.clone();
            let kind = ResponseKind::decode(theirs, &mut bytes, version).expect(&what);
            assert!(bytes.is_empty(), "{what}: {} bytes left", bytes.len());
            let mut again = BytesMut::new();
            kind.encode(&mut again, version).expect(&what);
            assert_eq!(again, body, "{what}");
        }
    }
}

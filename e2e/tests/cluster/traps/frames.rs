//! Bytes that are no requests: the connection may end, the broker may not.

use anyhow::Result;
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::ApiKey;

use crate::scenario::ensure;
use crate::target::Target;

fn frame(body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i32(body.len() as i32);
    bytes.put_slice(body);
    bytes
}

/// A header of version 1 without client id.
fn header(key: ApiKey, version: i16) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i16(key as i16);
    bytes.put_i16(version);
    bytes.put_i32(1);
    bytes.put_i16(-1);
    bytes
}

pub(crate) fn nonsense(target: &Target) -> Result<()> {
    let frames: [(&str, Vec<u8>); 6] = [
        ("a negative length", (-1i32).to_be_bytes().to_vec()),
        ("a length of 2 GiB", i32::MAX.to_be_bytes().to_vec()),
        ("an API that does not exist", frame(&[0x7f, 0x7f, 0, 0, 0, 0, 0, 1, 0xff, 0xff]).to_vec()),
        ("a header cut short", frame(&[0, 3, 0]).to_vec()),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].repeat(8)),
    ];
    for (what, bytes) in frames {
        let mut connection = target.connect()?;
        connection.send_bytes(&bytes)?;
        ensure(connection.is_closed()?, format!("{what} was answered"))?;
        target.metadata(9, None, false)?;
    }
    Ok(())
}

/// Arrays that claim two thousand million elements in a request of a few bytes.
pub(crate) fn lying_counts(target: &Target) -> Result<()> {
    let many = i32::MAX.to_be_bytes();
    let mut metadata = header(ApiKey::Metadata, 1);
    metadata.put_slice(&many);
    let mut fetch = header(ApiKey::Fetch, 4);
    fetch.put_slice(&[0xff; 4]);
    fetch.put_slice(&[0; 13]);
    fetch.put_slice(&many);
    let mut produce = header(ApiKey::Produce, 3);
    produce.put_i16(-1);
    produce.put_i16(-1);
    produce.put_i32(1_000);
    produce.put_slice(&many);
    let mut join = header(ApiKey::JoinGroup, 0);
    join.put_slice(&[0x7f, 0xff]);
    let mut compact = header(ApiKey::Metadata, 9);
    compact.put_u8(0);
    compact.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]);
    for (what, bytes) in [
        ("Metadata", metadata),
        ("Fetch", fetch),
        ("Produce", produce),
        ("JoinGroup", join),
        ("compact Metadata", compact),
    ] {
        let mut connection = target.connect()?;
        connection.send_bytes(&frame(&bytes))?;
        ensure(connection.is_closed()?, format!("{what} was answered"))?;
        target.metadata(9, None, false)?;
    }
    Ok(())
}

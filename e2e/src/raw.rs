//! Kafka requests byte by byte: for what no well-behaved client sends, and to see every byte of
//! the answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

/// No test waits longer for an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// One connection, used as the test likes.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_id: i32,
}

impl Connection {
    /// Connects to a broker's Kafka port.
    pub fn open(address: &str) -> Result<Connection> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, next_id: 0 })
    }

    /// Bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// A request; its correlation id.
    pub fn send(&mut self, key: ApiKey, version: i16, body: &impl Encodable) -> Result<i32> {
        let id = self.next_id;
        self.next_id += 1;
        let bytes = request(key, version, id, body)?;
        self.send_bytes(&bytes)?;
        Ok(id)
    }

    /// The next frame, without its length: correlation id first.
    pub fn receive_frame(&mut self) -> Result<Bytes> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).context("no answer")?;
        let len = usize::try_from(i32::from_be_bytes(len)).context("a negative length")?;
        if len > 256 << 20 {
            bail!("an answer of {len} bytes");
        }
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame).context("half an answer")?;
        Ok(frame.into())
    }

    /// The answer to the request that was sent last, decoded to the last byte.
    pub fn receive<T: Decodable>(&mut self, key: ApiKey, version: i16, id: i32) -> Result<T> {
        let mut frame = self.receive_frame()?;
        let header = ResponseHeader::decode(&mut frame, key.response_header_version(version))?;
        if header.correlation_id != id {
            bail!("answer {} came where answer {id} was expected", header.correlation_id);
        }
        let body = T::decode(&mut frame, version)?;
        if frame.has_remaining() {
            bail!("{} bytes follow the {key:?} v{version} answer", frame.remaining());
        }
        Ok(body)
    }

    /// A request and its answer.
    pub fn call<T: Decodable>(
        &mut self,
        key: ApiKey,
        version: i16,
        body: &impl Encodable,
    ) -> Result<T> {
        let id = self.send(key, version, body)?;
        self.receive(key, version, id).with_context(|| format!("{key:?} v{version}"))
    }

    /// Whether the broker ends the connection without another byte.
    pub fn is_closed(&mut self) -> Result<bool> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error).context("neither an answer nor an end"),
        }
    }

    /// Whether nothing comes for this long.
    pub fn is_silent(&mut self, time: Duration) -> Result<bool> {
        self.stream.set_read_timeout(Some(time))?;
        let mut byte = [0];
        let read = self.stream.peek(&mut byte);
        self.stream.set_read_timeout(Some(ANSWER))?;
        Ok(read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock))
    }
}

/// A whole frame.
pub fn request(key: ApiKey, version: i16, id: i32, body: &impl Encodable) -> Result<BytesMut> {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(StrBytes::from_static_str("e2e")));
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    header.encode(&mut bytes, key.request_header_version(version))?;
    body.encode(&mut bytes, version)?;
    let len = i32::try_from(bytes.len() - 4)?;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    Ok(bytes)
}

/// A producer's name for a batch: id, epoch and the sequence number of the first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// From InitProducerId.
    pub producer: i64,
    /// From InitProducerId.
    pub epoch: i16,
    /// Of the first record.
    pub first: i32,
}

/// A batch of a producer that is not idempotent.
pub const NO_SEQUENCE: Sequence = Sequence { producer: -1, epoch: -1, first: -1 };

/// A record batch (magic 2) of these values, uncompressed.
pub fn batch(timestamp: i64, sequence: Sequence, values: &[&[u8]]) -> Bytes {
    let mut records = BytesMut::new();
    for (delta, value) in (0i64..).zip(values) {
        let mut record = BytesMut::new();
        record.put_i8(0); // attributes
        put_varint(&mut record, 0); // timestamp delta
        put_varint(&mut record, delta);
        put_varint(&mut record, -1); // no key
        put_varint(&mut record, value.len() as i64);
        record.put_slice(value);
        put_varint(&mut record, 0); // headers
        put_varint(&mut records, record.len() as i64);
        records.put_slice(&record);
    }
    let count = values.len() as i32;
    let mut body = BytesMut::new(); // what the checksum covers
    body.put_i16(0); // attributes
    body.put_i32(count - 1);
    body.put_i64(timestamp);
    body.put_i64(timestamp);
    body.put_i64(sequence.producer);
    body.put_i16(sequence.epoch);
    body.put_i32(sequence.first);
    body.put_i32(count);
    body.put_slice(&records);
    let mut bytes = BytesMut::new();
    bytes.put_i64(0); // base offset: the broker's to say
    bytes.put_i32(body.len() as i32 + 9);
    bytes.put_i32(-1); // leader epoch: the broker's to say
    bytes.put_i8(2);
    bytes.put_u32(crc32c(&body));
    bytes.put_slice(&body);
    bytes.freeze()
}

fn put_varint(buf: &mut BytesMut, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        buf.put_u8((zigzag as u8) | 0x80);
        zigzag >>= 7;
    }
    buf.put_u8(zigzag as u8);
}

/// Castagnoli, bit by bit: slow, and independent of what the broker uses.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn varints_are_zigzag() {
        let mut buf = BytesMut::new();
        [0, -1, 1, 64, -65].iter().for_each(|value| put_varint(&mut buf, *value));
        assert_eq!(&buf[..], [0, 1, 2, 0x80, 1, 0x81, 1]);
    }
}

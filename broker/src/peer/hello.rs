//! The first message of a stream as bytes: who opened it.

use bytes::Bytes;
use chronik_core::codec::{CodecError, Reader, Writer};
use chronik_core::core::input::Hello;
use chronik_core::ids::BrokerId;

const VERSION: u8 = 2;

/// `hello` as the first message of a stream.
#[must_use]
pub fn encode(hello: &Hello) -> Bytes {
    let Hello { broker, directory, boot, cluster_id, peer_address, stream } = hello;
    let mut w = Writer::new();
    w.u8(VERSION).u32(broker.0).uuid(*directory).u64(*boot);
    w.option(cluster_id.as_ref(), |w, id| {
        w.str(id);
    });
    w.str(peer_address).u64(*stream);
    w.finish()
}

/// The first message of a stream. Bytes after what we know are a newer broker's business.
pub fn decode(bytes: Bytes) -> Result<Hello, CodecError> {
    let mut r = Reader::new(bytes);
    let version = r.u8("version of the hello")?;
    if version < VERSION {
        return Err(CodecError::Unknown { what: "version of the hello", value: version.into() });
    }
    let broker = r.u32("broker id")?;
    if broker > BrokerId::MAX.0 {
        return Err(CodecError::Unknown { what: "broker id", value: broker.into() });
    }
    Ok(Hello {
        broker: BrokerId(broker),
        directory: r.uuid("directory id")?,
        boot: r.u64("boot number")?,
        cluster_id: r.option("cluster id", |r| r.str("cluster id"))?,
        peer_address: r.str("peer address")?,
        stream: r.u64("stream number")?,
    })
}

#[cfg(test)]
mod tests {
    use chronik_core::ids::Uuid;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden() {
        let hello = Hello {
            broker: BrokerId(3),
            directory: Uuid::from_u128(0x0102),
            boot: 7,
            cluster_id: Some("c".into()),
            peer_address: "h:1".into(),
            stream: 9,
        };
        let bytes = encode(&hello);
        let expected = [
            &[2, 0, 0, 0, 3][..],
            &[0; 14],
            &[1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0, 1, b'c', 0, 0, 0, 3, b'h', b':', b'1'],
            &[0, 0, 0, 0, 0, 0, 0, 9],
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!(decode(bytes).unwrap(), hello);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = decode(bytes.into());
        }

        #[test]
        fn every_cut_is_an_error(cut in 0usize..56) {
            let hello = Hello {
                broker: BrokerId(1),
                directory: Uuid::nil(),
                boot: 1,
                cluster_id: Some("abcd".into()),
                peer_address: "host:1".into(),
                stream: 1,
            };
            let bytes = encode(&hello);
            prop_assert!(cut < bytes.len());
            prop_assert!(decode(bytes.slice(..cut)).is_err());
        }
    }
}

//! Record batches: checked, patched, read, built; against the `kafka-protocol` crate where it can.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::records as theirs;
use proptest::prelude::*;

use crate::error::KafkaError;
use crate::wire::batch::{
    BatchError, BatchHeader, HEADER_BYTES, patch, set_crc, set_log_append_time, validate,
    verify_crc,
};
use crate::wire::compression::Codec;
use crate::wire::records::{self, BatchBuilder, RecordsError};

fn three() -> Bytes {
    BatchBuilder::new(1000)
        .record(Some(b"a"), Some(b"one"))
        .record_at(3000, None, Some(b"two"))
        .record_at(3000, Some(b"c"), None)
        .build()
}

/// The batch after `change`, with a right checksum again.
fn bent(batch: &Bytes, change: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut bytes = BytesMut::from(&batch[..]);
    change(&mut bytes);
    set_crc(&mut bytes);
    bytes
}

#[track_caller]
fn refused(batch: &[u8], error: KafkaError) {
    assert_eq!(validate(batch).map_err(|e| e.kafka_error()), Err(error));
}

#[test]
fn what_the_builder_makes_is_what_the_crate_makes() {
    let record =
        |offset: i32, timestamp, key: Option<&'static [u8]>, value: Option<&'static [u8]>| {
            theirs::Record {
                transactional: false,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id: 77,
                producer_epoch: 5,
                timestamp_type: theirs::TimestampType::Creation,
                offset: offset.into(),
                sequence: 40 + offset,
                timestamp,
                key: key.map(Bytes::from_static),
                value: value.map(Bytes::from_static),
                headers: Default::default(),
            }
        };
    let list = [
        record(0, 1000, Some(b"a"), Some(b"one")),
        record(1, 3000, None, Some(b"two")),
        record(2, 2000, Some(b"c"), None),
    ];
    let options =
        theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
    let mut expected = BytesMut::new();
    theirs::RecordBatchEncoder::encode(&mut expected, &list, &options).unwrap();
    let ours = BatchBuilder::new(1000)
        .producer(77, 5, 40)
        .record(Some(b"a"), Some(b"one"))
        .record_at(3000, None, Some(b"two"))
        .record_at(2000, Some(b"c"), None)
        .build();
    assert_eq!(ours, expected);
    let header = validate(&ours).unwrap();
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (77, 5, 40));
    assert_eq!((header.records, header.last_offset(), header.max_timestamp), (3, 2, 3000));
}

#[test]
fn every_fault_has_its_error() {
    let good = three();
    assert_eq!(validate(&good).unwrap().records, 3);
    refused(b"", KafkaError::InvalidRecord);
    for len in 1..good.len() {
        refused(&good[..len], KafkaError::CorruptMessage);
    }
    refused(&[&good[..], &good[..]].concat(), KafkaError::InvalidRecord);
    refused(&bent(&good, |b| b[16] = 1), KafkaError::UnsupportedForMessageFormat);
    refused(&bent(&good, |b| b[16] = 0), KafkaError::UnsupportedForMessageFormat);
    refused(&bent(&good, |b| b[16] = 3), KafkaError::CorruptMessage);
    refused(&bent(&good, |b| b[16] = 0xff), KafkaError::CorruptMessage);
    let length = |n: i32| move |b: &mut BytesMut| b[8..12].copy_from_slice(&n.to_be_bytes());
    for n in [i32::MIN, -1, 0, 48, i32::MAX] {
        refused(&bent(&good, length(n)), KafkaError::CorruptMessage);
    }
    for at in 17..good.len() {
        let mut damaged = BytesMut::from(&good[..]);
        damaged[at] ^= 0x40;
        assert!(matches!(validate(&damaged), Err(BatchError::Crc { .. })), "{at}");
        assert!(verify_crc(&damaged).is_err(), "{at}");
    }
    refused(&bent(&good, |b| b[22] |= 0x20), KafkaError::InvalidRecord);
    refused(&bent(&good, |b| b[22] |= 5), KafkaError::UnsupportedCompressionType);
    let counts = |delta: i32, count: i32| {
        move |b: &mut BytesMut| {
            b[23..27].copy_from_slice(&delta.to_be_bytes());
            b[57..61].copy_from_slice(&count.to_be_bytes());
        }
    };
    for (delta, count) in
        [(2, 2), (3, 3), (1, 2), (3, 4), (-1, 0), (-2, -1), (i32::MAX, i32::MIN), (i32::MAX, 3)]
    {
        refused(&bent(&good, counts(delta, count)), KafkaError::InvalidRecord);
    }
}

#[test]
fn a_producer_is_there_or_not() {
    let with = |id: i64, epoch: i16, sequence: i32| {
        BatchBuilder::new(0).producer(id, epoch, sequence).record(None, None).build()
    };
    assert!(validate(&with(0, 0, 0)).unwrap().has_producer());
    assert!(!validate(&with(-1, 0, 0)).unwrap().has_producer(), "as kafkajs writes it");
    for (id, epoch, sequence) in [(-2, 0, 0), (5, -1, 0), (5, 0, -1)] {
        refused(&with(id, epoch, sequence), KafkaError::InvalidRecord);
    }
    let transactional = |id| bent(&with(id, 0, 0), |b| b[22] |= 0x10);
    refused(&transactional(-1), KafkaError::InvalidRecord);
    assert!(validate(&transactional(5)).unwrap().is_transactional());
}

#[test]
fn a_place_in_the_log_leaves_the_checksum_right() {
    let batch = three();
    let shared = batch.clone();
    let placed = patch(batch, 1 << 40, 12);
    assert_eq!(validate(&shared).unwrap().base_offset, 0, "others' bytes are not touched");
    let header = validate(&placed).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (1 << 40, 12));
    assert_eq!(header.last_offset(), (1 << 40) + 2);
    let at = placed.as_ptr();
    let moved = patch(placed, 7, 13);
    assert_eq!(moved.as_ptr(), at, "an only handle is patched in place");
    assert_eq!(validate(&moved).unwrap().base_offset, 7);
}

#[test]
fn the_brokers_time_replaces_the_records_times() {
    let mut batch = BytesMut::from(&three()[..]);
    set_log_append_time(&mut batch, 9000);
    let header = validate(&batch).unwrap();
    assert!(header.is_log_append_time());
    let batch = batch.freeze();
    let times: Vec<i64> = records::read(&batch).unwrap().map(|r| r.unwrap().timestamp).collect();
    assert_eq!(times, [9000; 3]);
}

#[test]
fn records_are_read_and_found_by_time() {
    let batch = patch(three(), 100, 1);
    let all: Vec<_> = records::read(&batch).unwrap().map(Result::unwrap).collect();
    assert_eq!(all.iter().map(|r| r.offset).collect::<Vec<_>>(), [100, 101, 102]);
    assert_eq!(all[0].key.as_deref(), Some(&b"a"[..]));
    assert_eq!((all[1].key.clone(), all[2].value.clone()), (None, None));
    assert_eq!(records::first_at_or_after(&batch, 0), Ok(Some((100, 1000))));
    assert_eq!(records::first_at_or_after(&batch, 1001), Ok(Some((101, 3000))));
    assert_eq!(records::first_at_or_after(&batch, 3001), Ok(None));
    assert_eq!(records::latest(&batch), Ok(Some((101, 3000))));
    assert_eq!(records::values(&batch).unwrap(), [&b"one"[..], b"two", b""]);
}

#[test]
fn headers_keep_their_order_and_repeat() {
    let record = b"\0\0\0\x01\x02v\x04\x02h\x021\x02h\x01";
    let mut body = vec![u8::try_from(record.len() * 2).unwrap()];
    body.extend(record);
    let batch = with_body(&body, Codec::None);
    validate(&batch).unwrap();
    let record = records::read(&batch).unwrap().next().unwrap().unwrap();
    let name = Bytes::from_static(b"h");
    assert_eq!(record.headers, [(name.clone(), Some(Bytes::from_static(b"1"))), (name, None)]);
}

/// A batch of one record with this body, compressed already.
fn with_body(body: &[u8], codec: Codec) -> Bytes {
    let mut bytes =
        BytesMut::from(&BatchBuilder::new(50).record(None, None).build()[..HEADER_BYTES]);
    bytes.put_slice(body);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= codec as u8;
    set_crc(&mut bytes);
    bytes.freeze()
}

#[test]
fn compressed_records_are_inflated_to_be_read_but_not_to_be_taken() {
    let plain = BatchBuilder::new(50).record(Some(b"key"), Some(&[b'v'; 500])).build();
    let body = &plain[HEADER_BYTES..];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(body).unwrap();
    for (codec, bytes) in [
        (Codec::None, body.to_vec()),
        (Codec::Gzip, gzip.finish().unwrap()),
        (Codec::Snappy, snap::raw::Encoder::new().compress_vec(body).unwrap()),
        (Codec::Lz4, lz4.finish().unwrap()),
        (Codec::Zstd, zstd::stream::encode_all(body, 1).unwrap()),
    ] {
        let batch = with_body(&bytes, codec);
        assert_eq!(validate(&batch).unwrap().codec(), Ok(codec));
        assert_eq!(records::values(&batch).unwrap(), [&[b'v'; 500][..]], "{codec:?}");
    }
    let garbage = with_body(b"garbage", Codec::Gzip);
    assert!(validate(&garbage).is_ok(), "batches pass through untouched");
    assert!(matches!(records::values(&garbage), Err(RecordsError::Compression(_))));
}

#[test]
fn damaged_records_are_named() {
    for body in [
        &b"\x0e\0\0\0\x01\x01\0"[..],
        b"\x0c\0\0\0\x01\x01\x7f",
        b"\x0c\0\0\0\x01\x09\0",
        b"\x0c\0\0\0\x05\x01\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"",
    ] {
        let batch = with_body(body, Codec::None);
        let read: Result<Vec<_>, _> = records::read(&batch).unwrap().collect();
        assert!(matches!(read, Err(RecordsError::Damaged { number: 0, .. })), "{body:?} {read:?}");
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_again(
        list in prop::collection::vec(
            (any::<i64>(), any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()), 1..20),
        base in any::<i64>(),
    ) {
        // Times further apart than a difference can say are not what clients have.
        let list: Vec<_> = list.into_iter().map(|(t, k, v)| (t >> 2, k, v)).collect();
        let mut builder = BatchBuilder::new(base >> 2);
        for (time, key, value) in &list {
            builder = builder.record_at(*time, key.as_deref(), value.as_deref());
        }
        let batch = builder.build();
        validate(&batch).unwrap();
        let read: Vec<_> = records::read(&batch)
            .unwrap()
            .map(|r| r.unwrap())
            .map(|r| (r.timestamp, r.key.map(|k| k.to_vec()), r.value.map(|v| v.to_vec())))
            .collect();
        prop_assert_eq!(read, list);
        let mut bytes = batch.clone();
        let sets = theirs::RecordBatchDecoder::decode(&mut bytes);
        // The crate adds times that we add saturating.
        if let Ok(sets) = sets {
            prop_assert!(sets.records.iter().zip(records::values(&batch).unwrap())
                .all(|(a, b)| a.value.clone().unwrap_or_default() == b));
        }
    }

    #[test]
    fn bent_batches_never_panic(
        at in prop::collection::vec((0usize..90, any::<u8>()), 1..5),
        cut in 0usize..90,
    ) {
        let mut bytes = BytesMut::from(&three()[..]);
        for (at, value) in at {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        set_crc(&mut bytes);
        bytes.truncate(cut);
        let bytes = bytes.freeze();
        let _ = validate(&bytes);
        let _ = BatchHeader::parse(&bytes);
        let _ = verify_crc(&bytes);
        if let Ok(records) = records::read(&bytes) {
            let _ = records.collect::<Vec<_>>();
        }
    }

    #[test]
    fn random_records_never_panic(body in prop::collection::vec(any::<u8>(), 0..100), codec in 0i16..5) {
        let batch = with_body(&body, Codec::from_bits(codec).unwrap());
        let _ = validate(&batch);
        if let Ok(records) = records::read(&batch) {
            let _ = records.collect::<Vec<_>>();
        }
    }
}

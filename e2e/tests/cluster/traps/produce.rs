//! Produce: idempotence, limits, and batches that are not what they say.

use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use chronik_e2e::raw::{NO_SEQUENCE, Sequence, batch};
use chronik_e2e::wait::{self, Look};
use kafka_protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse};

use super::offsets::list_offset;
use crate::scenario::{ensure, equal};
use crate::target::Target;

fn new_producer(target: &Target) -> Result<Sequence> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    wait::until("a producer id", Duration::from_secs(20), || {
        let answer: InitProducerIdResponse =
            target.connect()?.call(ApiKey::InitProducerId, 4, &request)?;
        if answer.error_code != 0 {
            return wait::at(answer.error_code);
        }
        let (producer, epoch) = (answer.producer_id.0, answer.producer_epoch);
        Ok(Look::Done(Sequence { producer, epoch, first: 0 }))
    })
}

pub(crate) fn duplicates(target: &Target) -> Result<()> {
    let topic = target.topic("duplicates", 1, &[])?;
    let mut connection = topic.leader()?;
    let producer = new_producer(target)?;
    // The last five batches are remembered.
    for number in 0..5 {
        let sequence = Sequence { first: number * 2, ..producer };
        let answer = topic.produce(&mut connection, 9, batch(1, sequence, &[b"a", b"b"]))?;
        let found = (answer.error_code, answer.base_offset);
        equal("first time", found, (0, i64::from(number) * 2))?;
    }
    for number in 0..5 {
        let sequence = Sequence { first: number * 2, ..producer };
        let answer = topic.produce(&mut connection, 9, batch(1, sequence, &[b"a", b"b"]))?;
        let found = (answer.error_code, answer.base_offset);
        equal("second time", found, (0, i64::from(number) * 2))?;
    }
    equal("records", list_offset(&topic, &mut connection, 5, -1)?.offset, 10)
}

pub(crate) fn out_of_order(target: &Target) -> Result<()> {
    let topic = target.topic("out-of-order", 1, &[])?;
    let mut connection = topic.leader()?;
    let producer = new_producer(target)?;
    topic.produce(&mut connection, 9, batch(1, producer, &[b"0"]))?;
    let skipping = Sequence { first: 2, ..producer };
    let answer = topic.produce(&mut connection, 9, batch(1, skipping, &[b"2"]))?;
    equal("a gap", answer.error_code, 45)?;
    equal("records", list_offset(&topic, &mut connection, 5, -1)?.offset, 1)?;
    let next = Sequence { first: 1, ..producer };
    let answer = topic.produce(&mut connection, 9, batch(1, next, &[b"1"]))?;
    equal("the right one", (answer.error_code, answer.base_offset), (0, 1))
}

pub(crate) fn too_large(target: &Target) -> Result<()> {
    let topic = target.topic("too-large", 1, &[("max.message.bytes", "2000")])?;
    let mut connection = topic.leader()?;
    let (small, large) = (vec![b'x'; 1_500], vec![b'x'; 3_000]);
    let answer = topic.produce(&mut connection, 9, batch(1, NO_SEQUENCE, &[&large]))?;
    equal("3,000 bytes", answer.error_code, 10)?;
    let answer = topic.produce(&mut connection, 9, batch(1, NO_SEQUENCE, &[&small]))?;
    equal("1,500 bytes", (answer.error_code, answer.base_offset), (0, 0))
}

pub(crate) fn damaged(target: &Target) -> Result<()> {
    let topic = target.topic("damaged", 1, &[])?;
    let mut connection = topic.leader()?;
    let good = batch(1, NO_SEQUENCE, &[b"a", b"b"]);
    let with = |at: usize, byte: u8| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] = byte;
        bytes.freeze()
    };
    let last = good.len() - 1;
    let damaged: [(&str, Bytes); 4] = [
        ("a changed byte", with(last - 3, good[last - 3] ^ 1)),
        ("a changed checksum", with(17, good[17] ^ 1)),
        ("a magic that does not exist", with(16, 9)),
        ("a length beyond the end", with(11, good[11] + 20)),
    ];
    for (what, bytes) in damaged {
        // Some damage is seen only as a request that makes no sense, which ends the connection.
        match topic.produce(&mut connection, 9, bytes) {
            Ok(answer) => ensure(answer.error_code != 0, format!("{what} was accepted"))?,
            Err(_) => connection = topic.leader()?,
        }
    }
    let answer = topic.produce(&mut connection, 9, good)?;
    equal("the undamaged one", (answer.error_code, answer.base_offset), (0, 0))
}

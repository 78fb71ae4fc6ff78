//! ListOffsets: where a log starts and ends, and where it was at some time.

use std::collections::BTreeSet;

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Call, view};
use crate::core::{Core, Replica, epoch};
use crate::error::KafkaError;
use crate::ids::{Offset, Term};
use crate::log::disk::Disk;
use crate::log::row::Row;
use crate::wire::records;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// The version that began to tell epochs.
const EPOCHS_FROM: i16 = 4;
/// The version that began to tell a new leader that does not know its end yet from an unknown one.
const NOT_AVAILABLE_FROM: i16 = 5;
const MAX_TIMESTAMP_FROM: i16 = 7;
const EARLIEST_LOCAL_FROM: i16 = 8;
const LATEST_TIERED_FROM: i16 = 9;

/// An offset with its time (-1: none in particular) and the term of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    offset: Offset,
    timestamp: i64,
    term: Term,
}

pub(super) fn handle<D: Disk>(core: &mut Core<D>, call: &Call, request: &ListOffsetsRequest) {
    let version = call.version();
    let topics = request.topics.iter().map(|topic| {
        let mut seen = BTreeSet::new();
        let mut twice = BTreeSet::new();
        for partition in &topic.partitions {
            if !seen.insert(partition.partition_index) {
                twice.insert(partition.partition_index);
            }
        }
        let partitions = topic.partitions.iter().map(|asked| {
            let found = match twice.contains(&asked.partition_index) {
                true => Err(KafkaError::InvalidRequest),
                false => find(core, version, topic.name.as_str(), asked),
            };
            answer(version, asked.partition_index, found)
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    call.answer(core, ListOffsetsResponse::default().with_topics(topics));
}

fn answer(
    version: i16,
    partition: i32,
    found: Result<Option<Found>, KafkaError>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(partition);
    match found {
        Ok(Some(Found { offset, timestamp, term })) => {
            let leader_epoch = if version >= EPOCHS_FROM { epoch(term) } else { -1 };
            response.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(leader_epoch)
        }
        Ok(None) => response,
        Err(KafkaError::OffsetNotAvailable) if version < NOT_AVAILABLE_FROM => {
            response.with_error_code(KafkaError::LeaderNotAvailable.code())
        }
        Err(error) => response.with_error_code(error.code()),
    }
}

fn find<D: Disk>(
    core: &Core<D>,
    version: i16,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> Result<Option<Found>, KafkaError> {
    let id = view::find_partition(&core.meta, topic, asked.partition_index)?;
    view::check_leads(core, id, asked.current_leader_epoch)?;
    let replica = core.replicas.get(&id).ok_or(KafkaError::NotLeaderOrFollower)?;
    // Before that, what is committed may be more than this leader knows of.
    if !replica.group.leads_and_knows() {
        return Err(KafkaError::OffsetNotAvailable);
    }
    match asked.timestamp {
        LATEST => latest(replica).map(Some),
        EARLIEST => earliest(replica).map(Some),
        MAX_TIMESTAMP if version >= MAX_TIMESTAMP_FROM => newest(replica),
        EARLIEST_LOCAL if version >= EARLIEST_LOCAL_FROM => earliest(replica).map(Some),
        // There are no tiers, so nothing was moved to one.
        LATEST_TIERED if version >= LATEST_TIERED_FROM => Ok(None),
        time if time >= 0 => at_time(replica, time),
        _ => Err(KafkaError::UnsupportedVersion),
    }
}

/// The high watermark. There are no transactions, so the last stable offset is the same.
fn latest<D: Disk>(replica: &Replica<D>) -> Result<Found, KafkaError> {
    let committed = replica.group.committed();
    let end = replica.group.log().offset_after(committed);
    let offset = end.map_err(|_| KafkaError::KafkaStorageError)?;
    Ok(Found { offset, timestamp: -1, term: replica.group.term() })
}

fn earliest<D: Disk>(replica: &Replica<D>) -> Result<Found, KafkaError> {
    let log = replica.group.log();
    let offset = log.log_start();
    let row = log.row_at_offset(offset).map_err(|_| KafkaError::KafkaStorageError)?;
    let term = row.map_or(replica.group.term(), |row| row.term);
    Ok(Found { offset, timestamp: -1, term })
}

/// The record with the latest time.
fn newest<D: Disk>(replica: &Replica<D>) -> Result<Option<Found>, KafkaError> {
    let row = replica.group.log().max_timestamp_batch(replica.group.committed());
    let row = row.map_err(|_| KafkaError::KafkaStorageError)?;
    in_batch(replica, row, records::latest)
}

/// The first record that is not older than `time`.
fn at_time<D: Disk>(replica: &Replica<D>, time: i64) -> Result<Option<Found>, KafkaError> {
    let row = replica.group.log().first_batch_at_or_after_time(time, replica.group.committed());
    let row = row.map_err(|_| KafkaError::KafkaStorageError)?;
    // The batch can begin before the start of the log.
    let start = replica.group.log().log_start();
    in_batch(replica, row, |batch| {
        for record in records::read(batch)? {
            let record = record?;
            if record.offset >= start && record.timestamp >= time {
                return Ok(Some((record.offset, record.timestamp)));
            }
        }
        Ok(None)
    })
}

fn in_batch<D: Disk>(
    replica: &Replica<D>,
    row: Option<Row>,
    pick: impl FnOnce(&bytes::Bytes) -> Result<Option<(i64, i64)>, records::RecordsError>,
) -> Result<Option<Found>, KafkaError> {
    let Some(row) = row else { return Ok(None) };
    let log = replica.group.log();
    let batch = log.payload(row.index).map_err(|_| KafkaError::KafkaStorageError)?;
    // What a batch keeps compressed in a way that is not read here begins where the batch does.
    let whole = (row.base_offset, row.max_timestamp);
    let picked = batch.and_then(|batch| pick(&batch).unwrap_or(Some(whole)));
    Ok(picked.map(|(offset, timestamp)| Found {
        offset: offset.max(log.log_start()),
        timestamp,
        term: row.term,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_fit_their_version() {
        let found = Found { offset: 5, timestamp: 7, term: 3 };
        assert_eq!(answer(3, 0, Ok(Some(found))).leader_epoch, -1);
        assert_eq!(answer(4, 0, Ok(Some(found))).leader_epoch, 3);
        let code = |version| answer(version, 0, Err(KafkaError::OffsetNotAvailable)).error_code;
        assert_eq!(code(4), KafkaError::LeaderNotAvailable.code());
        assert_eq!(code(5), KafkaError::OffsetNotAvailable.code());
        assert_eq!(answer(5, 0, Ok(None)).offset, -1);
    }
}

//! Produce and Fetch, which are read and written by hand, against the `kafka-protocol` crate: equal
//! values from its bytes, equal bytes from equal values, in every version.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::messages::{fetch_request as fq, fetch_response as fr};
use kafka_protocol::messages::{produce_request as pq, produce_response as pr};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::error::KafkaError;
use crate::ids::Uuid;
use crate::log::disk::FileId;
use crate::wire::api::{Api, ApiKey};
use crate::wire::fetch::{
    AbortedTransaction, EpochEnd, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
    FetchedPartition, FetchedTopic, ForgottenTopic,
};
use crate::wire::produce::{
    ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic, ProducedPartition,
    ProducedTopic, RecordError,
};
use crate::wire::tests::generator::{Chance, header};
use crate::wire::tests::responses::flat;
use crate::wire::{
    LeaderHint, NodeEndpoint, Part, Request, RequestBody, Response, ResponseBody, ResponseHeader,
    TopicRef, decode_request, encode_response,
};

fn text(chance: &mut Chance) -> StrBytes {
    StrBytes::from_string(chance.text())
}

fn topic(by_id: bool, chance: &mut Chance) -> (TopicRef, m::TopicName, Uuid) {
    if by_id {
        let id = Uuid::from_u64_pair(chance.next(), chance.next());
        (TopicRef::Id(id), m::TopicName::default(), id)
    } else {
        let name = text(chance);
        (TopicRef::Name(name.clone()), m::TopicName(name), Uuid::nil())
    }
}

/// A few of something.
fn some<A, B>(chance: &mut Chance, mut one: impl FnMut(&mut Chance) -> (A, B)) -> (Vec<A>, Vec<B>) {
    (0..chance.below(4)).map(|_| one(chance)).unzip()
}

fn i32_of(chance: &mut Chance) -> i32 {
    (chance.next() & 0x7fff_ffff) as i32
}

fn i64_of(chance: &mut Chance) -> i64 {
    chance.next().cast_signed()
}

fn error_of(chance: &mut Chance) -> Option<KafkaError> {
    let all = KafkaError::ALL;
    (chance.below(2) == 0).then(|| all[chance.below(all.len())])
}

pub(super) fn produce_request(
    version: i16,
    chance: &mut Chance,
) -> (m::ProduceRequest, ProduceRequest) {
    let (theirs, ours) = some(chance, |chance| {
        let (topic, name, id) = topic(version >= 13, chance);
        let (theirs, ours) = some(chance, |chance| {
            let index = i32_of(chance);
            let records = (chance.below(5) > 0).then(|| chance.bytes());
            let theirs =
                pq::PartitionProduceData::default().with_index(index).with_records(records.clone());
            (theirs, ProducePartition { index, records })
        });
        let theirs = pq::TopicProduceData::default()
            .with_name(name)
            .with_topic_id(id)
            .with_partition_data(theirs);
        (theirs, ProduceTopic { topic, partitions: ours })
    });
    let transactional_id = (chance.below(2) == 0).then(|| text(chance));
    let (acks, timeout_ms) = ([-1, 0, 1][chance.below(3)], i32_of(chance));
    let request = m::ProduceRequest::default()
        .with_transactional_id(transactional_id.clone().map(m::TransactionalId))
        .with_acks(acks)
        .with_timeout_ms(timeout_ms)
        .with_topic_data(theirs);
    (request, ProduceRequest { transactional_id, acks, timeout_ms, topics: ours })
}

fn fetch_partition(version: i16, chance: &mut Chance) -> (fq::FetchPartition, FetchPartition) {
    let ours = FetchPartition {
        index: i32_of(chance),
        current_leader_epoch: if version >= 9 { i32_of(chance) } else { -1 },
        fetch_offset: i64_of(chance),
        last_fetched_epoch: if version >= 12 { i32_of(chance) } else { -1 },
        log_start_offset: if version >= 5 { i64_of(chance) } else { -1 },
        max_bytes: i32_of(chance),
    };
    let mut theirs = fq::FetchPartition::default()
        .with_partition(ours.index)
        .with_current_leader_epoch(ours.current_leader_epoch)
        .with_fetch_offset(ours.fetch_offset)
        .with_last_fetched_epoch(ours.last_fetched_epoch)
        .with_log_start_offset(ours.log_start_offset)
        .with_partition_max_bytes(ours.max_bytes);
    // Tags that only followers send are accepted.
    if version >= 17 {
        theirs = theirs.with_replica_directory_id(Uuid::from_u128(9));
    }
    if version >= 18 {
        theirs = theirs.with_high_watermark(7);
    }
    (theirs, ours)
}

pub(super) fn fetch_request(version: i16, chance: &mut Chance) -> (m::FetchRequest, FetchRequest) {
    let by_id = version >= 13;
    let (topics, our_topics) = some(chance, |chance| {
        let (topic, name, id) = topic(by_id, chance);
        let (theirs, partitions) = some(chance, |chance| fetch_partition(version, chance));
        let theirs =
            fq::FetchTopic::default().with_topic(name).with_topic_id(id).with_partitions(theirs);
        (theirs, FetchTopic { topic, partitions })
    });
    let (forgotten, our_forgotten) = some(chance, |chance| {
        let (topic, name, id) = topic(by_id, chance);
        let partitions: Vec<i32> = (0..chance.below(3)).map(|_| i32_of(chance)).collect();
        let theirs = fq::ForgottenTopic::default()
            .with_topic(name)
            .with_topic_id(id)
            .with_partitions(partitions.clone());
        (theirs, ForgottenTopic { topic, partitions })
    });
    let sessions = version >= 7;
    let ours = FetchRequest {
        cluster_id: (version >= 12 && chance.below(2) == 0).then(|| text(chance)),
        replica_id: i32_of(chance),
        max_wait_ms: i32_of(chance),
        min_bytes: i32_of(chance),
        max_bytes: i32_of(chance),
        isolation_level: (chance.next() & 1) as i8,
        session_id: if sessions { i32_of(chance) } else { 0 },
        session_epoch: if sessions { i32_of(chance) } else { -1 },
        topics: our_topics,
        forgotten: if sessions { our_forgotten } else { Vec::new() },
        rack_id: if version >= 11 { text(chance) } else { StrBytes::new() },
    };
    let mut theirs = m::FetchRequest::default()
        .with_cluster_id(ours.cluster_id.clone())
        .with_max_wait_ms(ours.max_wait_ms)
        .with_min_bytes(ours.min_bytes)
        .with_max_bytes(ours.max_bytes)
        .with_isolation_level(ours.isolation_level)
        .with_session_id(ours.session_id)
        .with_session_epoch(ours.session_epoch)
        .with_topics(topics)
        .with_forgotten_topics_data(if sessions { forgotten } else { Vec::new() })
        .with_rack_id(ours.rack_id.clone());
    if version >= 15 {
        let state = fq::ReplicaState::default().with_replica_id(ours.replica_id.into());
        theirs = theirs.with_replica_state(state.with_replica_epoch(3));
    } else {
        theirs = theirs.with_replica_id(ours.replica_id.into());
    }
    (theirs, ours)
}

fn decoded(api: ApiKey, version: i16, theirs: &impl Encodable) -> Request {
    let mut frame = BytesMut::from(&header(api, version, 7)[..]);
    theirs.encode(&mut frame, version).unwrap();
    decode_request(frame.freeze()).unwrap()
}

fn versions(api: ApiKey) -> impl Iterator<Item = (i16, Chance)> {
    let Api { min, max, .. } = api.api();
    (min..=max).flat_map(|version| (0..100).map(move |seed| (version, Chance(seed))))
}

#[test]
fn produce_requests_are_read_as_the_crate_writes_them() {
    for (version, mut chance) in versions(ApiKey::Produce) {
        let (theirs, ours) = produce_request(version, &mut chance);
        let request = decoded(ApiKey::Produce, version, &theirs);
        assert_eq!(request.body, RequestBody::Produce(ours), "v{version}");
    }
}

#[test]
fn fetch_requests_are_read_as_the_crate_writes_them() {
    for (version, mut chance) in versions(ApiKey::Fetch) {
        let (theirs, ours) = fetch_request(version, &mut chance);
        let request = decoded(ApiKey::Fetch, version, &theirs);
        assert_eq!(request.body, RequestBody::Fetch(ours), "v{version}");
    }
}

fn leader(chance: &mut Chance) -> Option<LeaderHint> {
    (chance.below(2) == 0)
        .then(|| LeaderHint { leader_id: i32_of(chance), leader_epoch: i32_of(chance) })
}

fn endpoint(chance: &mut Chance) -> NodeEndpoint {
    NodeEndpoint {
        node_id: i32_of(chance),
        host: text(chance),
        port: i32_of(chance),
        rack: (chance.below(2) == 0).then(|| text(chance)),
    }
}

fn produced(version: i16, c: &mut Chance) -> (pr::PartitionProduceResponse, ProducedPartition) {
    let (their_errors, record_errors) = some(c, |c| {
        let ours =
            RecordError { batch_index: i32_of(c), message: (c.below(2) == 0).then(|| text(c)) };
        let theirs = pr::BatchIndexAndErrorMessage::default()
            .with_batch_index(ours.batch_index)
            .with_batch_index_error_message(ours.message.clone());
        (theirs, ours)
    });
    let ours = ProducedPartition {
        index: i32_of(c),
        error: error_of(c),
        base_offset: i64_of(c),
        log_append_time_ms: i64_of(c),
        log_start_offset: i64_of(c),
        record_errors,
        error_message: (c.below(2) == 0).then(|| text(c)),
        current_leader: leader(c),
    };
    let mut theirs = pr::PartitionProduceResponse::default()
        .with_index(ours.index)
        .with_error_code(KafkaError::code_of(ours.error))
        .with_base_offset(ours.base_offset)
        .with_log_append_time_ms(ours.log_append_time_ms)
        .with_log_start_offset(ours.log_start_offset);
    if version >= 8 {
        theirs =
            theirs.with_record_errors(their_errors).with_error_message(ours.error_message.clone());
    }
    if let (10.., Some(hint)) = (version, ours.current_leader) {
        let hint = pr::LeaderIdAndEpoch::default()
            .with_leader_id(hint.leader_id.into())
            .with_leader_epoch(hint.leader_epoch);
        theirs = theirs.with_current_leader(hint);
    }
    (theirs, ours)
}

fn encoded(api: ApiKey, version: i16, body: ResponseBody) -> (Vec<Part>, Bytes) {
    let header = ResponseHeader { api, version, correlation_id: 7 };
    let parts = encode_response(Response { header, body }).unwrap();
    let bytes = flat(&parts);
    assert_eq!(bytes[..4], u32::try_from(bytes.len() - 4).unwrap().to_be_bytes());
    let body = bytes.slice(8 + usize::from(api.tagged_response_header(version))..);
    (parts, body)
}

fn expected(theirs: &impl Encodable, version: i16) -> BytesMut {
    let mut bytes = BytesMut::new();
    theirs.encode(&mut bytes, version).unwrap();
    bytes
}

#[test]
fn produce_responses_are_written_as_the_crate_writes_them() {
    for (version, mut chance) in versions(ApiKey::Produce) {
        let (responses, topics) = some(&mut chance, |chance| {
            let (topic, name, id) = topic(version >= 13, chance);
            let (theirs, partitions) = some(chance, |chance| produced(version, chance));
            let theirs = pr::TopicProduceResponse::default()
                .with_name(name)
                .with_topic_id(id)
                .with_partition_responses(theirs);
            (theirs, ProducedTopic { topic, partitions })
        });
        let (endpoints, node_endpoints) = some(&mut chance, |chance| {
            let n = endpoint(chance);
            let theirs = pr::NodeEndpoint::default()
                .with_node_id(n.node_id.into())
                .with_host(n.host.clone())
                .with_port(n.port)
                .with_rack(n.rack.clone());
            (theirs, n)
        });
        let ours =
            ProduceResponse { topics, throttle_time_ms: i32_of(&mut chance), node_endpoints };
        let theirs = m::ProduceResponse::default()
            .with_responses(responses)
            .with_throttle_time_ms(ours.throttle_time_ms)
            .with_node_endpoints(if version >= 10 { endpoints } else { Vec::new() });
        let (_, bytes) = encoded(ApiKey::Produce, version, ours.into());
        assert_eq!(bytes, expected(&theirs, version), "v{version}");
    }
}

/// Record data in memory and in files, and the bytes that it stands for.
fn records(chance: &mut Chance) -> (Vec<Part>, Bytes) {
    let parts: Vec<Part> = (0..chance.below(3))
        .map(|_| {
            if chance.below(2) == 0 {
                Part::Memory(chance.bytes())
            } else {
                Part::File { file: FileId(6), pos: chance.next(), len: (chance.next() & 63) as u32 }
            }
        })
        .collect();
    let bytes = flat(&parts);
    (parts, bytes)
}

fn fetched(version: i16, c: &mut Chance) -> (fr::PartitionData, FetchedPartition) {
    let (parts, bytes) = records(c);
    let (their_aborted, our_aborted) = some(c, |c| {
        let ours = AbortedTransaction { producer_id: i64_of(c), first_offset: i64_of(c) };
        let theirs = fr::AbortedTransaction::default()
            .with_producer_id(ours.producer_id.into())
            .with_first_offset(ours.first_offset);
        (theirs, ours)
    });
    let asked = c.below(2) == 0;
    let ours = FetchedPartition {
        index: i32_of(c),
        error: error_of(c),
        high_watermark: i64_of(c),
        last_stable_offset: i64_of(c),
        log_start_offset: i64_of(c),
        aborted_transactions: asked.then_some(our_aborted),
        preferred_read_replica: (version >= 11 && c.below(2) == 0).then(|| i32_of(c)),
        diverging_epoch: (c.below(2) == 0)
            .then(|| EpochEnd { epoch: i32_of(c), end_offset: i64_of(c) }),
        current_leader: leader(c),
        records: parts,
    };
    let mut theirs = fr::PartitionData::default()
        .with_partition_index(ours.index)
        .with_error_code(KafkaError::code_of(ours.error))
        .with_high_watermark(ours.high_watermark)
        .with_last_stable_offset(ours.last_stable_offset)
        .with_log_start_offset(ours.log_start_offset)
        .with_aborted_transactions(asked.then_some(their_aborted))
        .with_preferred_read_replica(ours.preferred_read_replica.unwrap_or(-1).into())
        .with_records(Some(bytes));
    if version >= 12 {
        if let Some(end) = ours.diverging_epoch {
            let end =
                fr::EpochEndOffset::default().with_epoch(end.epoch).with_end_offset(end.end_offset);
            theirs = theirs.with_diverging_epoch(end);
        }
        if let Some(hint) = ours.current_leader {
            let hint = fr::LeaderIdAndEpoch::default()
                .with_leader_id(hint.leader_id.into())
                .with_leader_epoch(hint.leader_epoch);
            theirs = theirs.with_current_leader(hint);
        }
    }
    (theirs, ours)
}

#[test]
fn fetch_responses_are_written_as_the_crate_writes_them() {
    for (version, mut chance) in versions(ApiKey::Fetch) {
        let (responses, topics) = some(&mut chance, |chance| {
            let (topic, name, id) = topic(version >= 13, chance);
            let (theirs, partitions) = some(chance, |chance| fetched(version, chance));
            let theirs = fr::FetchableTopicResponse::default()
                .with_topic(name)
                .with_topic_id(id)
                .with_partitions(theirs);
            (theirs, FetchedTopic { topic, partitions })
        });
        let (endpoints, node_endpoints) = some(&mut chance, |chance| {
            let n = endpoint(chance);
            let theirs = fr::NodeEndpoint::default()
                .with_node_id(n.node_id.into())
                .with_host(n.host.clone())
                .with_port(n.port)
                .with_rack(n.rack.clone());
            (theirs, n)
        });
        let ours = FetchResponse {
            throttle_time_ms: i32_of(&mut chance),
            error: if version >= 7 { error_of(&mut chance) } else { None },
            session_id: 0,
            topics,
            node_endpoints,
        };
        let theirs = m::FetchResponse::default()
            .with_throttle_time_ms(ours.throttle_time_ms)
            .with_error_code(KafkaError::code_of(ours.error))
            .with_responses(responses)
            .with_node_endpoints(if version >= 16 { endpoints } else { Vec::new() });
        let given: Vec<Part> = ours
            .topics
            .iter()
            .flat_map(|t| &t.partitions)
            .flat_map(|p| p.records.clone())
            .filter(|part| matches!(part, Part::File { .. }))
            .collect();
        let (parts, bytes) = encoded(ApiKey::Fetch, version, ours.into());
        assert_eq!(bytes, expected(&theirs, version), "v{version}");
        let files: Vec<Part> =
            parts.into_iter().filter(|part| matches!(part, Part::File { .. })).collect();
        assert_eq!(files, given, "files are passed on as they were given");
    }
}

#[test]
fn records_share_the_frame_on_the_way_in_and_the_parts_on_the_way_out() {
    let (theirs, _) = produce_request(9, &mut Chance(0));
    let mut frame = BytesMut::from(&header(ApiKey::Produce, 9, 7)[..]);
    let data = pq::PartitionProduceData::default().with_records(Some(Bytes::from_static(b"data")));
    let topic = pq::TopicProduceData::default().with_partition_data(vec![data]);
    theirs.with_topic_data(vec![topic]).encode(&mut frame, 9).unwrap();
    let frame = frame.freeze();
    let RequestBody::Produce(request) = decode_request(frame.clone()).unwrap().body else {
        panic!("a produce request")
    };
    let records = request.topics[0].partitions[0].records.clone().unwrap();
    assert_eq!(records, b"data"[..]);
    assert!(frame.as_ptr_range().contains(&records.as_ptr()));

    let mut partition = FetchedPartition::read(0, 1, 0);
    partition.records = vec![Part::Memory(records.clone())];
    assert_eq!(partition.records_len(), 4);
    let topic = FetchedTopic { topic: TopicRef::Id(Uuid::nil()), partitions: vec![partition] };
    let response = FetchResponse { topics: vec![topic], ..FetchResponse::default() };
    let (parts, _) = encoded(ApiKey::Fetch, 18, response.into());
    let same = |part: &Part| matches!(part, Part::Memory(b) if b.as_ptr() == records.as_ptr());
    assert_eq!(parts.iter().filter(|part| same(part)).count(), 1);
}

#[test]
fn failures_tell_nothing_but_the_error() {
    let failed = FetchedPartition::failed(3, KafkaError::NotLeaderOrFollower);
    assert_eq!((failed.high_watermark, failed.log_start_offset), (-1, -1));
    assert_eq!(failed.preferred_read_replica, None);
    let failed = ProducedPartition::failed(3, KafkaError::NotLeaderOrFollower);
    assert_eq!((failed.base_offset, failed.log_start_offset), (-1, -1));
}

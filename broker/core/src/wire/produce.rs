//! Produce, by hand: the records of a request are slices of its frame. All versions, and as much of
//! versions 0 to 2 as it takes to refuse them by name.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use crate::error::KafkaError;
use crate::wire::primitive::{Reader, WireError, Writer};
use crate::wire::topic::{LeaderHint, NodeEndpoint, TopicRef};

/// Records to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceRequest {
    /// Set inside a transaction.
    pub transactional_id: Option<StrBytes>,
    /// -1: answer when a quorum has it; 1: when the leader has it; 0: do not answer.
    pub acks: i16,
    /// How long a quorum may take.
    pub timeout_ms: i32,
    /// By topic.
    pub topics: Vec<ProduceTopic>,
}

/// One topic of a [`ProduceRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceTopic {
    /// The topic.
    pub topic: TopicRef,
    /// By partition.
    pub partitions: Vec<ProducePartition>,
}

/// One partition of a [`ProduceTopic`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducePartition {
    /// The partition.
    pub index: i32,
    /// One record batch, not checked yet: see [`validate`](crate::wire::batch::validate).
    pub records: Option<Bytes>,
}

/// Where records were appended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProduceResponse {
    /// By topic, as in the request.
    pub topics: Vec<ProducedTopic>,
    /// For how long a quota holds the client back.
    pub throttle_time_ms: i32,
    /// Addresses of the leaders that the partitions' hints name (version 10 and newer).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic of a [`ProduceResponse`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducedTopic {
    /// The topic, as in the request.
    pub topic: TopicRef,
    /// By partition.
    pub partitions: Vec<ProducedPartition>,
}

/// One partition of a [`ProducedTopic`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducedPartition {
    /// The partition.
    pub index: i32,
    /// Why nothing was appended.
    pub error: Option<KafkaError>,
    /// The offset of the first record; -1 with an error.
    pub base_offset: i64,
    /// The broker's time if the topic has LogAppendTime, else -1.
    pub log_append_time_ms: i64,
    /// Where the partition's log starts (version 5 and newer); -1 with an error.
    pub log_start_offset: i64,
    /// Which records were at fault (version 8 and newer).
    pub record_errors: Vec<RecordError>,
    /// What went wrong, for people (version 8 and newer).
    pub error_message: Option<StrBytes>,
    /// Who leads instead (version 10 and newer).
    pub current_leader: Option<LeaderHint>,
}

/// A record at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordError {
    /// Its number within the batch.
    pub batch_index: i32,
    /// What is wrong with it, for people.
    pub message: Option<StrBytes>,
}

impl ProducedPartition {
    /// Records were appended.
    #[must_use]
    pub fn appended(index: i32, base_offset: i64, log_start_offset: i64) -> ProducedPartition {
        ProducedPartition {
            index,
            error: None,
            base_offset,
            log_append_time_ms: -1,
            log_start_offset,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
        }
    }

    /// Nothing was appended.
    #[must_use]
    pub fn failed(index: i32, error: KafkaError) -> ProducedPartition {
        ProducedPartition { error: Some(error), ..ProducedPartition::appended(index, -1, -1) }
    }
}

impl ProduceRequest {
    pub(super) fn decode(r: &mut Reader<'_>, version: i16) -> Result<ProduceRequest, WireError> {
        let transactional_id =
            if version >= 3 { r.nullable_string("the transactional id")? } else { None };
        let acks = r.i16("acks")?;
        let timeout_ms = r.i32("the timeout")?;
        let topics = r.list("the topics", 3, |r| {
            let topic = TopicRef::read(r, version >= 13)?;
            let partitions = r.list("the partitions", 6, |r| {
                let index = r.i32("a partition's number")?;
                let records = r.nullable_bytes("a partition's records")?;
                r.skip_tags()?;
                Ok(ProducePartition { index, records })
            })?;
            r.skip_tags()?;
            Ok(ProduceTopic { topic, partitions })
        })?;
        r.skip_tags()?;
        Ok(ProduceRequest { transactional_id, acks, timeout_ms, topics })
    }

    /// The answer that refuses every partition for the same reason.
    #[must_use]
    pub fn refused(&self, error: KafkaError) -> ProduceResponse {
        let topic = |t: &ProduceTopic| ProducedTopic {
            topic: t.topic.clone(),
            partitions: t
                .partitions
                .iter()
                .map(|p| ProducedPartition::failed(p.index, error))
                .collect(),
        };
        ProduceResponse {
            topics: self.topics.iter().map(topic).collect(),
            throttle_time_ms: 0,
            node_endpoints: Vec::new(),
        }
    }
}

impl ProduceResponse {
    pub(super) fn encode(&self, w: &mut Writer, version: i16) {
        w.list(&self.topics, |w, t| {
            t.topic.write(w, version >= 13);
            w.list(&t.partitions, |w, p| p.write(w, version));
            w.no_tags();
        });
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if version >= 10 && !self.node_endpoints.is_empty() {
            w.tag_count(1);
            w.tag(0, |w| w.list(&self.node_endpoints, |w, n| n.write(w)));
        } else {
            w.no_tags();
        }
    }
}

impl ProducedPartition {
    fn write(&self, w: &mut Writer, version: i16) {
        w.i32(self.index);
        w.i16(KafkaError::code_of(self.error));
        w.i64(self.base_offset);
        if version >= 2 {
            w.i64(self.log_append_time_ms);
        }
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        if version >= 8 {
            w.list(&self.record_errors, |w, e| {
                w.i32(e.batch_index);
                w.nullable_string(e.message.as_deref());
                w.no_tags();
            });
            w.nullable_string(self.error_message.as_deref());
        }
        match self.current_leader {
            Some(leader) if version >= 10 => {
                w.tag_count(1);
                w.tag(0, |w| leader.write(w));
            }
            Some(_) | None => w.no_tags(),
        }
    }
}

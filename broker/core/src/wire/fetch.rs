//! Fetch, by hand: the records of a response are named (memory or a range of a file), not copied.
//! Fetch sessions are not kept: the handler answers with session id 0, which clients understand.

use kafka_protocol::protocol::StrBytes;

use crate::error::KafkaError;
use crate::wire::Part;
use crate::wire::primitive::{Reader, WireError, Writer};
use crate::wire::topic::{LeaderHint, NodeEndpoint, TopicRef};

/// Records to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchRequest {
    /// The cluster that the client believes to be in.
    pub cluster_id: Option<StrBytes>,
    /// -1 for consumers; in version 15 and newer it is in a tagged field.
    pub replica_id: i32,
    /// How long to wait for `min_bytes`.
    pub max_wait_ms: i32,
    /// Answer as soon as there are so many bytes.
    pub min_bytes: i32,
    /// Answer with at most so many bytes, except that the first batch is always whole.
    pub max_bytes: i32,
    /// 1: only committed transactions' records.
    pub isolation_level: i8,
    /// The fetch session; 0 for none.
    pub session_id: i32,
    /// The request's number in its session: -1 for no session, 0 to begin one.
    pub session_epoch: i32,
    /// By topic.
    pub topics: Vec<FetchTopic>,
    /// What to take out of the session.
    pub forgotten: Vec<ForgottenTopic>,
    /// The client's rack; empty if it told none.
    pub rack_id: StrBytes,
}

/// One topic of a [`FetchRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchTopic {
    /// The topic.
    pub topic: TopicRef,
    /// By partition.
    pub partitions: Vec<FetchPartition>,
}

/// One partition of a [`FetchTopic`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchPartition {
    /// The partition.
    pub index: i32,
    /// The leader epoch that the client knows, or -1.
    pub current_leader_epoch: i32,
    /// Where to begin.
    pub fetch_offset: i64,
    /// The epoch of the last record that the client has, or -1.
    pub last_fetched_epoch: i32,
    /// Where a follower's log starts; -1 for consumers.
    pub log_start_offset: i64,
    /// At most so many bytes of this partition.
    pub max_bytes: i32,
}

/// Partitions to take out of a fetch session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgottenTopic {
    /// The topic.
    pub topic: TopicRef,
    /// The partitions.
    pub partitions: Vec<i32>,
}

/// Records read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FetchResponse {
    /// For how long a quota holds the client back.
    pub throttle_time_ms: i32,
    /// What is wrong with the whole request (version 7 and newer).
    pub error: Option<KafkaError>,
    /// The fetch session; 0 for none.
    pub session_id: i32,
    /// By topic.
    pub topics: Vec<FetchedTopic>,
    /// Addresses of the leaders that the partitions' hints name (version 16 and newer).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic of a [`FetchResponse`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedTopic {
    /// The topic, as in the request.
    pub topic: TopicRef,
    /// By partition.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition of a [`FetchedTopic`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition {
    /// The partition.
    pub index: i32,
    /// Why there are no records.
    pub error: Option<KafkaError>,
    /// The end of what is committed; -1 with an error.
    pub high_watermark: i64,
    /// The end of what no open transaction precedes; -1 with an error.
    pub last_stable_offset: i64,
    /// Where the partition's log starts (version 5 and newer); -1 with an error.
    pub log_start_offset: i64,
    /// Transactions that were aborted, for the client to leave out; none unless it asked.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica to read from instead (version 11 and newer).
    pub preferred_read_replica: Option<i32>,
    /// Where the client's log and this one part (version 12 and newer).
    pub diverging_epoch: Option<EpochEnd>,
    /// Who leads instead (told in version 12 and newer, its address in 16 and newer).
    pub current_leader: Option<LeaderHint>,
    /// Whole record batches, one after the other.
    pub records: Vec<Part>,
}

/// A transaction that was aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
}

/// The last offset of a leader epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: i32,
    /// The offset after its last record.
    pub end_offset: i64,
}

impl FetchedPartition {
    /// Records, perhaps none.
    #[must_use]
    pub fn read(index: i32, high_watermark: i64, log_start_offset: i64) -> FetchedPartition {
        FetchedPartition {
            index,
            error: None,
            high_watermark,
            last_stable_offset: high_watermark,
            log_start_offset,
            aborted_transactions: None,
            preferred_read_replica: None,
            diverging_epoch: None,
            current_leader: None,
            records: Vec::new(),
        }
    }

    /// No records, for a reason.
    #[must_use]
    pub fn failed(index: i32, error: KafkaError) -> FetchedPartition {
        FetchedPartition { error: Some(error), ..FetchedPartition::read(index, -1, -1) }
    }

    /// How many bytes of records there are.
    #[must_use]
    pub fn records_len(&self) -> usize {
        self.records.iter().map(Part::len).sum()
    }
}

impl FetchRequest {
    pub(super) fn decode(r: &mut Reader<'_>, version: i16) -> Result<FetchRequest, WireError> {
        let by_id = version >= 13;
        let mut replica_id = if version <= 14 { r.i32("the replica id")? } else { -1 };
        let max_wait_ms = r.i32("the longest wait")?;
        let min_bytes = r.i32("the least bytes")?;
        let max_bytes = r.i32("the most bytes")?;
        let isolation_level = r.i8("the isolation level")?;
        let (mut session_id, mut session_epoch) = (0, -1);
        if version >= 7 {
            session_id = r.i32("the session id")?;
            session_epoch = r.i32("the session epoch")?;
        }
        let topics = r.list("the topics", 3, |r| {
            let topic = TopicRef::read(r, by_id)?;
            let partitions =
                r.list("the partitions", 16, |r| FetchPartition::decode(r, version))?;
            r.skip_tags()?;
            Ok(FetchTopic { topic, partitions })
        })?;
        let mut forgotten = Vec::new();
        if version >= 7 {
            forgotten = r.list("the forgotten topics", 3, |r| {
                let topic = TopicRef::read(r, by_id)?;
                let partitions =
                    r.list("the forgotten partitions", 4, |r| r.i32("a partition's number"))?;
                r.skip_tags()?;
                Ok(ForgottenTopic { topic, partitions })
            })?;
        }
        let rack_id = if version >= 11 { r.string("the rack")? } else { StrBytes::new() };
        let mut cluster_id = None;
        r.tags(|tag, r| {
            match tag {
                0 => cluster_id = r.nullable_string("the cluster id")?,
                1 if version >= 15 => replica_id = r.i32("the replica id")?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(FetchRequest {
            cluster_id,
            replica_id,
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            topics,
            forgotten,
            rack_id,
        })
    }
}

impl FetchPartition {
    fn decode(r: &mut Reader<'_>, version: i16) -> Result<FetchPartition, WireError> {
        let index = r.i32("a partition's number")?;
        let current_leader_epoch = if version >= 9 { r.i32("the leader epoch")? } else { -1 };
        let fetch_offset = r.i64("the fetch offset")?;
        let last_fetched_epoch = if version >= 12 { r.i32("the last epoch")? } else { -1 };
        let log_start_offset = if version >= 5 { r.i64("the log start offset")? } else { -1 };
        let max_bytes = r.i32("the most bytes of a partition")?;
        // The tags (directory id, high watermark) are for followers that fetch; ours do not.
        r.skip_tags()?;
        Ok(FetchPartition {
            index,
            current_leader_epoch,
            fetch_offset,
            last_fetched_epoch,
            log_start_offset,
            max_bytes,
        })
    }
}

impl FetchResponse {
    pub(super) fn encode(self, w: &mut Writer, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 7 {
            w.i16(KafkaError::code_of(self.error));
            w.i32(self.session_id);
        }
        w.length(Some(self.topics.len()));
        for topic in self.topics {
            topic.topic.write(w, version >= 13);
            w.length(Some(topic.partitions.len()));
            for partition in topic.partitions {
                partition.encode(w, version);
            }
            w.no_tags();
        }
        if version >= 16 && !self.node_endpoints.is_empty() {
            w.tag_count(1);
            w.tag(0, |w| w.list(&self.node_endpoints, |w, n| n.write(w)));
        } else {
            w.no_tags();
        }
    }
}

impl FetchedPartition {
    fn encode(self, w: &mut Writer, version: i16) {
        w.i32(self.index);
        w.i16(KafkaError::code_of(self.error));
        w.i64(self.high_watermark);
        w.i64(self.last_stable_offset);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        match &self.aborted_transactions {
            None => w.length(None),
            Some(aborted) => w.list(aborted, |w, a| {
                w.i64(a.producer_id);
                w.i64(a.first_offset);
                w.no_tags();
            }),
        }
        if version >= 11 {
            w.i32(self.preferred_read_replica.unwrap_or(-1));
        }
        w.records(self.records);
        if version < 12 {
            return;
        }
        let tags = usize::from(self.diverging_epoch.is_some());
        w.tag_count(tags + usize::from(self.current_leader.is_some()));
        if let Some(end) = self.diverging_epoch {
            w.tag(0, |w| {
                w.i32(end.epoch);
                w.i64(end.end_offset);
                w.no_tags();
            });
        }
        if let Some(leader) = self.current_leader {
            w.tag(1, |w| leader.write(w));
        }
    }
}

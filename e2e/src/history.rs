//! What a workload did and saw: the ledger that [`crate::check`] judges.
//!
//! It lives in the test's memory, outside the cluster, so nothing that happens to the cluster can
//! touch it.

use std::collections::BTreeMap;

/// What became of a record that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No answer yet, or one that leaves it open (a timeout): it may be there or not.
    Maybe,
    /// Acknowledged at this offset: it must be there, there, and once. Negative if the client was told none.
    Acked(i64),
}

/// One record that a consumer received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its offset.
    pub offset: i64,
    /// The serial number in it.
    pub serial: u64,
    /// Whether the rest of its bytes is what was sent.
    pub is_intact: bool,
}

/// One partition's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionHistory {
    /// What was sent, in the order of sending: serials grow.
    pub sent: BTreeMap<u64, Fate>,
    /// What was received, in the order of receiving.
    pub received: Vec<Received>,
}

/// What a workload did and saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// By partition.
    pub partitions: BTreeMap<i32, PartitionHistory>,
    /// Errors that clients reported and that a retry cannot heal.
    pub fatal_errors: Vec<String>,
}

impl History {
    /// A record goes out.
    pub fn sent(&mut self, partition: i32, serial: u64) {
        self.partitions.entry(partition).or_default().sent.insert(serial, Fate::Maybe);
    }

    /// A record was acknowledged.
    pub fn acked(&mut self, partition: i32, serial: u64, offset: i64) {
        self.partitions.entry(partition).or_default().sent.insert(serial, Fate::Acked(offset));
    }

    /// A record was received.
    pub fn received(&mut self, partition: i32, received: Received) {
        self.partitions.entry(partition).or_default().received.push(received);
    }

    /// How many records were acknowledged.
    pub fn acked_count(&self) -> usize {
        let sent = self.partitions.values().flat_map(|partition| partition.sent.values());
        sent.filter(|fate| matches!(fate, Fate::Acked(_))).count()
    }

    /// How many records were received.
    pub fn received_count(&self) -> usize {
        self.partitions.values().map(|partition| partition.received.len()).sum()
    }

    /// The highest acknowledged offset of each partition.
    pub fn acked_ends(&self) -> BTreeMap<i32, i64> {
        let highest = |partition: &PartitionHistory| {
            let offsets = partition.sent.values().filter_map(|fate| match fate {
                Fate::Acked(offset) => Some(*offset),
                Fate::Maybe => None,
            });
            offsets.max()
        };
        let ends = self.partitions.iter();
        ends.filter_map(|(id, partition)| Some((*id, highest(partition)?))).collect()
    }
}

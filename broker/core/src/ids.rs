//! The names of things: newtypes that everything else is keyed by. No behaviour beyond naming.

use std::fmt;

pub use uuid::Uuid;

/// A Raft log index. Every entry of a group takes one; only record batches take Kafka offsets.
pub type Index = u64;
/// A Raft term. On the Kafka wire it is the leader epoch.
pub type Term = u64;
/// A Kafka offset.
pub type Offset = i64;

/// A broker's id: stable over restarts, chosen by whoever started the broker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BrokerId(pub u32);

impl BrokerId {
    /// The largest id: 20 bits of a [`PeerId`] carry it.
    pub const MAX: BrokerId = BrokerId((1 << 20) - 1);
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// One life of one replica: (`__meta` index of the command that placed it) << 20 | broker id.
///
/// Never reused, so a replica that lost its disk can never vote as the one it replaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PeerId(pub u64);

impl PeerId {
    /// The peer that the `__meta` command at `index` placed on `broker`.
    #[must_use]
    pub fn new(index: Index, broker: BrokerId) -> PeerId {
        PeerId(index << 20 | u64::from(broker.0))
    }

    /// The broker that this replica lives on.
    #[must_use]
    pub fn broker(self) -> BrokerId {
        BrokerId((self.0 & u64::from(BrokerId::MAX.0)) as u32)
    }

    /// The `__meta` index of the command that placed this replica.
    #[must_use]
    pub fn placed_at(self) -> Index {
        self.0 >> 20
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.broker(), self.placed_at())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{self}")
    }
}

/// A partition of one life of a topic, and so a Raft group. Topic ids are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The topic's id; the nil uuid with a last byte of 1 is `__meta`.
    pub topic: Uuid,
    /// The partition's number within the topic.
    pub partition: u32,
}

impl PartitionId {
    /// The cluster's own group. The id is the one that Kafka reserves for its metadata topic (KIP-595).
    pub const META: PartitionId = PartitionId { topic: Uuid::from_u128(1), partition: 0 };

    /// Partition `partition` of `topic`.
    #[must_use]
    pub fn new(topic: Uuid, partition: u32) -> PartitionId {
        PartitionId { topic, partition }
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == PartitionId::META {
            return f.write_str("__meta-0");
        }
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Microseconds on a clock that never goes back; only differences mean something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Micros(pub u64);

impl Micros {
    /// This many milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Micros {
        Micros(ms * 1000)
    }

    /// The instant `by` later.
    #[must_use]
    pub fn after(self, by: Micros) -> Micros {
        Micros(self.0.saturating_add(by.0))
    }

    /// The time from `earlier` to this instant, zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Micros) -> Micros {
        Micros(self.0.saturating_sub(earlier.0))
    }
}

/// What the two clocks showed when an input happened. Timers use `mono`; only record timestamps
/// and retention use `wall_ms`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Micros,
    /// Milliseconds since the Unix epoch; may step.
    pub wall_ms: i64,
}

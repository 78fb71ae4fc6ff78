//! What the cluster has promised: for each group, every entry that any replica ever held to be
//! committed, and where each record lies. It only ever grows.

use std::collections::{BTreeMap, BTreeSet};

use chronik_core::ids::{BrokerId, Index, Offset, PartitionId, Term};

use super::early_acks::Early;
use super::log_starts::Starts;
use super::topics_apart::Homes;

/// The name of one record: its producer and its number there.
pub(crate) type Serial = (u64, u64);

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    groups: BTreeMap<PartitionId, Group>,
    pub(super) homes: Homes,
    /// When some broker last lost what it had written and not synced.
    pub(super) power_lost: Option<u64>,
    /// Brokers whose disks have bits that flipped: what they read may be damaged.
    pub(super) damaged: BTreeSet<BrokerId>,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Term and checksum of each entry; none where nobody could be asked any more.
    entries: BTreeMap<Index, Option<(Term, u32)>>,
    /// The last entries are ones that nobody could be asked about.
    pub(super) has_hole: bool,
    /// There was such an entry.
    pub(super) had_hole: bool,
    pub(super) early: Early,
    pub(super) starts: Starts,
    /// The record at each offset; none for one that is not a client's of this world.
    pub(super) records: Vec<Option<Serial>>,
    /// Where each record lies.
    pub(super) places: BTreeMap<Serial, Vec<Offset>>,
}

impl Truth {
    pub(super) fn group(&mut self, id: PartitionId) -> &mut Group {
        self.groups.entry(id).or_default()
    }

    /// The last entry that is known to be committed.
    pub(crate) fn last(&self, id: PartitionId) -> Index {
        self.groups.get(&id).map_or(1, Group::last)
    }

    pub(super) fn term(&self, id: PartitionId, index: Index) -> Option<Term> {
        self.groups.get(&id)?.entries.get(&index)?.map(|(term, _)| term)
    }

    pub(super) fn record(&self, id: PartitionId, offset: Offset) -> Option<Option<Serial>> {
        let at = usize::try_from(offset).ok()?;
        self.groups.get(&id)?.records.get(at).copied()
    }
}

impl Group {
    pub(super) fn last(&self) -> Index {
        self.entries.keys().next_back().copied().unwrap_or(1)
    }

    pub(super) fn entry(&self, index: Index) -> Option<Option<(Term, u32)>> {
        self.entries.get(&index).copied()
    }

    pub(super) fn extend(&mut self, index: Index, entry: Option<(Term, u32)>) {
        self.has_hole |= entry.is_none();
        self.had_hole |= entry.is_none();
        self.entries.insert(index, entry);
    }
}

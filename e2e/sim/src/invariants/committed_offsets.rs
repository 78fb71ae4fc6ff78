//! An acknowledged commit is what OffsetFetch answers afterwards: offsets never go back behind it,
//! unless a member committed a lower one later, of which that very commit is the proof. Each commit
//! is known by a number that goes with it as its metadata.

use std::collections::BTreeMap;

use chronik_core::ids::Offset;

use super::Violation;
use super::register::{Register, Via};

/// A commit: its offset and its number.
pub(crate) type Commit = (Offset, u64);

/// What was committed, by group and partition.
#[derive(Debug, Default)]
pub(crate) struct CommittedOffsets(BTreeMap<(String, i32), Register<Commit>>);

impl CommittedOffsets {
    /// A member is about to commit.
    pub(crate) fn sent(&mut self, group: &str, partition: i32, commit: Commit, now: u64) {
        self.0.entry((group.to_owned(), partition)).or_default().write(commit, now);
    }

    /// The commit was acknowledged.
    pub(crate) fn acked(&mut self, group: &str, partition: i32, commit: Commit, now: u64) {
        if let Some(register) = self.0.get_mut(&(group.to_owned(), partition)) {
            register.acked(&commit, now, Via::default());
        }
    }

    /// OffsetFetch, asked at `sent`, answered this; none if nothing is committed.
    pub(crate) fn fetched(
        &mut self,
        group: &str,
        partition: i32,
        seen: Option<Commit>,
        sent: u64,
    ) -> Result<(), Violation> {
        let register = self.0.entry((group.to_owned(), partition)).or_default();
        register.may_show(seen.as_ref(), sent, None).or_else(|what| {
            let what = format!("{group}, partition {partition}: {what}");
            Violation::new("committed offsets never go back", what)
        })
    }
}
